r"""Many classes: softmax scores, with strengths of their own for every class.

Given the scores of the other classes, the softmax likelihood in $\eta_k$ is that of a binomial outcome, whose working
model has the strengths of greatest evidence for class k. With the strengths fixed, the scores of all classes together
minimise

$$ F(\Theta) = -\sum_n w_n \log p_{n,y_n} + \tfrac12\sum_{gk}\lambda_{gk}|\theta_{gk}|^2, \qquad
   (\nabla^2F\,V)_k = X^T\big(w\,p_k(u_k - \textstyle\sum_l p_lu_l)\big) + S_kV_k, \quad U = XV, $$

by Newton steps, solved by conjugate gradients with the factors of the working models as preconditioner: a product with
the Hessian costs two passes over the rows. Strengths and scores take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve
from scipy.special import logsumexp, softmax

from edgewise.tables.additive.blocks import Block
from edgewise.tables.additive.penalised_fit import (
    HIGHEST,
    START,
    OutputFit,
    groups_of,
    pearson_sum,
    related,
    strength_bounds,
)
from edgewise.tables.additive.row_sums import greatest, summed
from edgewise.tables.additive.stacked_blocks import Stack
from edgewise.tables.additive.strength_uncertainty import added_covariance
from edgewise.tables.additive.strengths import Solved, WorkingModel, best_strengths, inverse

TURNS, TURNS_OF_STRENGTHS, STRENGTH_STEPS = 25, 10, 4
"""Turns of strengths and scores; after so many the strengths stay, for the two could take turns for ever. A turn takes
a few steps towards the best strengths, because the working models change."""
TOLERANCE = 1e-4
"""The largest change of a probability in the last turn."""
NEWTON_STEPS, STEPS_OF_A_TURN = 12, 2
"""Newton steps for strengths that stay, and in a turn in which they move."""
PRODUCTS, FORCING = 20, 0.3
"""Products with the Hessian per step, and the share of the residual that a step may leave."""


def fit_classes(
    blocks: Sequence[Block],
    labels: np.ndarray,
    weights: np.ndarray,
    offset: np.ndarray,
    fixed: np.ndarray | None = None,
) -> list[OutputFit]:
    """The fits of the scores of all classes.

    Args:
        blocks: the terms, the same for every class.
        labels: 1 for the class of a row, else 0: (rows, classes).
        weights: of the rows.
        offset: what is added to the scores, (rows, classes).
        fixed: the logarithms of the strengths, if they are given.
    """
    rows, count = labels.shape
    problem = _Softmax(Stack(blocks, True, rows), labels, weights, offset)
    theta = np.zeros((problem.stack.parameters, count))
    theta[0] = np.log(np.maximum(summed(weights @ labels) / summed(float(weights.sum())), 1e-9))
    strengths: list[np.ndarray | None] = [fixed] * count
    before, settled, solved, models = problem.probabilities(theta), False, [], []
    for turn in range(TURNS):
        moving = fixed is None and turn < TURNS_OF_STRENGTHS
        found = [_solved(blocks, problem, theta, before, k, strengths[k], moving) for k in range(count)]
        models, solved = [model for model, _ in found], [best for _, best in found]
        strengths = [best.log_strengths for best in solved]
        theta = problem.minimised(theta, solved, STEPS_OF_A_TURN if moving else NEWTON_STEPS)
        p = problem.probabilities(theta)
        settled = turn > 0 and greatest(float(abs(p - before)[weights > 0].max(initial=0.0))) < TOLERANCE
        before = p
        if settled:
            break
    parts = zip(models, solved, theta.T, strict=True)
    return [_output(model, best, own, settled, uncertain=fixed is None) for model, best, own in parts]


def _solved(
    blocks: Sequence[Block],
    problem: _Softmax,
    theta: np.ndarray,
    probabilities: np.ndarray,
    k: int,
    strengths: np.ndarray | None,
    moving: bool,
) -> tuple[WorkingModel, Solved]:
    """The working model of a class at these parameters, solved with the strengths given or with better ones."""
    groups, names = groups_of(blocks, True)
    p = probabilities[:, k]
    slope, curvature = problem.weights * (p - problem.labels[:, k]), problem.weights * np.maximum(p * (1 - p), 1e-12)
    gram = problem.stack.gram(curvature)
    terms = np.append(0.0, theta[1:, k])
    product, sums = gram @ terms, problem.stack.sums(slope)
    total = float(terms @ product - 2 * terms @ sums) + pearson_sum(slope, curvature)
    size = summed(float(problem.weights.sum())), True
    model = WorkingModel(gram, product - sums, total, groups, len(names), *size, related=related(names))
    low, high = strength_bounds(model, summed(float(curvature.sum())))
    start = high - HIGHEST + START if strengths is None else strengths
    if not moving:
        return model, model.solve(start)
    return model, best_strengths(model, np.clip(start, low, high), low, high, STRENGTH_STEPS)


def _output(model: WorkingModel, solved: Solved, theta: np.ndarray, settled: bool, *, uncertain: bool) -> OutputFit:
    c = inverse(solved.root)
    edf, curvature = 1 - solved.ridge * np.diag(c), float(model.gram[0, 0])
    middle = strength_bounds(model, curvature)[1] - HIGHEST
    more = added_covariance(model, solved, c, middle, 1.0) if uncertain else np.zeros_like(c)
    return OutputFit(theta, solved.log_strengths, c, more, edf, 1.0, solved.value, settled)


@dataclass(frozen=True, eq=False)
class _Softmax:
    """The penalised likelihood of all classes; parameters are (parameters, classes)."""

    stack: Stack
    labels: np.ndarray
    weights: np.ndarray
    offset: np.ndarray

    def probabilities(self, theta: np.ndarray) -> np.ndarray:
        return softmax(self.stack.scores(theta) + self.offset, axis=1)

    def minimised(self, theta: np.ndarray, solved: Sequence[Solved], steps: int) -> np.ndarray:
        """The parameters of least F, or those after so many Newton steps."""
        ridge = np.stack([found.ridge for found in solved], axis=1)
        eta = self.stack.scores(theta) + self.offset
        for _ in range(steps):
            p = softmax(eta, axis=1)
            gradient = self.stack.sums_of(self.weights[:, None] * (p - self.labels)) + ridge * theta
            step = self._newton_step(gradient, p, ridge, solved)
            along, expected = self.stack.scores(step), -float((gradient * step).sum())
            share, here = 1.0, self._value(eta, theta, ridge)
            while share > 1e-6 and not self._value(eta + share * along, theta + share * step, ridge) <= here:
                share /= 2
            if share <= 1e-6:
                break
            theta, eta = theta + share * step, eta + share * along
            if greatest(float(abs(along).max())) < TOLERANCE or expected < 1e-10 * (1 + abs(here)):
                break
        return theta

    def _value(self, eta: np.ndarray, theta: np.ndarray, ridge: np.ndarray) -> float:
        loss = logsumexp(eta, axis=1) - (self.labels * eta).sum(1)
        return summed(float(self.weights @ loss)) + 0.5 * float((ridge * theta**2).sum())

    def _newton_step(
        self, gradient: np.ndarray, p: np.ndarray, ridge: np.ndarray, solved: Sequence[Solved]
    ) -> np.ndarray:
        """Conjugate gradients for the Newton step; they end early where the residual is small enough for a step."""
        step, residual = np.zeros_like(gradient), -gradient
        direction = scaled = _preconditioned(residual, solved)
        size = first = float((residual * scaled).sum())
        for _ in range(PRODUCTS):
            if size <= FORCING**2 * first or size <= 0:
                break
            u = self.stack.scores(direction)
            u = self.weights[:, None] * p * (u - (p * u).sum(1, keepdims=True))
            product = self.stack.sums_of(u) + ridge * direction
            length = size / max(float((direction * product).sum()), 1e-300)
            step, residual = step + length * direction, residual - length * product
            scaled = _preconditioned(residual, solved)
            before, size = size, float((residual * scaled).sum())
            direction = scaled + size / before * direction
        return step


def _preconditioned(residual: np.ndarray, solved: Sequence[Solved]) -> np.ndarray:
    columns = [cho_solve((s.root, True), r, check_finite=False) for s, r in zip(solved, residual.T, strict=True)]
    return np.stack(columns, axis=1)
