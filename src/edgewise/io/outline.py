"""Build a module from settings that a file holds, with no more memory than its weights take."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registry

from edgewise.io.reading import require

SLACK = 1 << 24
"""Elements that a constructor may make beside what is stored: masks, tables, parameters that it replaces."""


class _TooLargeError(ValueError):
    pass


def filled(cls: type[nn.Module], settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> nn.Module:
    """`cls(**settings)` with these parameters and buffers, in their dtype; `ValueError` where they do not fit.

    It is built on the meta device first, where nothing is allocated, and then once more: a few bytes of settings cannot
    cost more memory than the tensors have.
    """
    with at_most(tensors):
        _compare(cls, settings, tensors)
        model = cls(**settings)
    dtypes = {t.dtype for t in tensors.values() if t.is_floating_point()}
    if len(dtypes) == 1:
        model = model.to(dtypes.pop())
    model.load_state_dict(tensors)
    return model


@contextlib.contextmanager
def at_most(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the block this thread's modules may register about as many parameters as there are tensors."""
    sizes = [t.numel() for t in tensors.values()]
    left = {"parts": 100 + 20 * len(sizes), "elements": 2 * (2 * sum(sizes) + SLACK)}
    thread = threading.get_ident()

    def count(_: nn.Module, name: str, made: object) -> None:
        if thread == threading.get_ident():
            left["parts"] -= 1
            left["elements"] -= made.numel() if isinstance(made, Tensor) else 0
            if min(left.values()) < 0:
                raise _TooLargeError(f"its settings ask for more than the weights hold, at {name!r}")

    hooks = [
        registry.register_module_parameter_registration_hook(count),
        registry.register_module_buffer_registration_hook(count),
        registry.register_module_module_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _compare(cls: type[nn.Module], settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Refuse settings whose module has other tensors. A class that cannot be built without memory is not compared."""
    try:
        with torch.device("meta"):
            outline = cls(**settings).state_dict()
    except (RuntimeError, NotImplementedError):
        return
    require(outline.keys() == tensors.keys(), f"the weights are not those of a {cls.__name__} with these settings")
    for name, t in tensors.items():
        expected = tuple(outline[name].shape)
        require(expected == t.shape, f"{name} has the shape {tuple(t.shape)}, by the settings it is {expected}")
