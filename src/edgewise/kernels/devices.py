"""What the rest of the library asks about devices: mixed precision, and which tensors live on an accelerator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

_autocast_anywhere = torch._C._is_any_autocast_enabled


def accelerators(tensors: Iterable[Tensor]) -> list[torch.device]:
    """The devices of these tensors that are not the host: empty where numpy and native code can read them all."""
    return [device for device in {t.device for t in tensors} if device.type != "cpu"]


def autocast(x: Tensor, dtype: torch.dtype | None) -> torch.autocast:
    """Mixed precision of this dtype on the device of x; with None a context that changes nothing."""
    return torch.autocast(x.device.type, dtype, enabled=dtype is not None)


def without_autocast(x: Tensor) -> torch.autocast:
    """A context without mixed precision on the device of x."""
    return torch.autocast(x.device.type, enabled=False)


def autocast_dtype(x: Tensor) -> torch.dtype | None:
    """The dtype of the mixed precision on the device of x; None where there is none."""
    return torch.get_autocast_dtype(x.device.type) if under_autocast(x) else None


def under_autocast(x: Tensor) -> bool:
    """Whether mixed precision is enabled on the device of x."""
    device = x.device.type  # some, such as meta, have no mixed precision and no answer
    return _autocast_anywhere() and torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


PER_THREAD = 1e8
"""Multiplications of one call that pay for another thread."""


@contextlib.contextmanager
def threads_for(work: float) -> Iterator[None]:
    """As many of torch's threads as so many multiplications occupy, within the block.

    Threads that wait for one another do so in a loop: on a busy machine small work then takes eight times its time.
    """
    given = torch.get_num_threads()
    torch.set_num_threads(max(1, min(given, int(work / PER_THREAD))))
    try:
        yield
    finally:
        torch.set_num_threads(given)
