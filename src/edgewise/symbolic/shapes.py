r"""Curves of a given shape: the nearest one, by constrained least squares on the coefficients.

A B-spline is increasing where its coefficients are, and convex where the slopes of its control polygon increase
(de Boor, A Practical Guide to Splines, chapter XI): both are sums of steps that must not be negative.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from scipy.optimize import lsq_linear
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn.layers import find_layer, replaced, with_layers

SHAPES = ("increasing", "decreasing", "convex", "concave", "increasing convex", "increasing concave", "even", "odd")

M = TypeVar("M", bound=nn.Module)


def shaped(model: M, edge: tuple[int, int, int], shape: str) -> M:
    """The model with the curve of one edge replaced by the nearest one of a shape, which also takes in the residual.

    Args:
        model: any module with KAN layers of B-splines.
        edge: number of the layer among the KAN layers, input and output.
        shape: one of `SHAPES`; "even" and "odd" are about zero, and their grid must reach equally far to both sides.
    """
    name, layer = find_layer(model, edge[0])
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


def _coefficients(B: Tensor, values: Tensor, knots: Tensor, shape: str) -> Tensor:
    if shape in ("even", "odd"):
        values = (values + values.flip(0)) / 2 if shape == "even" else (values - values.flip(0)) / 2
        return torch.linalg.lstsq(B, values[:, None]).solution[:, 0]
    sign = -1.0 if shape in ("decreasing", "concave") else 1.0
    steps, free = _steps(knots, shape)
    low = np.r_[np.full(free, -np.inf), np.zeros(len(knots) - free)]
    solution = lsq_linear((B @ steps).numpy(), (sign * values).numpy(), bounds=(low, np.inf), method="bvls", tol=1e-14)
    return sign * steps @ torch.from_numpy(solution.x)


def _steps(knots: Tensor, shape: str) -> tuple[Tensor, int]:
    """Columns whose sums are all polygons of a shape; the first few take any number, the others none below zero."""
    n = len(knots)
    if shape in ("increasing", "decreasing"):
        return torch.tril(torch.ones(n, n, dtype=torch.float64)), 1
    one = torch.ones(n, 1, dtype=torch.float64)
    rising = (knots[:, None] - knots[None, :]).clamp_min(0)  # from every knot on; to every knot is minus its transpose
    if shape == "increasing concave":
        return torch.cat([one, -rising.T[:, 1:]], 1), 1
    return torch.cat([one, rising[:, : n - 1]], 1), 1 if shape == "increasing convex" else 2
