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
from edgewise.exporting.prediction import ClassProbabilities
from edgewise.nn import (
    DEFAULT_LIBRARY,
    KAN,
    Affine,
    GroupRational,
    KANFeedForward,
    KANLinear,
    ProductNodes,
    SymbolicFn,
)


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
        basis: of the curves; None where no edge is a curve, as in a linear layer.
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


@dataclass(frozen=True)
class RationalTables:
    r"""Rational units, $\sum_m a_{jm} x_j^m / (1 + |\sum_m b_m x_j^m|)$, b from order 1."""

    numerator: Float[Tensor, "features orders"]
    denominator: Float[Tensor, " more"]


Step = EdgeTables | AffineTables | Products | RationalTables | Softmax


def tables_of(model: nn.Module, format: str) -> list[Step]:
    """The steps of a network, in float64.

    Raises:
        TypeError: a part of the model is no layer that programs are written for.
        ValueError: a symbol is not in the default library, and would be another function elsewhere.
    """
    if isinstance(model, ClassProbabilities):
        return [*tables_of(model.network, format), Softmax(len(model.classes))]
    return _steps(copy.deepcopy(model).double(), format)  # a copy in which adapters are merged without rounding


def _steps(model: nn.Module, format: str) -> list[Step]:
    """The steps of a module, and of its parts where they are computed one after the other."""
    step = _step(model, format)
    return [step] if step is not None else [s for part in _parts(model, format) for s in _steps(part, format)]


def _step(model: nn.Module, format: str) -> Step | None:
    """The step of a module that is one."""
    if isinstance(model, KANLinear):
        return _edges(model, format)
    if isinstance(model, nn.Linear):
        return _linear(model)
    if isinstance(model, ProductNodes):
        return Products(model.sums, model.arities)
    if isinstance(model, Affine):
        return _affine(model)
    if isinstance(model, GroupRational) and model.dim == -1:
        numerator = model.numerator.detach().cpu().repeat_interleave(model.features // model.groups, 0)
        return RationalTables(numerator, model.denominator.detach().cpu())
    return None


def _parts(model: nn.Module, format: str) -> list[nn.Module]:
    if isinstance(model, nn.Identity | nn.Dropout):
        return []
    if isinstance(model, KAN):
        ends = [[end] if end is not None else [] for end in (model.input_affine, model.output_affine)]
        return [*ends[0], *model.layers, *ends[1]]
    if isinstance(model, KANFeedForward):
        return [model.first, model.up, model.second, model.down]
    if isinstance(model, nn.Sequential):
        return list(model)
    raise TypeError(
        f"the format {format!r} has no program for a {type(model).__name__}; it takes a KAN, linear layers, layers of "
        "curves and rational units one after the other, and formulas"
    )


def _linear(layer: nn.Linear) -> EdgeTables:
    """A linear layer: edges that are the identity with weights."""
    weights = layer.weight.detach().cpu().T
    ins, outs = weights.shape
    bias = torch.zeros(outs, dtype=torch.float64) if layer.bias is None else layer.bias.detach().cpu()
    return EdgeTables(None, torch.zeros(ins, 0), None, torch.zeros(ins, 0, outs), "identity", weights, (), bias)


def _affine(affine: Affine) -> AffineTables:
    return AffineTables(affine.scale.detach().cpu().double(), affine.shift.detach().cpu().double())


@torch.no_grad()
def _edges(layer: KANLinear, format: str) -> EdgeTables:
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
        tuple(_symbols(layer, format)),
        bias.double(),
    )


def _symbols(layer: KANLinear, format: str) -> list[Symbol]:
    symbolic = layer.symbolic
    for fn in symbolic.functions:
        _check_known(fn, format)
    if symbolic.affine is None:
        return []
    rows: list[Any] = symbolic.affine.detach().cpu().double().tolist()
    ends = zip(symbolic.sources.tolist(), symbolic.targets.tolist(), strict=True)
    return [
        Symbol(fn.name, j, i, (row[0], row[1], row[2], row[3]))
        for fn, (j, i), row in zip(symbolic.functions, ends, rows, strict=True)
    ]


def _check_known(fn: SymbolicFn, format: str) -> None:
    if fn.name not in DEFAULT_LIBRARY or DEFAULT_LIBRARY[fn.name] != fn:
        raise ValueError(
            f"the format {format!r} has no function {fn.name!r}; release the edge with "
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
