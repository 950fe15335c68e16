r"""Rank pairs of columns by what their interaction explains of the residuals of the terms of one column.

The rows are sorted into a table of bins of both arguments. With the sums $S_{ab}$ of the slopes and $H_{ab}$ of the
curvatures of the loss in a cell, a free effect per cell lowers twice the loss by $\sum S_{ab}^2/H_{ab}$, and free
effects of rows and of columns by $\sum S_a^2/H_a$ and $\sum S_b^2/H_b$. Without an interaction the difference,
divided by the scale, is about chi-squared (Rao's score test); as a standard normal variable, by its cube root (Wilson
and Hilferty 1931), it ranks the pairs. Two resolutions of bins find wide and narrow interactions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.tables.additive.axes import LevelAxis
from edgewise.tables.additive.blocks import Block

RESOLUTIONS = (3, 8)
ROWS = 50_000
MOST_BLOCKS = 150


@dataclass(frozen=True, eq=False)
class Residuals:
    """Slopes and curvatures of the loss at a fit, (rows, outputs) each, and the scale of every output."""

    slope: np.ndarray
    curvature: np.ndarray
    scale: np.ndarray


def rank_pairs(blocks: Sequence[Block], residuals: Residuals) -> list[tuple[float, int, int]]:
    """All pairs of blocks of different columns, the most significant first: (normal score, block, block)."""
    rows = len(residuals.slope)
    if rows > ROWS:
        chosen = np.sort(np.random.default_rng(0).permutation(rows)[:ROWS])
        blocks = [block.chosen(chosen) for block in blocks]
        residuals = Residuals(residuals.slope[chosen], residuals.curvature[chosen], residuals.scale)
    used = [t for t, block in enumerate(blocks) if block.parameters > 0 and not block.shape][:MOST_BLOCKS]
    scores = dict.fromkeys(itertools.combinations(used, 2), -np.inf)
    for bins in RESOLUTIONS:
        coarse = {t: _coarse(blocks[t], bins) for t in used}
        for i, j in scores:
            scores[i, j] = max(scores[i, j], _excess(coarse[i], coarse[j], residuals))
    found = [(score, i, j) for (i, j), score in scores.items() if _apart(blocks[i], blocks[j])]
    return sorted(found, key=lambda pair: -pair[0])


def _apart(first: Block, second: Block) -> bool:
    return first.inputs[0].position != second.inputs[0].position


def _coarse(block: Block, count: int) -> tuple[np.ndarray, int]:
    """The bin of every row and the number of bins: quantiles or frequent levels, missing cells last."""
    distinct = int(block.basis.shape[0])  # type: ignore[index]
    axis = block.axes[0]
    if isinstance(axis, LevelAxis):
        known = np.minimum(np.arange(distinct), count - 1)
        known[axis.functions] = count
        return known[block.codes], count + 1
    rows = np.bincount(block.codes, minlength=distinct).astype(float)
    missing = int(axis.missing)
    inner = rows[: distinct - missing]
    middle = np.cumsum(inner) - inner / 2
    bins = np.append((middle * count / max(inner.sum(), 1.0)).astype(np.int64), np.full(missing, count))
    return bins[block.codes], count + 1


def _excess(first: tuple[np.ndarray, int], second: tuple[np.ndarray, int], residuals: Residuals) -> float:
    (a, m), (b, n) = first, second
    cells = a * n + b
    gain, freedom = 0.0, 0.0
    for slope, curvature, scale in zip(residuals.slope.T, residuals.curvature.T, residuals.scale, strict=True):
        s = np.bincount(cells, slope, m * n).reshape(m, n)
        h = np.bincount(cells, curvature, m * n).reshape(m, n)
        full = h > 0
        sides = _explained(s.sum(0), h.sum(0)) + _explained(s.sum(1), h.sum(1))
        gain += (_explained(s, h) - sides) / scale
        freedom += max(full.sum() - full.any(0).sum() - full.any(1).sum() + 1, 0)
    if freedom <= 0:
        return -np.inf
    width = 2 / (9 * freedom)
    return float((np.cbrt(max(gain, 0.0) / freedom) - (1 - width)) / np.sqrt(width))


def _explained(s: np.ndarray, h: np.ndarray) -> float:
    return float((s**2 / np.where(h > 0, h, np.inf)).sum())
