"""Rational units in native code: values, and gradients with their sums, in one pass over memory each."""

from __future__ import annotations

import math
import struct

import torch
from torch import Tensor

from edgewise.kernels.cpu import load
from edgewise.kernels.cpu.load import SUFFIX

TERMS = 6, 4
"""Coefficients of the numerator and of the denominator that are compiled in."""

BLOCK = 1 << 15
"""Elements of a task, about."""

VECTOR_BYTES = 64

# The C struct RationalArgs of csrc/rational.h: x, g, a, b, y, dx, sums; count, period, rows.
_ARGS = struct.Struct("@7P3q")


def refuses(x: Tensor, a: Tensor, b: Tensor) -> str | None:
    """Why the native kernels do not compute these units; None where they do."""
    if not x.is_cpu or x.dtype not in SUFFIX:
        return f"inputs are {x.dtype} on {x.device}, not float32 or float64 on the CPU"
    if not all(c.ndim == 2 and c.dtype is x.dtype and c.is_cpu for c in (a, b)):
        return f"the coefficients are not matrices of {x.dtype} on the CPU"
    if (len(a), len(b)) != TERMS:
        return f"{len(a)} coefficients over {len(b)}; {TERMS[0]} over {TERMS[1]} are compiled in"
    if not all(c.shape[1] in (1, x.shape[-1] if x.ndim else 1) for c in (a, b)):
        return f"coefficients for {a.shape[1]} and {b.shape[1]} features, the inputs have the shape {tuple(x.shape)}"
    return load.why_not() if x.numel() > 0 else "there are no inputs"


def values(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """P / (1 + |Q|) for x (*batch, features), a (6, features or 1), b (4, features or 1)."""
    x = _checked(x, a, b)
    y = torch.empty_like(x)
    _call("rational", x, *_repeated(a, b), y=y)
    return y


def gradients(g: Tensor, x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients in x, a and b for that of the values, g."""
    x = _checked(x, a, b)
    if g.shape != x.shape:
        raise ValueError(f"the gradient of values of the shape {tuple(x.shape)} has the shape {tuple(g.shape)}")
    dx, repeated = torch.empty_like(x), _repeated(a, b)
    same = g.stride() == dx.stride() and g.dtype is dx.dtype and g.is_cpu
    g = g if same else torch.empty_like(dx).copy_(g)
    period = repeated[0].shape[1]
    sums = x.new_empty(-(-x.numel() // (period * _rows(period))), sum(TERMS), period)
    _call("rational_gradients", x, *repeated, g=g, dx=dx, sums=sums)
    da, db = sums.sum(0).split(TERMS)
    return dx, _folded(da, a), _folded(db, b)


def _checked(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The inputs without holes, and in order where the features differ; `ValueError` where these are not served."""
    if (reason := refuses(x, a, b)) is not None:
        raise ValueError(f"rational units cannot be computed in native code: {reason}")
    channels_last = a.shape[1] == b.shape[1] == 1 and x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return x if channels_last else x.contiguous()


def _repeated(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The coefficients repeated until they fill whole vectors."""
    features = max(a.shape[1], b.shape[1])
    period = math.lcm(features, VECTOR_BYTES // a.element_size())
    return a.repeat(1, period // a.shape[1]), b.repeat(1, period // b.shape[1])


def _folded(sums: Tensor, like: Tensor) -> Tensor:
    return sums.unflatten(1, (-1, like.shape[1])).sum(1)


def _rows(period: int) -> int:
    return max(1, BLOCK // period)


def _call(
    name: str, x: Tensor, a: Tensor, b: Tensor, g: Tensor | None = None,
    y: Tensor | None = None, dx: Tensor | None = None, sums: Tensor | None = None,
) -> None:  # fmt: skip
    addresses = [0 if t is None else t.data_ptr() for t in (x, g, a, b, y, dx, sums)]
    period = a.shape[1]
    load.call(name, x.dtype, _ARGS.pack(*addresses, x.numel(), period, _rows(period)))
