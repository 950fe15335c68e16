r"""Grids and points that gather where a field is steep, as a shock needs.

The grid of a coordinate is spread so that the fields change about equally between its points. Half of the collocation
points then have as many in every grid interval; the equation there counts by the inverse of the density of the points,
so that its mean square stays an integral over the domain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.jets.algebra import taylor, unit
from edgewise.nn import KAN, KANLinear
from edgewise.pde.domains import Box
from edgewise.pde.errors import ProblemError
from edgewise.pde.first_networks import MARGIN
from edgewise.pde.problem import Problem, Term
from edgewise.surgery import adapt_grid_

TINY = 1e-300


def check_grading(problem: Problem, model: nn.Module, amount: float) -> None:
    """Grading needs a network of splines on the coordinates of a box."""
    if not 0 <= amount < 1:
        raise ProblemError(f"grading must be at least 0 and below 1, got {amount}")
    if amount > 0 and not (isinstance(problem.domain, Box) and problem.features is None and isinstance(model, KAN)):
        raise ProblemError("grading gathers the grid of a KAN on the coordinates of a Box; leave it at 0 here")


@torch.no_grad()
def grade_(model: nn.Module, problem: Problem, amount: float, generator: torch.Generator) -> None:
    """Spread the grids of the first layer by how much the fields change: `amount` of the way from even ones."""
    assert isinstance(model, KAN)
    d = len(problem.domain.coordinates)
    x = problem.points(4000, generator, "uniform")
    # A first guess of where it is steep may have no point there: look again where the grid has gathered already.
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
def graded_terms(model: nn.Module, problem: Problem, terms: Sequence[Term]) -> list[Term]:
    """The terms with every other point moved to where the grid gathers; faces of the box stay faces."""
    result = []
    for n, term in enumerate(terms):
        if term.columns:  # values are known at these points and at no others
            result.append(term)
            continue
        x = term.points.clone()
        x[:, ::2] = warped(model, problem, x[:, ::2].flatten(0, 1)).reshape(x[:, ::2].shape)
        scale = _density(model, problem, x[0]).rsqrt() if n == 0 else None
        result.append(dataclasses.replace(term, points=x, scale=scale))
    return result


@torch.no_grad()
def warped(model: nn.Module, problem: Problem, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Points whose place among the grid points is what the place of x in the domain was; the ends stay."""
    columns = []
    for j, knots in enumerate(_knots(model, problem)):
        place = (x[:, j] - knots[0]) / (knots[-1] - knots[0]) * (len(knots) - 1)
        left = place.long().clamp(0, len(knots) - 2)
        columns.append(torch.lerp(knots[left], knots[left + 1], place - left))
    return torch.stack(columns, -1)


def _density(model: nn.Module, problem: Problem, x: Tensor) -> Float[Tensor, " n"]:
    """Of an even half and a warped half of points, relative to all being even."""
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
