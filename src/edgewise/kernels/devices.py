"""What the rest of the library asks about devices: mixed precision, and which tensors live on an accelerator."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def accelerators(tensors: Iterable[Tensor]) -> list[torch.device]:
    """The devices of these tensors that are not the host: empty where numpy and native code can read them all."""
    return [device for device in {t.device for t in tensors} if device.type != "cpu"]


def autocast(x: Tensor, dtype: torch.dtype | None) -> torch.autocast:
    """Mixed precision of this dtype on the device of x; with None a context that changes nothing."""
    return torch.autocast(x.device.type, dtype, enabled=dtype is not None)


def under_autocast(x: Tensor) -> bool:
    """Whether mixed precision is enabled on the device of x."""
    return torch.is_autocast_enabled(x.device.type)
