r"""A network as tables of numbers: what programs in C, JavaScript, Python and SQL are written from.

A spline is stored locally: on each interval the `degree + 1` functions that do not vanish, as polynomials in the
distance $d = x - t_m$ to the left end of the interval, and one piece more at either end for what the curve does
outside.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from math import factorial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis, BSpline
from edgewise.exporting.subject import ClassProbabilities
from edgewise.nn import DEFAULT_LIBRARY, KAN, Affine, KANLinear, ProductNodes, SymbolicFn


@dataclass(frozen=True)
class Symbol:
    r"""An edge $\gamma f(\alpha x + \beta) + \delta$, by the name of f in the default library."""

    function: str
    source: int
    target: int
    affine: tuple[float, float, float, float]


@dataclass(frozen=True)
class EdgeTables:
    """A layer of edges.

    Args:
        basis: of the curves; None where no edge is a curve.
        points: the grid (in, points).
        local: of splines, (in, intervals + 2, functions, powers); None for other bases.
        coef: (in, size, out), zero where an edge is no curve.
        residual: its name, or None.
        weights: of the residual function, (in, out).
        symbols: the edges that are symbols.
        bias: (out,).
    """

    basis: Basis | None
    points: Float[Tensor, "in points"]
    local: Float[Tensor, "in pieces functions powers"] | None
    coef: Float[Tensor, "in size out"]
    residual: str | None
    weights: Float[Tensor, "in out"] | None
    symbols: tuple[Symbol, ...]
    bias: Float[Tensor, " out"]

    @property
    def in_features(self) -> int:
        return self.coef.shape[0]

    @property
    def out_features(self) -> int:
        return self.coef.shape[2]


@dataclass(frozen=True)
class AffineTables:
    """A change of units, $s_i x_i + t_i$."""

    scale: Float[Tensor, " features"]
    shift: Float[Tensor, " features"]


@dataclass(frozen=True)
class Products:
    """`ProductNodes` with so many plain sums in front."""

    sums: int
    arities: tuple[int, ...]


@dataclass(frozen=True)
class Softmax:
    """Scores to probabilities; one score s stands for (0, s)."""

    classes: int


Step = EdgeTables | AffineTables | Products | Softmax


def tables_of(model: nn.Module, format: str) -> list[Step]:
    """The steps of a network, in float64.

    Raises:
        TypeError: the model is neither a KAN nor a KANLinear, nor a classifier with one.
        ValueError: a symbol is not in the default library, and would be another function elsewhere.
    """
    if isinstance(model, ClassProbabilities):
        return [*tables_of(model.network, format), Softmax(len(model.classes))]
    if not isinstance(model, KAN | KANLinear):
        raise TypeError(f"the format {format!r} takes a KAN, a KANLinear or a formula, not a {type(model).__name__}")
    model = copy.deepcopy(model).double()  # so that adapters are merged without rounding
    if isinstance(model, KANLinear):
        return [_edges(model, 0, format)]
    steps: list[Step] = [_affine(model.input_affine)] if model.input_affine is not None else []
    for n, layer in enumerate(model.layers):
        if isinstance(layer, ProductNodes):
            steps.append(Products(layer.sums, layer.arities))
        elif isinstance(layer, KANLinear):
            steps.append(_edges(layer, n, format))
        else:
            raise TypeError(f"the format {format!r} knows no layer {type(layer).__name__} (layer {n})")
    return [*steps, *([_affine(model.output_affine)] if model.output_affine is not None else [])]


def _affine(affine: Affine) -> AffineTables:
    return AffineTables(affine.scale.detach().cpu().double(), affine.shift.detach().cpu().double())


@torch.no_grad()
def _edges(layer: KANLinear, n: int, format: str) -> EdgeTables:
    curves = torch.where(layer.mask[:, None], layer.curves(), 0).detach().cpu().double()
    size = layer.basis.size
    bias = torch.zeros(layer.out_features) if layer.bias is None else layer.bias.detach().cpu()
    grid = layer.grid.detach().cpu().double()
    some = bool(layer.mask.any())
    local = _local(layer.basis, grid) if isinstance(layer.basis, BSpline) else None
    return EdgeTables(
        layer.basis if some else None,
        grid,
        local if some else None,
        curves[:, :size],
        layer.residual if some else None,
        curves[:, size] if some and layer.residual is not None else None,
        tuple(_symbols(layer, n, format)),
        bias.double(),
    )


def _symbols(layer: KANLinear, n: int, format: str) -> list[Symbol]:
    symbolic = layer.symbolic
    for fn in symbolic.functions:
        _check_known(fn, n, format)
    if symbolic.affine is None:
        return []
    rows: list[Any] = symbolic.affine.detach().cpu().double().tolist()
    ends = zip(symbolic.sources.tolist(), symbolic.targets.tolist(), strict=True)
    return [
        Symbol(fn.name, j, i, (row[0], row[1], row[2], row[3]))
        for fn, (j, i), row in zip(symbolic.functions, ends, rows, strict=True)
    ]


def _check_known(fn: SymbolicFn, n: int, format: str) -> None:
    if fn.name not in DEFAULT_LIBRARY or DEFAULT_LIBRARY[fn.name] != fn:
        raise ValueError(
            f"layer {n}: the format {format!r} has no function {fn.name!r}; release the edge with "
            "`edgewise.surgery.release`, or use functions of `edgewise.nn.DEFAULT_LIBRARY`"
        )


def _local(basis: BSpline, grid: Float[Tensor, "in points"]) -> Float[Tensor, "in pieces functions powers"]:
    """The polynomials of the functions on the pieces: below the grid, on every interval, above it."""
    whole = dataclasses.replace(basis, extrapolation="polynomial")
    powers = [whole.local_derivative(grid.T, grid, d)[1] / factorial(d) for d in range(basis.degree + 1)]
    at_points = torch.stack(powers, -1).movedim(1, 0)  # (in, points, functions, powers)
    below, above = at_points[:, :1].clone(), at_points[:, -1:].clone()
    kept = {"linear": 2, "constant": 1, "zero": 0, "polynomial": basis.degree + 1}[basis.extrapolation]
    below[..., kept:], above[..., kept:] = 0, 0
    return torch.cat([below, at_points[:, :-1], above], 1)
