"""The three contractions of B-spline layers on a GPU, with the signatures of `reference`.

Kernels read as much memory as the shapes promise. Tensors that are not exactly of the shapes, the dtype and the device
of a layer are left to the reference, which broadcasts them or says what is wrong; so are those with more numbers than
the 32 bits in which kernels count.

Triton is imported by the first call, so that importing edgewise does not need it.
"""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import torch
from torch import Tensor

from edgewise.bases import BSpline, residual_derivative
from edgewise.kernels import reference
from edgewise.kernels.reference import EdgeSpec

BLOCK_B, BLOCK_K, BLOCK_O = 32, 16, 64
MOST_NUMBERS, MOST_FEATURES = 2**31 - 1, 2**16 - 1
"""What an offset in a tensor, and the second and third place in a grid of blocks, can be."""


def refuses(spec: EdgeSpec, x: Tensor) -> str | None:
    """Why the Triton kernels do not serve these functions at inputs like x; None where they do."""
    if not x.is_cuda:
        return "inputs are not on a CUDA device"
    if not isinstance(spec.basis, BSpline):
        return f"it computes B-splines, not {spec.basis.name!r}"
    if x.dtype not in (torch.float32, torch.float64):
        return f"inputs are {x.dtype}, not float32 or float64"
    return _missing()


@functools.cache
def _missing() -> str | None:
    return None if importlib.util.find_spec("triton") else "triton is not installed"


def edge_sum(
    x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """`reference.edge_sum`."""
    if not _fits(spec, x, grid, coef, h=h, bias=bias):
        return reference.edge_sum(x, coef, grid, spec, h, bias)
    w, s = _local(x, grid, spec, h)
    batch, features, out = len(s), s.shape[1], coef.shape[-1]
    y = x.new_empty((*x.shape[:-1], out))
    if y.numel():
        blocks = (_blocks(batch, BLOCK_B), _blocks(out, BLOCK_O))
        _launch("sum_kernel", blocks, spec, w, s, coef.contiguous(), y, batch, features, out, coef.shape[1])
    return y if bias is None else y.add_(bias)


def edge_pull(g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor:
    """`reference.edge_pull`."""
    if not _fits(spec, x, grid, coef, g):
        return reference.edge_pull(g, x, coef, grid, spec)
    w, s = _local(x, grid, spec, None)
    batch, features, out = len(s), s.shape[1], coef.shape[-1]
    pulled = x.new_empty(x.shape)
    if pulled.numel():
        tensors = (g.contiguous(), w, s, coef.contiguous(), pulled)
        _launch("pull_kernel", (_blocks(batch, BLOCK_B), features), spec, *tensors, batch, features, out, coef.shape[1])
    return pulled


def edge_outer(g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor:
    """`reference.edge_outer`."""
    if not _fits(spec, x, grid, None, g, h):
        return reference.edge_outer(g, x, grid, spec, h)
    w, s = _local(x, grid, spec, h)
    batch, features, out = len(s), s.shape[1], g.shape[-1]
    outer = x.new_empty((features, spec.size, out))
    blocks = (features, _blocks(spec.size, BLOCK_K), _blocks(out, BLOCK_O))
    shape = (batch, features, out, spec.size)
    _launch("outer_kernel", blocks, spec, g.contiguous(), w, s, outer, *shape, BLOCK_K=BLOCK_K)
    return outer


def _fits(
    spec: EdgeSpec, x: Tensor, grid: Tensor, coef: Tensor | None, g: Tensor | None = None, h: Tensor | None = None,
    bias: Tensor | None = None,
) -> bool:  # fmt: skip
    """Whether these are the tensors of one layer, on one device and of one dtype."""
    basis, last = spec.basis, g if coef is None else coef
    if not isinstance(basis, BSpline) or x.ndim == 0 or x.shape[-1] == 0 or last is None or last.ndim == 0:
        return False
    features, out = x.shape[-1], last.shape[-1]
    # Of the local values, of the results and of the coefficients; blocks reach up to one block beyond.
    batch = x.numel() // features + BLOCK_B
    most = max(batch * features * (basis.degree + 2), batch * (out + BLOCK_O), features * spec.size * (out + BLOCK_O))
    if most > MOST_NUMBERS or features > MOST_FEATURES:
        return False
    shapes = [
        (grid, (features, basis.intervals + 1)),
        (coef, (features, spec.size, out)),
        (g, (*x.shape[:-1], out)),
        (h, x.shape),
        (bias, (out,)),
    ]
    return all(t is None or (t.shape == s and t.dtype == x.dtype and t.device == x.device) for t, s in shapes)


def _local(x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None) -> tuple[Tensor, Tensor]:
    """The values that do not vanish (batch, in, degree + 1 [+ 1]), times h, and the intervals (batch, in)."""
    assert isinstance(spec.basis, BSpline)
    x = x.detach().reshape(-1, x.shape[-1])
    interval, values = spec.basis.local_derivative(x, grid, spec.order)
    if spec.residual is not None:
        values = torch.cat([values, residual_derivative(spec.residual, x, spec.order)[..., None]], dim=-1)
    if h is not None:
        values = values * h.reshape(-1, h.shape[-1], 1)
    return values.contiguous(), interval.to(torch.int32)


def _launch(name: str, blocks: tuple[int, ...], spec: EdgeSpec, *args: Any, **sizes: int) -> None:
    from edgewise.kernels.triton import contractions

    assert isinstance(spec.basis, BSpline)
    kernel = getattr(contractions, name)
    constants = {"LOCAL": spec.basis.degree + 1, "RESIDUAL": int(spec.residual is not None)}
    kernel[blocks](*args, **constants, BLOCK_B=BLOCK_B, BLOCK_O=BLOCK_O, **sizes)


def _blocks(n: int, block: int) -> int:
    return -(-n // block)
