r"""Estimate unknown coefficients with the equation as a constraint, and say how far the data determine them.

The measured values have a Gaussian error of variance $\sigma^2$, the equation and the other conditions hold:

$$ \min_{\theta, \nu} \frac{1}{\sigma^2} \sum_i \big(u_\theta(x_i) - y_i\big)^2 + \lambda \sum_t n
   \Big(\frac{\|r_t\|}{S_t}\Big)^2, \qquad \lambda \to \infty, $$

with the residuals $r_t$ relative to the sizes $S_t$ of their terms (`edgewise.pde.own_scale`). $\lambda$ is raised
until the standard errors of the unknowns no longer move: the quadratic penalty method (Nocedal & Wright, Numerical
Optimization, 2006, section 17.1). The covariance is the inverse of the Gauss-Newton matrix (Laplace's approximation),
whose rows of $\nu$ are what is left after the fields have followed: the bound of Cramer and Rao where the network can
hold the equation. $\sigma$ is estimated from what the data keep.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgewise.optim.least_squares import levenberg_marquardt
from edgewise.pde.collocation_loss import CollocationLoss
from edgewise.pde.own_scale import relative_residuals, term_sizes
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.pde.solution import Solution
from edgewise.progress import Budget, TimeIsOver

MOST_PARAMETERS = 4000
"""Above, no matrix of all parameters is made."""

STRENGTHS = (1e4, 1e6, 1e8, 1e10)
r"""$\lambda$: a residual of 10^-2, ..., 10^-5 of its terms counts as much as a standard deviation."""

STEPS = 25
"""Iterations of a round."""

ROUNDS = 4
"""Rounds at a strength, at most: the last is the first in which no unknown moves by a tenth of its error."""

SETTLED = 0.05
"""Relative change of all standard errors below which the equation counts as a constraint."""

SINGULAR = 1e-14
"""The least curvature of a direction, as a share of the greatest: a smaller one is rounding."""

WORSE = 1.5
"""The noise of the data may grow by this factor as the equation is enforced; beyond, the network cannot hold it."""

TOGETHER = 0.98
"""Correlation of two unknowns from which on the data are said to determine a combination of them."""


@dataclass(frozen=True)
class Identified:
    """Unknowns that fit the data under the equation, with their standard errors.

    Attributes:
        model: the network.
        unknowns: the estimates.
        standard_errors: of the estimates, under independent errors of the data of one size.
        noise: the root mean square error of the data that is left, with the degrees of freedom that the unknowns took.
        fits: whether the data are met about as well as before the equation was enforced.
        together: the largest correlation of two of them, 0 for one.
        settled: whether the standard errors no longer moved as the equation was enforced; if not, they are rough.
    """

    model: nn.Module
    unknowns: dict[str, float]
    standard_errors: dict[str, float]
    noise: float
    together: float
    fits: bool
    settled: bool


def with_standard_errors(
    solution: Solution, points: int, boundary_points: int, generator: torch.Generator, budget: Budget
) -> Solution:
    """A solution with its unknowns as constraints leave them, or with a doubt where its network cannot hold them."""
    found = identify(
        solution.problem,
        solution.model,
        solution.unknowns,
        points=points,
        boundary_points=boundary_points,
        generator=generator,
        budget=budget,
    )
    if found is None:
        return solution
    doubts = []
    if found.together > TOGETHER:
        doubts.append("the measured values determine a combination of the unknowns, not each of them")
    if not found.settled:
        doubts.append("the errors of the unknowns are rough, as the network cannot hold the equation: a finer grid")
    told = (
        f"{solution.message}{'; ' if solution.doubts else ', but '}{'; '.join(doubts)}" if doubts else solution.message
    )
    judged = dataclasses.replace(
        solution,
        standard_errors=found.standard_errors,
        noise=found.noise,
        message=told,
        doubts=(*solution.doubts, *doubts),
    )
    if not found.fits:
        return judged
    off = relative_residuals(solution.problem, found.model, found.unknowns)
    return dataclasses.replace(judged, models=(found.model,), unknowns=found.unknowns, relative_residuals=off)


def identify(
    problem: Problem,
    model: nn.Module,
    unknowns: dict[str, float],
    *,
    points: int,
    boundary_points: int,
    generator: torch.Generator,
    budget: Budget | None = None,
) -> Identified | None:
    """The unknowns and their standard errors from a solution nearby; None without unknowns or measured values.

    Args:
        problem: with unknowns and conditions made by `observe`.
        model: the network of a solution; a copy of it is trained.
        unknowns: the values of that solution.
        points: of the equation.
        boundary_points: of every condition.
        generator: of the points.
        budget: nothing is begun after it.
    """
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if not problem.unknowns or parameters > MOST_PARAMETERS:
        return None
    model = copy.deepcopy(model)
    terms = problem.terms(points, boundary_points, generator)
    if not any(map(is_data, terms)):
        return None
    sizes = term_sizes(problem, model, terms, unknowns, kind="apart")
    noise = _noise(problem, model, unknowns, terms)
    ended: list[Identified] = []
    for strength in STRENGTHS:
        found: Identified | None = None
        for _ in range(ROUNDS):
            if budget is not None and budget.over:
                return _roughly(ended)
            last = unknowns
            found = _at_strength(problem, model, unknowns, terms, sizes, strength, noise, budget)
            unknowns, errors = found.unknowns, found.standard_errors
            if all(abs(unknowns[name] - last[name]) < 0.1 * error for name, error in errors.items()):
                break
        assert found is not None
        ended.append(found)
        if len(ended) > 1 and _change(*ended[-2:]) < SETTLED:
            return dataclasses.replace(found, together=max(f.together for f in ended), settled=True)
    return _roughly(ended)


def _roughly(ended: Sequence[Identified]) -> Identified | None:
    """The last estimates with the larger errors of the last two strengths; of all where unknowns move together."""
    if not ended:
        return None
    together = max(found.together for found in ended)
    counted = ended if together > TOGETHER else ended[-2:]
    errors = {name: max(found.standard_errors[name] for found in counted) for name in ended[-1].standard_errors}
    return dataclasses.replace(ended[-1], standard_errors=errors, together=together)


def is_data(term: ResidualTerm) -> bool:
    """Whether a term compares a field with measured values."""
    return "_observed" in term.columns


def _at_strength(
    problem: Problem,
    model: nn.Module,
    unknowns: dict[str, float],
    terms: Sequence[ResidualTerm],
    sizes: Sequence[Tensor],
    strength: float,
    before: float,
    budget: Budget | None,
) -> Identified:
    noise = _noise(problem, model, unknowns, terms)
    loss = CollocationLoss(problem, model, _weighted(terms, sizes, noise, strength))
    loss.budget = budget or Budget()
    theta = loss.theta(unknowns)
    try:
        # The identity would hold what the data determine still, beside the curvature of a constraint.
        theta = levenberg_marquardt(
            loss, theta, STEPS, damping="diagonal", mu=1e-6, patience=10, tolerance=1e-4, budget=budget
        ).theta
    except TimeIsOver:
        theta = theta if loss.best is None else loss.best[1]
    found = loss.write(theta)
    noise = _noise(problem, model, found, terms)
    loss = CollocationLoss(problem, model, _weighted(terms, sizes, noise, strength))
    gram = loss.normal_equations(loss.theta(found)).gram[0] / 2
    scale = gram.diagonal().clamp(min=1e-300).sqrt()
    sizes_of, directions = torch.linalg.eigh(gram / scale / scale[:, None])
    # What the rows do not determine has a large variance, not none.
    spread_of = directions / sizes_of.clamp(min=SINGULAR * float(sizes_of[-1])).sqrt() / scale[:, None]
    covariance = spread_of @ spread_of.T
    block = covariance[len(gram) - len(found) :, len(gram) - len(found) :]
    spread = block.diagonal().clamp(min=0).sqrt()
    related = (block / spread.clamp(min=1e-300) / spread.clamp(min=1e-300)[:, None]).triu(1).abs().max()
    errors = {n: float(s) * loss.units[n] for n, s in zip(found, spread, strict=True)}
    return Identified(copy.deepcopy(model), found, errors, noise, float(related), noise < WORSE * before, False)


def _weighted(
    terms: Sequence[ResidualTerm], sizes: Sequence[Tensor], noise: float, strength: float
) -> list[ResidualTerm]:
    """Data in standard deviations, all else relative to its terms and as strong as a constraint."""
    rows = sum(term.points.shape[1] for term in terms if is_data(term))
    weighted = []
    for term, size in zip(terms, sizes, strict=True):
        if is_data(term):
            weighted.append(dataclasses.replace(term, weight=term.points.shape[1] / noise**2, unit=None))
        else:
            unit = torch.where(size > 0, size, 1.0)
            weighted.append(dataclasses.replace(term, weight=strength * rows, unit=unit))
    return weighted


def _noise(problem: Problem, model: nn.Module, unknowns: dict[str, float], terms: Sequence[ResidualTerm]) -> float:
    r"""$\sqrt{\sum r^2 / (n - p)}$ over the data, with p unknowns."""
    values = {name: torch.tensor(v, dtype=torch.float64) for name, v in unknowns.items()}
    with torch.no_grad():
        left = torch.cat([problem.residuals(model, t, values).flatten() for t in terms if is_data(t)])
    tiny = 1e-12 * max(1.0, float(left.abs().max()))
    return max(tiny, math.sqrt(float(left.square().sum()) / max(1, len(left) - len(unknowns))))


def _change(before: Identified, after: Identified) -> float:
    pairs = [(before.standard_errors[n], after.standard_errors[n]) for n in after.standard_errors]
    return max(abs(a - b) / max(a, b, 1e-300) for a, b in pairs)
