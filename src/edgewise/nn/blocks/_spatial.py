"""Shapes of convolutions of any dimension: padding, patches, and the sum of overlapping taps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import index
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def sizes(name: str, value: int | Sequence[int], dims: int, *, least: int = 1) -> tuple[int, ...]:
    """One integer per dimension; a single integer counts for all. Raises `ValueError` for anything else."""
    try:
        numbers = tuple(index(n) for n in value) if isinstance(value, Sequence) else (index(value),) * dims
    except TypeError:
        numbers = ()
    if len(numbers) != dims or min(numbers) < least:
        raise ValueError(f"{name} must be one integer of at least {least} or {dims} of them, got {value!r}")
    return numbers


def pads(
    padding: int | Sequence[int] | str,
    mode: str,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, ...]:
    """The padding before and after every dimension, as `F.pad` takes it: the last dimension first."""
    if mode not in MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(MODES)}, got {mode!r}")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ValueError(f"padding must be integers, 'same' or 'valid', got {padding!r}")
        if padding == "same" and set(stride) != {1}:
            raise ValueError(f"padding='same' needs stride 1, got stride {tuple(stride)}; give the padding as integers")
        total = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation, strict=True)]
        ends = [(n // 2, n - n // 2) for n in total]
    else:
        ends = [(n, n) for n in sizes("padding", padding, len(kernel), least=0)]
    return tuple(itertools.chain.from_iterable(reversed(ends)))


def padded(x: Tensor, pads: Sequence[int], mode: str) -> Tensor:
    """The input with its border continued; a curve is evaluated at padded zeros as at any other value."""
    return F.pad(x, list(pads), MODES[mode]) if any(pads) else x


def patches(x: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """The inputs of every output position: (batch, channels, *size) to (batch, *positions, channels · taps)."""
    dims = len(kernel)
    for n, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        span = d * (k - 1) + 1
        if x.shape[2 + n] < span:
            raise ValueError(f"the kernel covers {span} pixels, the padded input has {x.shape[2 + n]} in dimension {n}")
        x = x.unfold(2 + n, span, s)[..., ::d]
    return x.movedim(1, 1 + dims).flatten(1 + dims)


def scattered(
    taps: Tensor, stride: Sequence[int], dilation: Sequence[int], padding: Sequence[int], extra: Sequence[int]
) -> Tensor:
    """The sum of overlapping taps, cut by `padding`: (batch, channels, *size, *kernel) to (batch, channels, *out)."""
    dims = len(stride)
    size, kernel = taps.shape[2 : 2 + dims], taps.shape[2 + dims :]
    shape = [
        (n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(size, stride, dilation, kernel, extra, strict=True)
    ]
    y = taps.new_zeros((*taps.shape[:2], *shape))
    for tap in itertools.product(*map(range, kernel)):
        places = [
            slice(d * u, d * u + (n - 1) * s + 1, s) for n, s, d, u in zip(size, stride, dilation, tap, strict=True)
        ]
        y[:, :, *places] += taps[(..., *tap)]
    inside = [slice(p, n - p) for n, p in zip(shape, padding, strict=True)]
    return cast(torch.Tensor, y[:, :, *inside])
