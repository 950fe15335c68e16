r"""Concentrate grids and collocation points where a field is steep, as a shock needs.

The grid of a coordinate is moved such that the fields change about equally between its points. Half of the collocation
points are then spread evenly over the grid intervals; the squared residual of the equation is divided by the density of
the points, so that its mean remains an integral over the domain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.jets import taylor, unit
from edgewise.nn import KAN, KANLinear
from edgewise.pde.initial_networks import MARGIN
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.surgery import adapt_grid_

TINY = 1e-300  # in place of a standard deviation of 0


@torch.no_grad()
def grade_(model: nn.Module, problem: Problem, amount: float, generator: torch.Generator) -> None:
    """Move the grids of the first layer by how much the fields change: `amount` of the way from even ones."""
    assert isinstance(model, KAN)
    d = len(problem.domain.coordinates)
    x = problem.points(4000, generator, "uniform")
    # Even points may miss a front: half of the points follow the grid, which is already denser there.
    x = torch.cat([x, warped(model, problem, x)])
    density = _density(model, problem, x)
    jets = problem.jets(model, x, taylor([unit(d, j) for j in range(d)]))
    columns = []
    for j in range(d):
        slopes = [(u.derivative(unit(d, j)) / u.value.std().clamp(min=TINY)).square() for u in jets.values()]
        change = torch.stack(slopes).sum(0).sqrt()
        if not bool(torch.isfinite(change).all()) or not bool((change > 0).any()):
            columns.append(x[:, j])  # nothing changes along this coordinate
            continue
        mean = (change / density).sum() / (1 / density).sum()
        drawn = torch.multinomial((change + mean) / density, len(x), replacement=True, generator=generator)
        columns.append(x[drawn, j])
    inputs = torch.cat([torch.stack(columns, -1), torch.tensor(problem.domain.bounds, dtype=x.dtype).T])
    if model.input_affine is not None:
        inputs = model.input_affine(inputs)
    adapt_grid_(_first(model), inputs, adaptive=amount, margin=MARGIN)


@torch.no_grad()
def graded_terms(model: nn.Module, problem: Problem, terms: Sequence[ResidualTerm]) -> list[ResidualTerm]:
    """The terms with every other point moved to where the grid is dense; points on a face of the box stay on it."""
    result = []
    for n, term in enumerate(terms):
        if term.columns:  # values are known at these points only
            result.append(term)
            continue
        x = term.points.clone()
        x[:, ::2] = warped(model, problem, x[:, ::2].flatten(0, 1)).reshape(x[:, ::2].shape)
        scale = _density(model, problem, x[0]).rsqrt() if n == 0 else None
        result.append(dataclasses.replace(term, points=x, scale=scale))
    return result


@torch.no_grad()
def warped(model: nn.Module, problem: Problem, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Points mapped such that a uniform density over the domain becomes one over the grid intervals; the ends stay."""
    columns = []
    for j, knots in enumerate(_knots(model, problem)):
        place = (x[:, j] - knots[0]) / (knots[-1] - knots[0]) * (len(knots) - 1)
        left = place.long().clamp(0, len(knots) - 2)
        columns.append(torch.lerp(knots[left], knots[left + 1], place - left))
    return torch.stack(columns, -1)


def _density(model: nn.Module, problem: Problem, x: Tensor) -> Float[Tensor, " n"]:
    """The density of points of which half are warped, relative to uniform ones."""
    ratio = torch.ones_like(x[:, 0])
    for j, knots in enumerate(_knots(model, problem)):
        cell = torch.searchsorted(knots[1:-1].contiguous(), x[:, j].contiguous())
        ratio = ratio * ((knots[-1] - knots[0]) / (len(knots) - 1)) / knots.diff()[cell]
    return (1 + ratio) / 2


def _knots(model: nn.Module, problem: Problem) -> list[Float[Tensor, " points"]]:
    """The grid of every coordinate in its own units, cut at the ends of the domain."""
    assert isinstance(model, KAN)
    grid = _first(model).grid.T
    if model.input_affine is not None:
        grid = (grid - model.input_affine.shift) / model.input_affine.scale
    low, high = torch.tensor(problem.domain.bounds, dtype=torch.float64).T
    grid = torch.minimum(torch.maximum(grid, low), high)
    return [torch.cat([low[j : j + 1], grid[1:-1, j], high[j : j + 1]]).unique() for j in range(len(low))]


def _first(model: KAN) -> KANLinear:
    return next(m for m in model.layers if isinstance(m, KANLinear))
