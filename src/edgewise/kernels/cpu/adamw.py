"""Steps of AdamW in one native call for all tensors of a dtype (csrc/adam.h)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

import torch
from torch import Tensor

from edgewise.kernels.cpu import load


def refuses(p: Tensor, state: Sequence[Tensor] = ()) -> str | None:
    """Why the native step does not serve a parameter with these moments and this step count; None where it does."""
    if p.dtype not in load.SUFFIX or not all(t.is_cpu for t in (p, *state)):
        return f"the parameter is {p.dtype} on {p.device}, not float32 or float64 on the CPU"
    if not all(t.is_contiguous() and t.dtype is p.dtype and t.shape == p.shape for t in (p, *state[:2])):
        return "the parameter and its moments are not all contiguous and of one dtype and shape"
    if not all(t.numel() == 1 and t.dtype in load.SUFFIX for t in state[2:]):
        return "the step count is not one floating-point number"
    return load.why_not()


def step(
    dtype: torch.dtype,
    count_bytes: int,
    settings: tuple[float, float, float, float, float],
    tensors: Sequence[int],
    counts: Sequence[int],
) -> None:
    """One step of every tensor: see `AdamKernel`."""
    load.call("adam", dtype, _struct(len(counts)).pack(*settings, len(counts), *tensors, *counts), count_bytes)


@functools.cache
def _struct(count: int) -> struct.Struct:
    """AdamArgs of csrc/adam.h, the tensors behind it, and the addresses of their step counts."""
    return struct.Struct("@5dq" + count * "4Pq" + count * "P")
