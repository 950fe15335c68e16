"""The three contractions of B-spline layers in native code, with the signatures of `reference`.

Native code reads as much memory as the shapes promise. Tensors that are not exactly of the shapes, the dtype and the
device of a layer are left to the reference, which broadcasts them or says what is wrong.
"""

from __future__ import annotations

import ctypes
import struct
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.kernels import reference
from edgewise.kernels.cpu import load
from edgewise.kernels.cpu.load import SUFFIX
from edgewise.kernels.reference import EdgeSpec

RESIDUAL = {None: 0, "identity": 1, "silu": 2}
MAX_DEGREE = 5
MAX_ORDER = 3


# The C struct LayerArgs of csrc/layer.h: x, h, coef, bias, g, y, pulled, outer, bias_sum, plan; batch, in, out;
# intervals, degree, order, residual, chunk. Packing bytes takes a fifth of the time of ctypes fields.
_ARGS = struct.Struct("@10P3q5i4x")


def refuses(spec: EdgeSpec, x: Tensor) -> str | None:
    """Why the native kernels do not serve these functions at inputs like x; None where they do."""
    if x.dtype not in SUFFIX or not x.is_cpu:
        return f"inputs are {x.dtype} on {x.device}, not float32 or float64 on the CPU"
    if _compiling():
        return _reason(spec)
    key = id(spec.basis), spec.residual, spec.order
    kept = _reasons.get(key)
    if kept is None or kept[0]() is not spec.basis:  # the hash of a basis takes longer than all of this
        kept = _reasons[key] = weakref.ref(spec.basis, lambda _: _reasons.pop(key, None)), _reason(spec)
    return kept[1]


def _reason(spec: EdgeSpec) -> str | None:
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
    return _why_not()


_compiling = torch.compiler.is_compiling
_reasons: dict[tuple[int, str | None, int], tuple[weakref.ref[Basis], str | None]] = {}


def _why_not() -> str | None:
    return load.why_not()


# What `torch.compiler.assume_constant_result` sets; calling that imports the compiler, which takes as long as torch.
_why_not._dynamo_marked_constant = True  # pyright: ignore[reportFunctionMemberAccess]


def edge_sum(
    x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """`reference.edge_sum`."""
    if not _fits(spec, x, grid, coef, h=h, bias=bias):
        return reference.edge_sum(x, coef, grid, spec, h, bias)
    x, coef = x.contiguous(), coef.contiguous()
    *batch, _ = x.shape  # a slice of a torch.Size takes twice as long
    y = x.new_empty((*batch, coef.shape[-1]))
    _call("sum", x, coef, grid, spec, h, bias=bias if bias is None else bias.contiguous(), y=y)
    return y


def edge_pull(g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor:
    """`reference.edge_pull`."""
    if not _fits(spec, x, grid, coef, g):
        return reference.edge_pull(g, x, coef, grid, spec)
    x, coef = x.contiguous(), coef.contiguous()
    pulled = torch.empty_like(x)
    _call("gradients", x, coef, grid, spec, None, spec.order, g=g, pulled=pulled)
    return pulled


def edge_outer(g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor:
    """`reference.edge_outer`."""
    if not _fits(spec, x, grid, None, g, h):
        return reference.edge_outer(g, x, grid, spec, h)
    x = x.contiguous()
    outer = x.new_empty((x.shape[-1], spec.size, g.shape[-1]))
    _call("gradients", x, outer, grid, spec, h, spec.order, g=g, outer=outer)
    return outer


def edge_gradients(
    g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None,
    needed: Sequence[bool] = (True, True), bias: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    """The gradients of `edge_sum` in x, coef and bias from one sort.

    That is `h * edge_pull` of one order more, `edge_outer`, and the sum of g, each None where it is not `needed` (for
    the bias: where none is given).
    """
    if not _fits(spec, x, grid, coef, g, h, bias):
        dx = reference.edge_pull(g, x, coef, grid, spec.differentiated()) if needed[0] else None
        dc = reference.edge_outer(g, x, grid, spec, h) if needed[1] else None
        db = None if bias is None else g.sum_to_size(bias.shape).to(bias.dtype)
        return dx if dx is None or h is None else dx * h, dc, db
    x, coef = x.contiguous(), coef.contiguous()
    dx = torch.empty_like(x) if needed[0] else None
    dc = torch.empty_like(coef) if needed[1] else None
    db = None if bias is None else torch.empty_like(bias)
    _call("gradients", x, coef, grid, spec, h, spec.order + 1, g=g, pulled=dx, outer=dc, bias_sum=db)
    return dx, dc, db


def _fits(
    spec: EdgeSpec, x: Tensor, grid: Tensor, coef: Tensor | None, g: Tensor | None = None, h: Tensor | None = None,
    bias: Tensor | None = None,
) -> bool:  # fmt: skip
    """Whether these are the tensors of one layer, of one dtype and in plain reach; not what their values are."""
    basis: Any = spec.basis
    *batch, features = x.shape or (0,)
    *_, out = (g if coef is None else coef).shape or (0,)  # pyright: ignore[reportOptionalMemberAccess]
    return (
        features > 0
        and x.is_cpu
        and _is(grid, (features, basis.intervals + 1), x)
        and (
            coef is None or _is(coef, (features, basis.intervals + basis.degree + (spec.residual is not None), out), x)
        )
        and (g is None or _is(g, (*batch, out), x))
        and (h is None or _is(h, x.shape, x))
        and (bias is None or _is(bias, (out,), x))
    )


def _is(t: Tensor, shape: tuple[int, ...], x: Tensor) -> bool:
    """Whether a tensor has this shape, and the dtype of x on the CPU."""
    return t.shape == shape and t.dtype is x.dtype and t.is_cpu


def multiply_add(dtype: torch.dtype, rounds: int) -> float:
    """Multiply and add in registers on all threads; returns the number of floating-point operations (csrc/peak.h)."""
    load.function("multiply_add", dtype).restype = ctypes.c_double
    return load.call("multiply_add", dtype, ctypes.c_int64(rounds))


def _call(
    name: str, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None, *rest: int,
    bias: Tensor | None = None, g: Tensor | None = None, y: Tensor | None = None, pulled: Tensor | None = None,
    outer: Tensor | None = None, bias_sum: Tensor | None = None,
) -> None:  # fmt: skip
    """Call a native function; x and coef are dense."""
    basis: Any = spec.basis
    batch, features = x.numel(), x.shape[-1]
    plan = grid_plan(grid, basis)
    h, g = h if h is None else h.contiguous(), g if g is None else g.contiguous()
    # Written out: a loop over the tensors takes as long as a native call on one sample.
    args = _ARGS.pack(
        x.data_ptr(),
        0 if h is None else h.data_ptr(),
        coef.data_ptr(),
        0 if bias is None else bias.data_ptr(),
        0 if g is None else g.data_ptr(),
        0 if y is None else y.data_ptr(),
        0 if pulled is None else pulled.data_ptr(),
        0 if outer is None else outer.data_ptr(),
        0 if bias_sum is None else bias_sum.data_ptr(),
        plan.data_ptr(),
        batch // features,
        features,
        coef.shape[-1],
        basis.intervals,
        basis.degree,
        spec.order,
        RESIDUAL[spec.residual],
        0,
    )
    status = load.call(name, x.dtype, args, *rest)
    if status:
        raise RuntimeError(f"native kernel {name} refused its arguments")


class _Plan(NamedTuple):
    grid: weakref.ref
    version: int
    address: int
    basis: BSpline
    plan: Tensor


_plans: dict[int, _Plan] = {}


def grid_plan(grid: Tensor, basis: BSpline) -> Tensor:
    """The polynomials and look-up tables of a grid (csrc/plan.h), kept while the grid lives and does not change.

    Raises `ValueError` for a grid whose points do not increase, by which samples cannot be sorted into intervals.
    """
    key = id(grid)
    kept = _plans.get(key)
    if (
        kept is not None
        and kept.grid() is grid
        and kept.version == grid._version
        and kept.address == grid.data_ptr()
        and (kept.basis is basis or kept.basis == basis)
    ):
        return kept.plan
    plan = _make_plan(grid, basis)
    if not grid.is_inference():  # that has no version counter
        forget = weakref.ref(grid, lambda _: _plans.pop(key, None))
        _plans[key] = _Plan(forget, grid._version, grid.data_ptr(), basis, plan)
    return plan


def _make_plan(grid: Tensor, basis: BSpline) -> Tensor:
    library, suffix = load.library(), SUFFIX[grid.dtype]
    assert library is not None
    features, intervals, degree = grid.shape[0], basis.intervals, basis.degree
    size = getattr(library, f"ew_plan_bytes_{suffix}")
    size.restype = ctypes.c_int64
    dense = grid.detach().contiguous()
    if not (torch.isfinite(dense).all() and (dense.diff(dim=-1) >= 0).all()):
        raise ValueError(
            "a grid has points that are not finite or do not increase; set it with `adapt_grid_` on finite data"
        )
    plan = torch.empty(size(ctypes.c_int64(features), intervals, degree), dtype=torch.uint8, device="cpu")
    getattr(library, f"ew_plan_{suffix}")(
        ctypes.c_void_p(dense.data_ptr()),
        ctypes.c_int64(features),
        intervals,
        degree,
        int(basis.knots == "clamped"),
        ctypes.c_void_p(plan.data_ptr()),
    )
    return plan
