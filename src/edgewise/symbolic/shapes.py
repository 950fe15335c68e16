r"""Projects curves onto shapes (increasing, convex, even, ...) and functions onto shapes and symmetries.

A B-spline is increasing where its coefficients are, and convex where the slopes of its control polygon increase
(de Boor, A Practical Guide to Splines, chapter XI): both are sums of steps that must not be negative, so that the
nearest such curve is a constrained least squares problem in the coefficients.

Shapes of edges are sufficient for a network of sums, not necessary: a sum of increasing functions of increasing ones is
increasing; one of increasing convex functions of convex ones is convex. A function is symmetric in two inputs where
their edges carry the same curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from scipy.optimize import lsq_linear
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.functional import least_squares
from edgewise.nn import KAN, KANLinear, SymbolicEdges
from edgewise.nn.layers import EdgeKey, EdgeLike, find_edge, find_layer, owned, replaced, with_layers

SHAPES = ("increasing", "decreasing", "convex", "concave", "increasing convex", "increasing concave", "even", "odd")

LATER_SHAPE = {
    "increasing": "increasing",
    "decreasing": "increasing",
    "convex": "increasing convex",
    "concave": "increasing concave",
}
"""The shape that every edge after the first layer needs, by the shape of the function."""

M = TypeVar("M", bound=nn.Module)


def shaped(model: M, edge: EdgeLike, shape: str) -> M:
    """The model with the curve of one edge, its residual included, replaced by the nearest curve of a shape.

    Args:
        model: any module with KAN layers of B-splines.
        edge: an `EdgeKey`, or a tuple (layer, source, target) with the name or the index of the layer.
        shape: one of `SHAPES`; "even" and "odd" are about zero and need a grid that is symmetric about zero.
    """
    name, layer = find_edge(model, edge)
    _, j, i = edge
    if not layer.mask[j, i]:
        raise ValueError(f"layer {name!r}: edge (in={j}, out={i}) is not a curve; `release` it first")
    if not isinstance(layer.basis, BSpline) or layer.basis.knots != "clamped" or layer.basis.degree < 1:
        raise ValueError(f"layer {name!r}: shapes need B-splines of degree 1 or more with clamped knots")
    grid = layer.grid[j : j + 1].double()
    low, high = grid[0, 0].item(), grid[0, -1].item()
    if shape in ("even", "odd") and not (grid + grid.flip(-1)).abs().amax() < 1e-6 * (high - low):
        raise ValueError(
            f"layer {name!r}: the grid of input {j} is from {low:.3g} to {high:.3g}; an {shape} curve needs one "
            "that is symmetric about zero"
        )
    t = torch.linspace(low, high, 20 * layer.basis.size + 1, dtype=torch.float64)
    with torch.no_grad():
        inputs = t[:, None].expand(-1, layer.in_features).to(layer.coef.dtype)
        values = layer.edge_values(inputs)[:, j, i].double()
    B = layer.basis.evaluate(t[:, None], grid)[:, 0]
    knots = layer.basis.greville(grid)[0]
    coef = layer.coef.detach().clone()
    coef[j, :, i] = 0
    coef[j, : layer.basis.size, i] = _coefficients(B, values, knots, shape).to(coef)
    return with_layers(model, {name: replaced(layer, coef=coef)})


def edge_shapes(model: KAN, shape: str, inputs: Sequence[int]) -> dict[EdgeKey, str]:
    """The shapes of edges that give the function a shape in these inputs (in all, where none is given)."""
    if shape not in LATER_SHAPE:
        raise ValueError(f"a function can be {', '.join(LATER_SHAPE)}, not {shape!r}")
    layers: list[nn.Module] = list(model.layers)
    if not all(isinstance(layer, KANLinear) for layer in layers):
        raise ValueError("products of nodes do not preserve shapes; only networks of sums can be constrained")
    _check_inputs(model, inputs)
    found: dict[EdgeKey, str] = {}
    for l, layer in enumerate(layers):
        assert isinstance(layer, KANLinear)
        for j, i in owned(layer).nonzero().tolist():
            if l == 0 and inputs and j not in inputs:
                continue
            if not layer.mask[j, i]:
                raise ValueError(f"edge {(l, j, i)} is a symbol, whose shape is fixed; `release` it first")
            found[EdgeKey(l, j, i)] = shape if l == 0 else LATER_SHAPE[shape]
    return found


def symmetric(model: KAN, p: int, q: int) -> KAN:
    """The model with curves and symbols of two inputs replaced by their mean, so that the inputs can be exchanged."""
    _check_inputs(model, (p, q))
    name, layer = find_layer(model, 0)
    symbolic = _symmetric_symbols(name, layer, p, q)
    scaled = model.input_affine
    same = torch.equal(layer.grid[p], layer.grid[q]) and torch.equal(layer.mask[p], layer.mask[q])
    if scaled is not None:
        same = same and bool(scaled.scale[p] == scaled.scale[q]) and bool(scaled.shift[p] == scaled.shift[q])
    if not same:
        raise ValueError(f"inputs {p} and {q} have different grids, edges or scales; they cannot be exchanged")
    coef = layer.coef.detach().clone()
    coef[[p, q]] = coef[[p, q]].mean(0)
    return with_layers(model, {name: replaced(layer, coef=coef, symbolic=symbolic)})


def _symmetric_symbols(name: str, layer: KANLinear, p: int, q: int) -> SymbolicEdges:
    """The symbols with the parameters of two inputs replaced by their mean."""
    symbols = layer.symbolic
    if symbols.affine is None:
        return symbols
    rows = {pair: n for n, pair in enumerate(zip(symbols.sources.tolist(), symbols.targets.tolist(), strict=True))}
    affine = symbols.affine.detach().clone()
    for i in range(layer.out_features):
        pair = [rows.get((j, i)) for j in (p, q)]
        if pair == [None, None]:
            continue
        a, b = pair
        if a is None or b is None or symbols.functions[a].name != symbols.functions[b].name:
            raise ValueError(
                f"layer {name!r}: the edges of inputs {p} and {q} to {i} do not carry one function; "
                "`share` one between them, or `release` both"
            )
        affine[[a, b]] = affine[[a, b]].mean(0)
    return SymbolicEdges(symbols.functions, symbols.sources, symbols.targets, affine)


def _check_inputs(model: KAN, inputs: Sequence[int]) -> None:
    for j in inputs:
        if not 0 <= j < model.in_features:
            raise ValueError(f"there is no input {j}; the model has 0 to {model.in_features - 1}")


def _coefficients(B: Tensor, values: Tensor, knots: Tensor, shape: str) -> Tensor:
    if shape in ("even", "odd"):
        values = (values + values.flip(0)) / 2 if shape == "even" else (values - values.flip(0)) / 2
        return least_squares(B, values[:, None])[:, 0]
    sign = -1.0 if shape in ("decreasing", "concave") else 1.0
    steps, free = _steps(knots, shape)
    low = np.r_[np.full(free, -np.inf), np.zeros(len(knots) - free)]
    solution = lsq_linear((B @ steps).numpy(), (sign * values).numpy(), bounds=(low, np.inf), method="bvls", tol=1e-14)
    return sign * steps @ torch.from_numpy(solution.x)


def _steps(knots: Tensor, shape: str) -> tuple[Tensor, int]:
    """Columns that span the polygons of a shape; the first few coefficients are free, the others non-negative."""
    n = len(knots)
    if shape in ("increasing", "decreasing"):
        return torch.tril(torch.ones(n, n, dtype=torch.float64)), 1
    one = torch.ones(n, 1, dtype=torch.float64)
    rising = (knots[:, None] - knots[None, :]).clamp_min(0)  # from every knot on; to every knot is minus its transpose
    if shape == "increasing concave":
        return torch.cat([one, -rising.T[:, 1:]], 1), 1
    return torch.cat([one, rising[:, : n - 1]], 1), 1 if shape == "increasing convex" else 2
