r"""Levels of a column as numbers: the mean of the target over the rows of a level, shrunk towards the mean of all.

With n rows of a level, their mean $\bar y$, the mean of all rows $\mu$, the variance s within and t between levels,

$$ \mu + \frac{n t}{n t + s}\,(\bar y - \mu), $$

the best linear predictor of the level's own mean; t is estimated by the method of moments from the same rows (Searle,
Casella and McCulloch, Variance Components, 1992, 3.6). One number per column stands for any number of levels, rare
ones cost nothing, and an unknown level is $\mu$; indicators would need an input and a curve for every level. The number
of a training row is computed from other rows than its own, in folds: else a level with one row would tell its target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

FOLDS = 5


@dataclass(frozen=True)
class LevelCodes:
    """The numbers of the levels of a column.

    Args:
        values: by level.
        other: of a level that training did not see.
    """

    values: dict[str, float]
    other: float

    def __call__(self, levels: np.ndarray) -> Float[np.ndarray, " rows"]:
        """The number of every row."""
        return np.array([self.values.get(level, self.other) for level in levels], float)


def fit_codes(
    levels: np.ndarray,
    target: Float[np.ndarray, " rows"],
    seed: int,
    weights: Float[np.ndarray, " rows"] | None = None,
) -> tuple[LevelCodes, Float[np.ndarray, " rows"]]:
    """The codes of all rows, for new tables, and the number of every row from the codes of the other folds.

    Args:
        levels: a text per row.
        target: what the codes are means of.
        seed: of the folds.
        weights: of the rows.
    """
    names, index = np.unique(levels.astype(str), return_inverse=True)
    w = np.ones(len(target)) if weights is None else np.asarray(weights, float)
    fold = np.random.default_rng(seed).permutation(len(target)) % FOLDS
    own = np.empty(len(target))
    for n in range(FOLDS):
        others, here = fold != n, fold == n
        means, other = _shrunk_means(index, target, np.where(others, w, 0.0), len(names))
        own[here] = np.where(np.isnan(means), other, means)[index[here]]
    means, other = _shrunk_means(index, target, w, len(names))
    known = ~np.isnan(means)
    return LevelCodes(dict(zip(names[known].tolist(), means[known].tolist(), strict=True)), other), own


def _shrunk_means(
    index: Int[np.ndarray, " rows"], target: np.ndarray, weights: np.ndarray, levels: int
) -> tuple[np.ndarray, float]:
    """The shrunk mean of every level, NaN where it has no row, and the mean of all."""
    n = np.bincount(index, weights, levels)
    total = n.sum()
    if total <= 0:
        return np.full(levels, np.nan), float(target.mean())
    overall = float(weights @ target / total)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(index, weights * target, levels) / n
    seen = n > 0
    within = float(weights @ (target - np.where(seen, mean, 0.0)[index]) ** 2)
    free = max(total - seen.sum(), 1.0)
    s = within / free
    between = float(n[seen] @ (mean[seen] - overall) ** 2)
    spread = total - float((n**2).sum()) / total
    t = max(0.0, (between - (seen.sum() - 1) * s) / spread) if spread > 0 else 0.0
    share = n * t / (n * t + s) if t > 0 else np.zeros(levels)
    return np.where(seen, overall + share * (np.where(seen, mean, 0.0) - overall), np.nan), overall
