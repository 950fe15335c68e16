r"""Fit the parameters of all terms of one output by Newton's method, with the strengths of greatest evidence.

The fit minimises $\sum_n w_n\ell(\eta_n, y_n) + \frac12\sum_g\lambda_g|\theta_g|^2$ with
$\eta = b + \sum_t B_tT_t\theta_t + \text{offset}$. Each step builds the weighted least squares of the present fit,
takes the strengths of greatest evidence for it, and its solution, halved until the objective falls (Wood, Goude and
Shaw, Journal of the Royal Statistical Society C 64, 2015). The gradient is exact always; for large tables the steps use
a Hessian of bins or of a sample of the rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgewise.tables.additive.blocks import ROWS, Block, group_of
from edgewise.tables.additive.families import Family
from edgewise.tables.additive.row_sums import summed
from edgewise.tables.additive.stacked_blocks import Stack
from edgewise.tables.additive.strength_uncertainty import added_covariance
from edgewise.tables.additive.strengths import Solved, WorkingModel, best_strengths, inverse

STEPS = 40
STEPS_OF_STRENGTHS = 20
"""After so many steps the strengths stay: the two could take turns for ever."""
LOWEST, HIGHEST = -23.0, 16.0
"""Bounds of the logarithm of a strength from that where it equals the mean curvature of the loss."""
START = 4.0
"""Where a strength begins, from the same: the search comes from the smooth side, which few rows need."""
LEAST_SCALE = 1e-6
FEW_ROWS = 3e-3
"""The least share of the variance that counts as noise, and the same in rows: few rows can be interpolated."""
WIDEST_PRIOR = 10.0
"""The largest prior standard deviation of a group on a logit or log scale, which separated classes need."""

Constrained = Callable[[WorkingModel, Solved], np.ndarray]


class Objective(ABC):
    """The loss of one output as a function of its link scale."""

    intercept: bool = True

    @property
    @abstractmethod
    def known_scale(self) -> bool:
        """The loss is a negative log likelihood as it is."""

    @property
    @abstractmethod
    def quadratic(self) -> bool:
        """The curvature does not depend on the link scale."""

    @property
    @abstractmethod
    def samples(self) -> float:
        """The sum of the weights."""

    @abstractmethod
    def value(self, eta: np.ndarray) -> float:
        """The sum over rows."""

    @abstractmethod
    def derivatives(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope and positive curvature of every row."""

    def correction(self, stack: Stack, eta: np.ndarray) -> np.ndarray | None:
        """What the Hessian of the parameters has less than the Gram matrix of the curvatures; None for nothing."""
        return None

    @abstractmethod
    def start(self) -> float:
        """The intercept of the model without terms."""


@dataclass(frozen=True, eq=False)
class FamilyObjective(Objective):
    """The loss of a family with weights and an offset."""

    family: Family
    y: np.ndarray
    weights: np.ndarray
    offset: np.ndarray | float = 0.0

    @cached_property
    def spread(self) -> float:
        """The standard deviation of the targets."""
        mean = summed(float(self.weights @ self.y)) / self.samples
        return float(np.sqrt(summed(float(self.weights @ (self.y - mean) ** 2)) / self.samples)) or 1.0

    @property
    def known_scale(self) -> bool:
        return self.family.known_scale

    @property
    def quadratic(self) -> bool:
        return self.family.name == "gaussian"

    @property
    def samples(self) -> float:
        return summed(float(self.weights.sum()))

    def value(self, eta: np.ndarray) -> float:
        return summed(sum(float(self.weights[rows] @ self.family.values(*given)) for rows, given in self._parts(eta)))

    def derivatives(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.family.name == "quantile":
            return self._quantile_derivatives(eta)
        found = np.empty((2, len(eta)))
        for rows, given in self._parts(eta):
            found[:, rows] = self.family.slope_and_curvature(*given)
        found *= self.weights
        return found[0], found[1]

    def _parts(self, eta: np.ndarray) -> Iterator[tuple[slice, tuple[np.ndarray, np.ndarray, np.ndarray, float]]]:
        """Rows with their link scale, targets, weights and the spread: many rows in parts, to bound copies."""
        apart = max(len(eta), 1) if self.family.loss.joint else ROWS
        for start in range(0, len(eta), apart):
            rows = slice(start, start + apart)
            offset = self.offset[rows] if isinstance(self.offset, np.ndarray) else self.offset
            yield rows, (eta[rows] + offset, self.y[rows], self.weights[rows], self.spread)

    def _quantile_derivatives(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""The curvature of the expected loss, the density of the residuals at 0, is the same for every row.

        With it the covariance of the parameters is that of the asymptotic theory of quantile regression (Koenker and
        Bassett, Econometrica 46, 1978), and the evidence sees noise of the variance of the slopes.
        """
        slope, _ = self.family.slope_and_curvature(eta + self.offset, self.y, self.weights, self.spread)
        residuals = self.y - eta - self.offset
        centre = np.average(residuals, weights=self.weights)
        width = 1.06 * np.sqrt(np.average((residuals - centre) ** 2, weights=self.weights)) * self.samples**-0.2
        kernel = np.exp(-0.5 * (residuals / max(width, 1e-300)) ** 2)
        density = np.average(kernel, weights=self.weights) / (np.sqrt(2 * np.pi) * max(width, 1e-300))
        return self.weights * slope, self.weights * max(density, 1e-3 / self.spread)

    def start(self) -> float:
        b, longest = 0.0, self.spread if self.family.loss.link == "identity" else 1.0
        for _ in range(100):
            slope, curvature = self.derivatives(np.full(len(self.y), b))
            step = summed(slope.sum()) / max(summed(curvature.sum()), 1e-12 * self.samples)
            b -= float(np.clip(step, -longest, longest)) if not self.quadratic else float(step)
            if abs(step) < 1e-10 * longest or self.quadratic:
                break
        return b


@dataclass(frozen=True, eq=False)
class OutputFit:
    r"""The fit of one output.

    Args:
        theta: the intercept, 0 where there is none, and the parameters of all blocks.
        log_strengths: of every group of parameters.
        covariance: of theta, $\phi (G + S)^{-1}$, for these strengths.
        uncertainty: what is added to it because the strengths are estimates.
        edf: the effective degrees of freedom of every parameter.
        scale: $\phi$.
        value: V, twice the negative log evidence up to a constant.
        converged: the last step changed nothing.
    """

    theta: np.ndarray
    log_strengths: np.ndarray
    covariance: np.ndarray
    uncertainty: np.ndarray
    edf: np.ndarray
    scale: float
    value: float
    converged: bool


def fit_output(
    blocks: Sequence[Block],
    objective: Objective,
    rows: int,
    *,
    start: OutputFit | None = None,
    fixed: np.ndarray | None = None,
    constrained: Constrained | None = None,
    steps: int = STEPS,
    gram: np.ndarray | None = None,
) -> OutputFit:
    """Fit one output.

    Args:
        blocks: the terms.
        objective: the loss of this output.
        rows: of the training table.
        start: a fit of the same blocks to begin with.
        fixed: the logarithms of the strengths, which then stay.
        constrained: the parameters that solve a working model under constraints.
        steps: the most steps.
        gram: the Gram matrix of the weights, where the loss is quadratic and it is known.
    """
    stack = Stack(blocks, objective.intercept, rows)
    groups, names = groups_of(blocks, objective.intercept)
    theta = np.zeros(stack.parameters) if start is None else start.theta
    if start is None and objective.intercept:
        theta[0] = objective.start()
    rho = fixed if fixed is not None else None if start is None else start.log_strengths
    eta, converged, bounds, floor = stack.eta(theta), False, None, 0.0
    unit = 1.0 if objective.known_scale else abs(objective.value(eta))
    solved, model = None, None
    for step in range(steps):
        slope, curvature = objective.derivatives(eta)
        if gram is None or not objective.quadratic:
            gram, less = stack.gram(curvature), objective.correction(stack, eta)
            gram = gram if less is None else gram - less
        pearson = pearson_sum(slope, curvature)
        floor = max(LEAST_SCALE, FEW_ROWS / objective.samples) * pearson + 1e-290 if step == 0 else floor
        centre = theta * (groups < 0)
        terms = theta - centre
        product, sums = gram @ terms, stack.sums(slope)
        total = float(terms @ product - 2 * terms @ sums) + pearson
        scales = objective.samples, objective.known_scale, floor
        model = WorkingModel(gram, product - sums, total, groups, len(names), *scales, related=related(names))
        if bounds is None:
            bounds = strength_bounds(model, summed(float(curvature.sum())))
            rho = bounds[1] - HIGHEST + START if rho is None else rho if fixed is not None else np.clip(rho, *bounds)
        assert rho is not None
        moving = (
            fixed is None and step < STEPS_OF_STRENGTHS and (step == 0 or not (objective.quadratic and stack.exact))
        )
        solved = best_strengths(model, rho, *bounds) if moving else model.solve(rho)
        rho = solved.log_strengths
        target = centre + (solved.theta if constrained is None else constrained(model, solved))
        theta, eta, gain, level = _halved(stack, objective, (theta, eta), target, solved.ridge)
        converged = step > 0 and gain < 1e-9 * (unit + abs(level))
        if converged:
            break
    assert solved is not None
    assert model is not None
    squares = solved.squares
    last = stack.last_gram(objective.derivatives(eta)[1])
    if last is not None:
        model = replace(model, gram=last)
        solved = model.solve(solved.log_strengths)
    c = inverse(solved.root)
    scale = 1.0 if objective.known_scale else squares / model.free
    edf = 1 - solved.ridge * np.diag(c)
    uncertainty = np.zeros_like(c)
    if fixed is None and bounds is not None:
        uncertainty = added_covariance(model, solved, c, bounds[1] - HIGHEST, scale)
    if not objective.intercept:
        theta, edf = np.append(0.0, theta), np.append(0.0, edf)
        c, uncertainty = (np.pad(v, ((1, 0), (1, 0))) for v in (c, uncertainty))
    return OutputFit(theta, solved.log_strengths, scale * c, uncertainty, edf, scale, solved.value, converged)


def pearson_sum(slope: np.ndarray, curvature: np.ndarray) -> float:
    """The sum over rows of the squared slopes by the curvatures."""
    starts = range(0, len(slope), ROWS)
    parts = ((slope[n : n + ROWS], curvature[n : n + ROWS]) for n in starts)
    return summed(sum(float((s**2 / np.maximum(h, 1e-300)).sum()) for s, h in parts))


def groups_of(blocks: Sequence[Block], intercept: bool) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """The group of every parameter, -1 of the intercept, and per group its block and its name."""
    groups, names = group_of(blocks)
    return np.append(np.full(int(intercept), -1), groups).astype(np.int64), names


def related(names: Sequence[tuple[int, str]]) -> np.ndarray:
    """The groups whose strengths are related: those of straight lines."""
    return np.array([g for g, (_, name) in enumerate(names) if name == "slope"], np.int64)


def strength_bounds(model: WorkingModel, curvature: float) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest logarithm of every strength, around the curvature of the loss."""
    prior = model.groups >= 0
    index, diagonal = model.groups[prior], np.diag(model.gram)
    sums = np.bincount(index, diagonal[prior], model.count)
    middle = np.log(np.maximum(sums / np.bincount(index, minlength=model.count), 1e-12 * max(diagonal.max(), 1e-280)))
    low, high = middle + LOWEST, middle + HIGHEST
    if model.known_scale:
        # A group has the variance sums / (total curvature) / strength, summed over its parameters.
        low = np.maximum(low, np.log(np.maximum(sums / max(curvature, 1e-280), 1e-280) / WIDEST_PRIOR**2))
    return low, np.maximum(high, low + 1)


def _halved(
    stack: Stack, objective: Objective, here: tuple[np.ndarray, np.ndarray], target: np.ndarray, ridge: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """The parameters, their link scale, the decrease of the objective and its value, after a step halved as needed."""
    theta, eta = here
    before = objective.value(eta) + 0.5 * float(ridge @ theta**2)
    step, there = target - theta, stack.eta(target)
    for halving in range(20):
        share = 0.5**halving
        new = theta + share * step
        at = eta + share * (there - eta)
        after = objective.value(at) + 0.5 * float(ridge @ new**2)
        if np.isfinite(after) and after <= before + 1e-12 * abs(before):
            return new, at, before - after, after
    return theta, eta, 0.0, before
