r"""The Gauss-Newton matrix of small networks of B-splines in native code, in float64.

A sample reaches `degree + 1` of the `intervals + degree` functions of an edge. Layer after layer, `curves` computes
these windows with the outputs of S networks, and `pull_back` the derivatives in the inputs of a layer; `add_gram` then
sums $J^T A^T A J$ from the windows and the derivatives in the nodes (csrc/gram.h): its work does not grow with the
intervals.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.kernels.cpu import load
from edgewise.kernels.cpu.layer import RESIDUAL
from edgewise.kernels.plain import foreign
from edgewise.kernels.reference import EdgeSpec

MAX_DEGREE = 9
MAX_FUNCTIONS = 10  # of one feature that a sample reaches
EXTRAPOLATION = {"linear": 0, "constant": 1, "polynomial": 2, "zero": 3}

# The C structs of csrc/windows.h and csrc/gram.h.
_CURVES = struct.Struct("@9P6q4iq")
_FEATURE, _LAYER, _GRAM = struct.Struct("@3P2q6i"), struct.Struct("@Pq"), struct.Struct("@4P6q")


@dataclass(frozen=True)
class Windows:
    """The functions of a layer that do not vanish at its inputs, of one network or of S.

    Attributes:
        values: (sets, in, samples, stride), `degree + 1` of them and zeros; sets is 1 where all networks share them.
        interval: the first of the functions, (sets, in, samples).
        residual: the residual function, (sets, in, samples); None where there is none.
    """

    values: Tensor
    interval: Tensor
    residual: Tensor | None


@dataclass(frozen=True)
class LocalFeature:
    """Functions of one input, and the parameters that multiply them on the way to every node.

    Attributes:
        layer: the position of the layer among those given to `add_gram`.
        places: the position of every parameter, (functions, nodes); -1 where there is none.
        windows: (sets, samples, stride), the stride 1 or a multiple of 4, zeros past the functions; None for a
            constant 1.
        functions: how many of the stride are meant.
        interval: (sets, samples); None where all functions are in the window.
    """

    layer: int
    places: Tensor
    windows: Tensor | None
    functions: int
    interval: Tensor | None = None


def refuses(specs: Sequence[EdgeSpec], x: Tensor) -> str | None:
    """Why native code does not serve layers of these functions at inputs like x; None where it does."""
    if x.dtype != torch.float64 or not x.is_cpu:
        return f"inputs are {x.dtype} on {x.device}, not float64 on the CPU"
    for spec in specs:
        basis = spec.basis
        if not isinstance(basis, BSpline) or not 1 <= basis.degree <= MAX_DEGREE:
            return f"it computes B-splines of degree 1 to {MAX_DEGREE}, not {basis}"
        if spec.residual not in RESIDUAL or spec.order != 0:
            return f"residual function {spec.residual!r} of order {spec.order} is not compiled in"
    return load.why_not()


def curves(
    spec: EdgeSpec,
    x: Tensor,
    knots: Tensor,
    coef: Tensor,
    bias: Tensor | None,
    *,
    slopes: bool = False,
    known: Windows | None = None,
) -> tuple[Windows, Tensor, Tensor | None]:
    """The windows, the outputs of S layers, and with `slopes` the derivative of every output in every input.

    Shapes: x (S or 1, in, samples), knots (S or 1, in, intervals + 1 + 2 degree), coef (S, in, rows, out), bias
    (S, out); the outputs (S, out, samples), the derivatives (S, in, out, samples). `known` are windows of an earlier
    call with the same inputs and knots. Other shapes raise `ValueError`.
    """
    basis = spec.basis
    assert isinstance(basis, BSpline)
    starts, features, _, out = coef.shape
    samples, count = x.shape[-1], basis.intervals + 1 + 2 * basis.degree
    sets = max(len(x), len(knots))
    _check("x", x, (len(x), features, samples))
    _check("knots", knots, (len(knots), features, count))
    _check("coef", coef, (starts, features, spec.size, out))
    if bias is not None:
        _check("bias", bias, (starts, out))
    if starts < 1 or {len(x), len(knots)} - {1, starts} or (known is not None and slopes):
        raise ValueError(f"{len(x)} sets of inputs and {len(knots)} of knots are neither one nor those of {starts}")
    if reason := refuses([spec], x):
        raise ValueError(reason)
    kind, width = RESIDUAL[spec.residual], _stride(basis.degree + 1)
    if known is None:
        windows = Windows(
            x.new_empty(sets, features, samples, width),
            torch.empty(sets, features, samples, dtype=torch.int32),
            x.new_empty(sets, features, samples) if kind else None,
        )
    else:
        windows = known
        _check("known windows", windows.values, (sets, features, samples, width))
        if (windows.residual is not None) != bool(kind):
            raise ValueError("the known windows are those of another residual function")
    y = x.new_empty(starts, out, samples)
    slope = x.new_empty(starts, features, out, samples) if slopes else None
    args = _CURVES.pack(
        *map(_address, (x, knots, coef, bias, windows.interval, windows.values, windows.residual, y, slope)),
        *(starts, len(x), len(knots), features, out, samples),
        *(basis.intervals, basis.degree, kind, EXTRAPOLATION[basis.extrapolation], known is not None),
    )
    if load.call("curves", torch.float64, args):
        raise ValueError("the known windows name intervals that the basis does not have")
    return windows, y, slope


def pull_back(u: Tensor, slope: Tensor) -> Tensor:
    r"""$v_{rj} = \sum_i u_{ri}\,\phi_{ij}'(x_j)$ at every sample: (S, r, in, samples).

    Shapes: u (S, r, out, samples), slope (S, in, out, samples).
    """
    starts, combinations, out, samples = u.shape
    features = slope.shape[1]
    _check("u", u, u.shape)
    _check("slope", slope, (starts, features, out, samples))
    v = u.new_empty(starts, combinations, features, samples)
    sizes = map(ctypes.c_int64, (starts, combinations, features, out, samples))
    load.call("pull_back", torch.float64, *(ctypes.c_void_p(t.data_ptr()) for t in (u, slope, v)), *sizes)
    return v


def add_gram(
    features: Sequence[LocalFeature],
    layers: Sequence[Tensor],
    gram: Tensor,
    gradient: Tensor,
) -> None:
    r"""Add $\sum_{b,r} J_{rb}^T J_{rb}$ over all combinations but the last, and the gradient along the last, in place.

    Args:
        features: of all layers, in the order of these.
        layers: of every layer the derivatives of every combination of the outputs in its nodes, (S, r, nodes, samples).
        gram: (S, P, P).
        gradient: (S, P).
    """
    starts, p = gradient.shape
    _check("gram", gram, (starts, p, p))
    _check("gradient", gradient, (starts, p))
    combinations, samples = layers[0].shape[1], layers[0].shape[3]
    for u in layers:
        _check("derivatives in the nodes", u, (starts, combinations, u.shape[2], samples))
    numbers = [f.layer for f in features]
    if numbers != sorted(numbers) or not set(numbers) <= set(range(len(layers))):
        raise ValueError(f"the features must come in the order of the {len(layers)} layers, got {numbers}")
    packed = b"".join(_packed(f, starts, layers[f.layer].shape[2], samples, p) for f in features)
    nodes = b"".join(_LAYER.pack(u.data_ptr(), u.shape[2]) for u in layers)
    head = _GRAM.pack(
        *(ctypes.cast(ctypes.c_char_p(part), ctypes.c_void_p).value or 0 for part in (packed, nodes)),
        gram.data_ptr(),
        gradient.data_ptr(),
        *(len(features), len(layers), starts, combinations - 1, samples, p),
    )
    if wrong := load.call("gram", torch.float64, head):
        raise ValueError(f"feature {wrong - 1} names parameters or intervals that do not exist")


def _packed(f: LocalFeature, starts: int, nodes: int, samples: int, parameters: int) -> bytes:
    """The struct of a feature, checked against the shapes that native code will assume."""
    places, windows, interval = f.places, f.windows, f.interval
    for t in (places, interval):
        if t is not None and (not t.is_cpu or foreign(t) is not None):
            raise ValueError(f"places and intervals must be on the CPU, got {t.device}")
    rows = len(places)
    if places.shape != (rows, nodes) or places.dtype != torch.int32 or not places.is_contiguous():
        raise ValueError(f"places must be (functions, {nodes}) contiguous int32, got {tuple(places.shape)}")
    stride = 0 if windows is None else windows.shape[2]
    if not 1 <= f.functions <= MAX_FUNCTIONS or f.functions > max(stride, 1) or rows < f.functions:
        raise ValueError(f"{f.functions} functions do not fit into windows of {stride} and {rows} rows")
    if stride > 1 and stride % 4:
        raise ValueError(f"vectors of four are read: windows need a stride of 1 or a multiple of 4, got {stride}")
    if windows is not None:
        _check("windows", windows, (len(windows), samples, stride), lone=True)
    if interval is None:
        if rows != f.functions:
            raise ValueError(f"without intervals a feature has as many rows as functions, got {rows}, {f.functions}")
    elif interval.shape != (len(interval), samples) or interval.dtype != torch.int32 or interval.stride(1) != 1:
        raise ValueError(f"interval must be (sets, {samples}) int32, got {tuple(interval.shape)}")
    for t in (windows, interval):
        if t is not None and len(t) not in (1, starts):
            raise ValueError(f"{len(t)} sets of windows are neither one nor those of {starts} networks")
    return _FEATURE.pack(
        *map(_address, (windows, interval, places)),
        0 if windows is None or len(windows) == 1 else windows.stride(0),
        0 if interval is None or len(interval) == 1 else interval.stride(0),
        *(f.functions, stride, rows, 1 if interval is None else rows - f.functions + 1, f.layer, 0),
    )


def _stride(functions: int) -> int:
    """Values between two windows; window_stride of csrc/windows.h."""
    return (functions + 3) // 4 * 4


def _address(t: Tensor | None) -> int:
    return 0 if t is None else t.data_ptr()


def _check(name: str, t: Tensor, shape: Sequence[int], *, lone: bool = False) -> None:
    """`ValueError` where native code would read other memory than the tensor's own; `lone` allows gaps between sets."""
    dense = t[0].is_contiguous() if lone and len(t) else t.is_contiguous()
    if t.shape != tuple(shape) or t.dtype != torch.float64 or not t.is_cpu or not dense or foreign(t) is not None:
        raise ValueError(
            f"{name} must be contiguous float64 of the shape {tuple(shape)} on the CPU, got {t.dtype} of the shape "
            f"{tuple(t.shape)}"
        )
