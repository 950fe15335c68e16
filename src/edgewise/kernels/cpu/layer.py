"""The three contractions of B-spline layers in native code, with the signatures of `reference`."""

from __future__ import annotations

import ctypes
import functools
import struct
import weakref
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.kernels import reference
from edgewise.kernels.cpu import load
from edgewise.kernels.reference import EdgeSpec

SUFFIX = {torch.float32: "f32", torch.float64: "f64"}
RESIDUAL = {None: 0, "identity": 1, "silu": 2}
MAX_DEGREE = 5
MAX_ORDER = 3


# The C struct LayerArgs of csrc/layer.h: x, h, coef, bias, g, y, pulled, outer, plan; batch, in, out; intervals,
# degree, order, residual, chunk. Packing bytes takes a fifth of the time of ctypes fields.
_ARGS = struct.Struct("@9P3q5i4x")


def refuses(spec: EdgeSpec, x: Tensor) -> str | None:  # noqa: PLR0911  (one reason per line reads best)
    """Why the native kernels do not serve these functions at inputs like x; None where they do."""
    basis = spec.basis
    if not isinstance(basis, BSpline):
        return f"it computes B-splines, not {basis.name!r}"
    if not 1 <= basis.degree <= MAX_DEGREE:
        return f"degree {basis.degree} is not between 1 and {MAX_DEGREE}"
    if basis.extrapolation != "linear":
        return f"extrapolation {basis.extrapolation!r}: it continues curves linearly only"
    if spec.residual not in RESIDUAL:
        return f"residual function {spec.residual!r} is not compiled in"
    if spec.order > MAX_ORDER:
        return f"derivative order {spec.order} is above {MAX_ORDER}"
    if x.device.type != "cpu" or x.dtype not in SUFFIX:
        return f"inputs are {x.dtype} on {x.device}, not float32 or float64 on the CPU"
    return _why_not()


@torch.compiler.assume_constant_result
def _why_not() -> str | None:
    return load.why_not()


def edge_sum(
    x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """`reference.edge_sum`, plus a bias per output where one is given."""
    if not x.dtype == coef.dtype == grid.dtype:
        y = reference.edge_sum(x, coef, grid, spec, h)
        return y if bias is None else y + bias
    x, h, coef = _dense(x), h if h is None else _dense(h), _dense(coef)
    y = x.new_empty((*x.shape[:-1], coef.shape[-1]))
    _call("sum", x, coef, grid, spec, h=h, bias=bias, y=y)
    return y


def edge_pull(g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor:
    """`reference.edge_pull`."""
    if not g.dtype == x.dtype == coef.dtype == grid.dtype:
        return reference.edge_pull(g, x, coef, grid, spec)
    g, x, coef = _dense(g), _dense(x), _dense(coef)
    pulled = torch.empty_like(x)
    _call("gradients", x, coef, grid, spec, spec.order, g=g, pulled=pulled)
    return pulled


def edge_outer(g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor:
    """`reference.edge_outer`."""
    if not g.dtype == x.dtype == grid.dtype:
        return reference.edge_outer(g, x, grid, spec, h)
    g, x, h = _dense(g), _dense(x), h if h is None else _dense(h)
    outer = x.new_empty((x.shape[-1], spec.size, g.shape[-1]))
    _call("gradients", x, outer, grid, spec, spec.order, g=g, h=h, outer=outer)
    return outer


def edge_gradients(
    g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The gradients of `edge_sum` in x and coef, `h * edge_pull` of one order more and `edge_outer`, from one sort."""
    if not g.dtype == x.dtype == coef.dtype == grid.dtype:
        dx = reference.edge_pull(g, x, coef, grid, spec.differentiated())
        return dx if h is None else dx * h, reference.edge_outer(g, x, grid, spec, h)
    g, x, h, coef = _dense(g), _dense(x), h if h is None else _dense(h), _dense(coef)
    dx, dc = torch.empty_like(x), torch.empty_like(coef)
    _call("gradients", x, coef, grid, spec, spec.order + 1, g=g, h=h, pulled=dx, outer=dc)
    return dx, dc


def _call(
    name: str, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, *rest: int, h: Tensor | None = None,
    bias: Tensor | None = None, g: Tensor | None = None, y: Tensor | None = None, pulled: Tensor | None = None,
    outer: Tensor | None = None,
) -> None:  # fmt: skip
    basis = spec.basis
    assert isinstance(basis, BSpline)
    features = x.shape[-1]
    tensors = (x, h, coef, bias, g, y, pulled, outer, grid_plan(grid, basis))
    args = _ARGS.pack(
        *(0 if t is None else t.data_ptr() for t in tensors),
        x.numel() // features, features, coef.shape[-1],
        basis.intervals, basis.degree, spec.order, RESIDUAL[spec.residual], 0,
    )  # fmt: skip
    status = _function(name, x.dtype)(_pool(), torch.get_num_threads(), args, *rest)
    assert status == 0, f"native kernel {name} refused its arguments"


@functools.cache
def _function(name: str, dtype: torch.dtype) -> Any:
    return getattr(load.library(), f"ew_{name}_{SUFFIX[dtype]}")


@functools.cache
def _pool() -> ctypes.c_void_p:
    return ctypes.c_void_p(load.parallel_for())


class _Plan(NamedTuple):
    grid: weakref.ref
    version: int
    address: int
    basis: BSpline
    plan: Tensor


_plans: dict[int, _Plan] = {}


def grid_plan(grid: Tensor, basis: BSpline) -> Tensor:
    """The polynomials and look-up tables of a grid (csrc/plan.h), kept while the grid lives and does not change."""
    if grid.is_inference():  # has no version counter
        return _make_plan(grid, basis)
    key, version, address = id(grid), grid._version, grid.data_ptr()
    kept = _plans.get(key)
    if (
        kept is not None
        and kept.version == version
        and kept.address == address
        and (kept.basis is basis or kept.basis == basis)
        and kept.grid() is grid
    ):
        return kept.plan
    plan = _make_plan(grid, basis)
    _plans[key] = _Plan(weakref.ref(grid, lambda _: _plans.pop(key, None)), version, address, basis, plan)
    return plan


def _make_plan(grid: Tensor, basis: BSpline) -> Tensor:
    library, suffix = load.library(), SUFFIX[grid.dtype]
    assert library is not None
    features, intervals, degree = grid.shape[0], basis.intervals, basis.degree
    size = getattr(library, f"ew_plan_bytes_{suffix}")
    size.restype = ctypes.c_int64
    dense = grid.detach().contiguous()
    plan = torch.empty(size(ctypes.c_int64(features), intervals, degree), dtype=torch.uint8)
    getattr(library, f"ew_plan_{suffix}")(
        ctypes.c_void_p(dense.data_ptr()),
        ctypes.c_int64(features),
        intervals,
        degree,
        int(basis.knots == "clamped"),
        ctypes.c_void_p(plan.data_ptr()),
    )
    return plan


def _dense(t: Tensor) -> Tensor:
    return t.contiguous()
