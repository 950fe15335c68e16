"""The three contractions of B-spline layers in native code, with the signatures of `reference`."""

from __future__ import annotations

import ctypes
import weakref
from typing import NamedTuple

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


class LayerArgs(ctypes.Structure):
    """The C struct of the same name in csrc/layer.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "h", "coef", "bias", "g", "y", "pulled", "outer", "plan")),
        *((name, ctypes.c_int64) for name in ("batch", "in_features", "out_features")),
        *((name, ctypes.c_int) for name in ("intervals", "degree", "order", "residual", "chunk")),
    )


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
    _call("sum", LayerArgs(y=y.data_ptr(), bias=pointer(bias)), x, coef, grid, spec, h)
    return y


def edge_pull(g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor:
    """`reference.edge_pull`."""
    if not g.dtype == x.dtype == coef.dtype == grid.dtype:
        return reference.edge_pull(g, x, coef, grid, spec)
    g, x, coef = _dense(g), _dense(x), _dense(coef)
    pulled = torch.empty_like(x)
    _call("gradients", LayerArgs(g=g.data_ptr(), pulled=pulled.data_ptr()), x, coef, grid, spec, None, spec.order)
    return pulled


def edge_outer(g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor:
    """`reference.edge_outer`."""
    if not g.dtype == x.dtype == grid.dtype:
        return reference.edge_outer(g, x, grid, spec, h)
    g, x, h = _dense(g), _dense(x), h if h is None else _dense(h)
    outer = x.new_empty((x.shape[-1], spec.size, g.shape[-1]))
    _call("gradients", LayerArgs(g=g.data_ptr(), outer=outer.data_ptr()), x, outer, grid, spec, h, spec.order)
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
    args = LayerArgs(g=g.data_ptr(), pulled=dx.data_ptr(), outer=dc.data_ptr())
    _call("gradients", args, x, coef, grid, spec, h, spec.order + 1)
    return dx, dc


def _call(
    name: str, args: LayerArgs, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None, *rest: int
) -> None:
    library, suffix = load.library(), SUFFIX[x.dtype]
    basis = spec.basis
    assert library is not None
    assert isinstance(basis, BSpline)
    plan = grid_plan(grid, basis)
    features = x.shape[-1]
    args.x, args.h, args.coef, args.plan = x.data_ptr(), pointer(h), coef.data_ptr(), plan.data_ptr()
    args.batch, args.in_features, args.out_features = x.numel() // features, features, coef.shape[-1]
    args.intervals, args.degree = basis.intervals, basis.degree
    args.order, args.residual = spec.order, RESIDUAL[spec.residual]
    function = getattr(library, f"ew_{name}_{suffix}")
    status = function(ctypes.c_void_p(load.parallel_for()), torch.get_num_threads(), ctypes.byref(args), *rest)
    assert status == 0, f"native kernel {name} refused its arguments"


class _Plan(NamedTuple):
    grid: weakref.ref
    state: tuple
    plan: Tensor


_plans: dict[int, _Plan] = {}


def grid_plan(grid: Tensor, basis: BSpline) -> Tensor:
    """The polynomials and look-up tables of a grid (csrc/plan.h), kept while the grid lives and does not change."""
    if grid.is_inference():  # has no version counter
        return _make_plan(grid, basis)
    key, state = id(grid), (grid._version, grid.data_ptr(), basis)
    kept = _plans.get(key)
    if kept is not None and kept.grid() is grid and kept.state == state:
        return kept.plan
    plan = _make_plan(grid, basis)
    _plans[key] = _Plan(weakref.ref(grid, lambda _: _plans.pop(key, None)), state, plan)
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
    return t.detach().contiguous()


def pointer(t: Tensor | None) -> int | None:
    """The address of the data; None (a null pointer) for None."""
    return None if t is None else t.data_ptr()
