r"""The few of many candidate terms that a target is made of, $y \approx \sum_{m \in S} c_m \theta_m$, by evidence.

For every size k the best set that all pairs, steps forward and back, and exchanges find (Miller, Subset Selection in
Regression, 2002), on the triangle of one QR factorisation; among the sizes the extended information criterion of Chen
and Chen (Biometrika 2008) decides, which knows how many sets there were to choose from:

$$ \text{evidence}(S) = -\tfrac n2 \log \tfrac{\text{RSS}(S)}{n} - \tfrac{|S|}2 \log n - \log\tbinom{M}{|S|}. $$
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

DEPENDENT = 1e-9
"""A column of which less than this share of its norm is left by the others says nothing new."""

ROUNDING = 1e-12
"""Residuals below this share of the target are rounding, all of one worth."""


@dataclass(frozen=True)
class TermChoice:
    """A set of terms with its least-squares coefficients.

    Attributes:
        terms: columns of the design, ascending.
        coef: their coefficients.
        errors: standard errors of these, from the residual and the number of independent rows.
        residual: root mean square of what is left, in units of the target.
        evidence: logarithm of the evidence, see above; larger is better.
    """

    terms: tuple[int, ...]
    coef: tuple[float, ...]
    errors: tuple[float, ...]
    residual: float
    evidence: float


def sparse_terms(
    design: Float[np.ndarray, "rows terms"],
    target: Float[np.ndarray, " rows"],
    *,
    most: int = 12,
    independent_rows: float | None = None,
    always: Sequence[int] = (),
) -> tuple[TermChoice, ...]:
    """The best set of every size up to `most`, the smallest first; `best_terms` chooses one of them.

    Args:
        design: the value of every candidate term in every row; columns may depend on one another.
        target: what the terms add up to.
        most: the largest size.
        independent_rows: how many rows count as independent, where neighbours are correlated; all of them by default.
        always: terms that every set contains.

    Raises:
        ValueError: where a value is not finite or the shapes differ.
    """
    if design.ndim != 2 or target.shape != design.shape[:1]:
        raise ValueError(f"the design has shape {design.shape} and the target {target.shape}; they need equal rows")
    if not (np.isfinite(design).all() and np.isfinite(target).all()):
        raise ValueError("the design or the target has values that are not finite; leave these rows or terms out")
    triangle = _Triangle.of(design, target)
    rows = float(len(target)) if independent_rows is None else min(float(independent_rows), float(len(target)))
    sets = _best_sets(triangle, min(most, triangle.rank_limit), tuple(sorted(always)))
    return tuple(triangle.choice(chosen, rows) for _, chosen in sorted(sets.items()))


def best_terms(choices: Iterable[TermChoice]) -> TermChoice:
    """The choice of the largest evidence."""
    return max(choices, key=lambda choice: choice.evidence)


def stability(
    design: Float[np.ndarray, "rows terms"],
    target: Float[np.ndarray, " rows"],
    *,
    generator: np.random.Generator,
    draws: int = 20,
    blocks: int = 10,
    most: int = 12,
    independent_rows: float | None = None,
) -> Float[np.ndarray, " terms"]:
    """How often each term is among the best ones of half of the rows, in blocks of neighbours: stability selection.

    Source: Meinshausen and Buehlmann, JRSS B 2010.
    """
    count = np.zeros(design.shape[1])
    parts = np.array_split(np.arange(len(target)), blocks)
    share = None if independent_rows is None else independent_rows / 2
    for _ in range(draws):
        rows = np.concatenate([parts[i] for i in sorted(generator.permutation(blocks)[: (blocks + 1) // 2])])
        chosen = best_terms(sparse_terms(design[rows], target[rows], most=most, independent_rows=share))
        count[list(chosen.terms)] += 1
    return count / draws


@dataclass(frozen=True)
class _Triangle:
    """R of the QR factorisation of [design, target] with columns of norm one: all that least squares needs of the rows.

    `columns` is (q, M), `right` is (q,), `norms` undoes the scaling.
    """

    columns: np.ndarray
    right: np.ndarray
    norms: np.ndarray
    size: float
    rows: int

    @classmethod
    def of(cls, design: np.ndarray, target: np.ndarray) -> _Triangle:
        norms = np.linalg.norm(design, axis=0)
        size = float(np.linalg.norm(target)) or 1.0
        scaled = np.column_stack([design / np.where(norms > 0, norms, 1.0), target / size])
        r = np.linalg.qr(scaled, mode="r")
        columns, right = np.hsplit(r, [design.shape[1]])
        return cls(columns, right[:, 0], norms, size, len(target))

    @property
    def rank_limit(self) -> int:
        return max(min(int((self.norms > 0).sum()), self.rows - 2), 0)

    def left(self, chosen: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """What the chosen columns leave of all columns and of the target."""
        if not chosen:
            return self.columns, self.right
        q, _ = np.linalg.qr(self.columns[:, list(chosen)])
        rest = self.columns - q @ (q.T @ self.columns)
        rest -= q @ (q.T @ rest)  # once more: the first pass leaves rounding of the size of the column
        right = self.right - q @ (q.T @ self.right)
        return rest, right - q @ (q.T @ right)

    def loss(self, chosen: Sequence[int]) -> float:
        if not chosen:
            return float(self.right @ self.right)
        q, _ = np.linalg.qr(self.columns[:, list(chosen)])
        right = self.right - q @ (q.T @ self.right)
        right -= q @ (q.T @ right)
        return float(right @ right)

    def gains(self, chosen: Sequence[int]) -> tuple[np.ndarray, float]:
        """By how much each further column lowers the loss, minus infinity for those that say nothing new; the loss."""
        rest, right = self.left(chosen)
        norms = np.linalg.norm(rest, axis=0)
        free = norms > DEPENDENT
        free[list(chosen)] = False
        gains = np.full(len(norms), -np.inf)
        gains[free] = (right @ rest[:, free] / norms[free]) ** 2
        return gains, float(right @ right)

    def best_pair(self, chosen: Sequence[int]) -> tuple[int, int] | None:
        """The two further columns that lower the loss most, of all pairs; None where there is none."""
        rest, right = self.left(chosen)
        norms = np.linalg.norm(rest, axis=0)
        free = np.setdiff1d(np.flatnonzero(norms > DEPENDENT), chosen)
        unit = rest[:, free] / norms[free]
        r, g = right @ unit, unit.T @ unit
        alone = 1 - g**2
        usable = alone > 1e-10
        gains = (r[:, None] ** 2 + r**2 - 2 * g * np.outer(r, r)) / np.where(usable, alone, 1.0)
        gains = np.where(usable, gains, -np.inf)
        if not np.isfinite(gains).any():
            return None
        i, j = np.unravel_index(int(gains.argmax()), gains.shape)
        return int(free[i]), int(free[j])

    def choice(self, chosen: tuple[int, ...], rows: float) -> TermChoice:
        """The set with coefficients, errors and evidence; `rows` of all rows are independent."""
        k, many = len(chosen), self.columns.shape[1]
        loss = self.loss(chosen)
        mean = max(loss, ROUNDING**2) / rows
        evidence = -rows / 2 * math.log(mean) - k / 2 * math.log(max(rows, 2.0)) - _log_choices(many, k)
        residual = self.size * math.sqrt(loss / self.rows)
        if not chosen:
            return TermChoice((), (), (), residual, evidence)
        q, r = np.linalg.qr(self.columns[:, list(chosen)])
        scale = self.size / self.norms[list(chosen)]
        coef = solve_triangular(r, q.T @ self.right) * scale
        spread = np.linalg.norm(solve_triangular(r, np.eye(k)), axis=1) * math.sqrt(loss / max(rows - k, 1.0))
        return TermChoice(chosen, tuple(coef.tolist()), tuple((spread * scale).tolist()), residual, evidence)


def _best_sets(triangle: _Triangle, most: int, always: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    """The best set of every size that is found by growing with exchanges, then by shrinking from the largest one."""
    best = {len(always): always}
    loss = {len(always): triangle.loss(always)}

    def keep(chosen: tuple[int, ...]) -> bool:
        value = triangle.loss(chosen)
        better = len(chosen) not in best or value < loss[len(chosen)] * (1 - 1e-9)
        if better:
            best[len(chosen)], loss[len(chosen)] = chosen, value
        return better

    size = len(always)
    while size < most and loss[size] > ROUNDING**2:
        gains, _ = triangle.gains(best[size])
        if not np.isfinite(gains.max(initial=-np.inf)):
            break
        keep(_with(best[size], int(gains.argmax())))
        size += 1
        while keep(_exchanged(triangle, best[size], always)):
            pass
    pair = triangle.best_pair(always) if len(always) + 2 <= most else None
    if pair is not None and keep(tuple(sorted((*always, *pair)))):
        size = len(always) + 2
        while size + 1 in best:
            gains, _ = triangle.gains(best[size])
            if not np.isfinite(gains.max()):
                break
            keep(_with(best[size], int(gains.argmax())))
            size += 1
    for size in sorted(best, reverse=True)[:-1]:
        keep(_shrunk(triangle, best[size], always))
        while keep(_exchanged(triangle, best[size - 1], always)):
            pass
    return best


def _with(chosen: tuple[int, ...], term: int) -> tuple[int, ...]:
    return tuple(sorted((*chosen, term)))


def _without(chosen: tuple[int, ...], term: int) -> tuple[int, ...]:
    return tuple(m for m in chosen if m != term)


def _shrunk(triangle: _Triangle, chosen: tuple[int, ...], always: tuple[int, ...]) -> tuple[int, ...]:
    """The set without the term that is missed least."""
    free = [m for m in chosen if m not in always]
    return min((_without(chosen, m) for m in free), key=triangle.loss)


def _exchanged(triangle: _Triangle, chosen: tuple[int, ...], always: tuple[int, ...]) -> tuple[int, ...]:
    """The best set that differs in one term."""
    best, least = chosen, triangle.loss(chosen)
    for m in chosen:
        if m in always:
            continue
        smaller = _without(chosen, m)
        gains, loss = triangle.gains(smaller)
        value = loss - gains.max()
        if value < least:
            best, least = _with(smaller, int(gains.argmax())), value
    return best


def _log_choices(many: int, k: int) -> float:
    k = min(k, many // 2)  # beyond the half the number of sets falls, which is no reward for taking nearly all
    return math.lgamma(many + 1) - math.lgamma(k + 1) - math.lgamma(many - k + 1)
