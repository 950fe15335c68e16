r"""Choose the collocation points of every round and how much the residual at each of them counts.

The loss of a round is

$$ L(\theta) = \sum_t w_t\, \frac{1}{n_t} \sum_b \big(s_{tb}\, r_t(x_{tb};\, \theta)\big)^2 $$

over the terms t, the equation first, then the conditions. `Collocation` says how the points $x_{tb}$ are drawn, how
the scales $s_{tb}$ follow from the residual, and how large the weights $w_t$ of the conditions may be.

Causal weights are after Wang, Sankaran & Perdikaris (arXiv 2203.07404, section 4). Time is cut into slices with mean
squares $L_k$ of the residual; the squared residual in slice i is multiplied by

$$ s_i^2 = \exp\Big(-\varepsilon \sum_{k<i} L_k \Big/ \sum_k L_k\Big). $$

They omit the division and wait until every $L_k$ is small. A Gauss-Newton solve has a handful of rounds, in each of
which the weights are fixed; with the division they lie between 1 and $e^{-\varepsilon}$ from the first round on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from edgewise.nn import KAN
from edgewise.pde.collocation_loss import point_blocks
from edgewise.pde.domains import Box
from edgewise.pde.grading import graded_terms
from edgewise.pde.operators import TIME, ProblemError
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.progress import Budget

SAMPLINGS = ("sobol", "uniform")
LARGEST_WEIGHT = 300.0  # of a condition, by default
CANDIDATES = 5  # for every point that is drawn where the residual is large
UNIFORM_SHARE = 0.1  # of the mean squared residual, added everywhere so that no place is left without points
SLICES = 16  # of time, for causal weights


@dataclass(frozen=True, kw_only=True)
class Collocation:
    r"""Where the residuals of a problem are squared, and with which weights: the discretisation of `solve`.

    Args:
        points: points of the equation in every round; by default 1000, or 3 for every parameter if that is more.
        boundary_points: points of every condition on a part of the boundary; by default a fifth of `points`.
        sampling: "sobol" (evenly spread) or "uniform" (independent).
        adaptive: the share of the points that is drawn in proportion to the squared residual, from the second round on.
        balance: the largest weight of a condition that has no weight of its own, 300 by default. Weights are chosen
            such that the Jacobian of every term is as large as that of the equation.
        grading: how far the grids of the coordinates, and half of the points, concentrate where the fields are steep: 0
            for even grids, towards 1 for equal changes of the fields between grid points, as a shock needs.
        causal: $\varepsilon$ of the causal weights: the equation counts from 1 at the start of time down to
            $e^{-\varepsilon}$ at its end, by how much of its residual lies before.

    Raises:
        ProblemError: a value is out of its range; in `solve`, if it does not apply to the problem or the model.
    """

    points: int | None = None
    boundary_points: int | None = None
    sampling: str = "sobol"
    adaptive: float = 0.5
    balance: float | None = None
    grading: float = 0.0
    causal: float = 0.0

    def __post_init__(self) -> None:
        for name, count in (("points", self.points), ("boundary_points", self.boundary_points)):
            if count is not None and not count >= 1:
                raise ProblemError(f"{name} must be at least 1, got {count}; leave it out for the default")
        if self.sampling not in SAMPLINGS:
            raise ProblemError(f"unknown sampling {self.sampling!r}; choose one of {', '.join(SAMPLINGS)}")
        if not 0 <= self.adaptive <= 1:
            raise ProblemError(f"adaptive is a share of the points, at least 0 and at most 1, got {self.adaptive}")
        if self.balance is not None and not 1 <= self.balance < math.inf:
            raise ProblemError(f"balance must be at least 1 and finite, got {self.balance}")
        if not 0 <= self.grading < 1:
            raise ProblemError(f"grading must be at least 0 and below 1, got {self.grading}")
        if not 0 <= self.causal < math.inf:
            raise ProblemError(f"causal must be at least 0 and finite, got {self.causal}")

    def check(self, problem: Problem, model: nn.Module) -> None:
        """Raise `ProblemError` for a setting that does not apply to this problem and model."""
        if self.boundary_points is not None and all(c.on is None for c in problem.conditions):
            raise ProblemError("boundary_points: the problem has no condition on its boundary; leave it out")
        if self.balance is not None and all(c.weight is not None for c in problem.conditions):
            raise ProblemError("balance: every condition of the problem has a weight of its own; leave it out")
        on_a_box = isinstance(problem.domain, Box) and problem.features is None and isinstance(model, KAN)
        if self.grading > 0 and not on_a_box:
            raise ProblemError("grading moves the grid of a KAN on the coordinates of a Box; leave it at 0 here")
        if self.causal > 0 and TIME not in problem.domain.coordinates:
            raise ProblemError("causal weights need a coordinate `t`; leave causal at 0 here")

    @property
    def largest_weight(self) -> float:
        """The largest weight of a condition."""
        return LARGEST_WEIGHT if self.balance is None else self.balance

    def counts(self, parameters: int) -> tuple[int, int]:
        """The points of the equation and of every condition, for a model of this size."""
        points = self.points or max(1000, 3 * parameters)
        return points, self.boundary_points or max(points // 5, 50)

    def draw(
        self, problem: Problem, model: nn.Module, points: int, boundary_points: int, generator: torch.Generator
    ) -> list[ResidualTerm]:
        """The terms at fresh points, half of which follow the grids of the model if these are graded."""
        terms = problem.terms(points, boundary_points, generator, method=self.sampling)
        return graded_terms(model, problem, terms) if self.grading > 0 else terms


@torch.no_grad()
def adapted_term(
    problem: Problem,
    model: nn.Module,
    unknowns: Mapping[str, float],
    term: ResidualTerm,
    share: float,
    generator: torch.Generator,
    *,
    graded: bool = False,
    budget: Budget | None = None,
) -> ResidualTerm:
    """The term with a share of its points replaced by points drawn in proportion to the squared residual.

    The candidates whose residuals are not known at the end of the budget are not drawn.
    """
    n = round(share * term.points.shape[1])
    x = problem.domain.sample(CANDIDATES * term.points.shape[1], generator, "uniform")[None]
    pool = dataclasses.replace(term, points=x, scale=None)
    if graded:
        pool = graded_terms(model, problem, [pool])[0]
    values, sizes = {name: torch.tensor(v) for name, v in unknowns.items()}, []
    for rows in point_blocks(model, pool):
        if budget is not None and budget.over:
            break
        sizes.append(problem.residuals(model, pool, values, rows).square().sum(0))
    size = torch.cat(sizes) if sizes else x.new_zeros(0)
    if n == 0 or len(size) < n or not bool(torch.isfinite(size).all()) or not bool((size > 0).any()):
        return term
    drawn = torch.multinomial(size + UNIFORM_SHARE * size.mean(), n, generator=generator)
    scale = None if term.scale is None or pool.scale is None else torch.cat([term.scale[n:], pool.scale[drawn]])
    return dataclasses.replace(term, points=torch.cat([term.points[:, n:], pool.points[:, drawn]], 1), scale=scale)


@torch.no_grad()
def causal_term(
    problem: Problem, model: nn.Module, unknowns: Mapping[str, float], term: ResidualTerm, strength: float
) -> ResidualTerm:
    r"""The term with its residuals scaled by $s_i$; unchanged if the residual is zero or not finite."""
    axis = problem.domain.coordinates.index(TIME)
    low, high = problem.domain.bounds[axis]
    place = ((term.points[0, :, axis] - low) / (high - low) * SLICES).long().clamp(0, SLICES - 1)
    r = problem.residuals(model, term, {name: torch.tensor(v) for name, v in unknowns.items()})
    count = torch.bincount(place, minlength=SLICES).clamp(min=1)
    means = torch.bincount(place, r.square().sum(0), minlength=SLICES) / count
    total = means.sum()
    if not bool(torch.isfinite(total)) or not bool(total > 0):
        return term
    root = torch.exp(-0.5 * strength * (means.cumsum(0) - means) / total)[place]
    return dataclasses.replace(term, scale=root if term.scale is None else root * term.scale)
