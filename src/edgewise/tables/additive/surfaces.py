"""The surfaces of a model: the pairs that the user names, or those that the residuals and the evidence ask for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from edgewise.tables.additive.axes import Axis, CircleAxis, LevelAxis
from edgewise.tables.additive.axis_choice import spline_axis
from edgewise.tables.additive.blocks import DISTINCT, Block, curve_block, surface_block
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.pair_ranking import RESOLUTIONS, Residuals, rank_pairs

FEW_ROWS = 20_000
INTERVALS_OF_FEW_ROWS, INTERVALS_OF_MANY_ROWS = 4, 7
BINS_OF_MANY_ROWS = 256
LEVELS = 20
LEVEL_OF_A_TEST = 0.05
"""The chance that residuals without any interaction ask for a pair, over all pairs (Bonferroni)."""
PARAMETERS = 1000
ROWS_PER_PARAMETER = 6
LEAST_FREEDOM = 0.5
"""Effective degrees of freedom, over all outputs, below which a surface is left out again."""


def chosen_surfaces(
    blocks: Sequence[Block],
    columns: Sequence[Column],
    weights: np.ndarray,
    residuals: Residuals,
    interactions: int | str | Sequence[tuple[str, str]],
) -> list[Block]:
    """The surfaces to try beside the blocks of single columns.

    Args:
        blocks: of single columns.
        columns: of the training table.
        weights: of the rows.
        residuals: of the fit of `blocks`.
        interactions: how many, "auto", or the pairs by the names of their terms.
    """
    if not isinstance(interactions, int | str | np.integer):
        return [surface_of(blocks[i], blocks[j], columns, weights) for i, j in _named(blocks, interactions)]
    if isinstance(interactions, str) and interactions != "auto":
        raise ValueError(f"interactions must be a number, 'auto' or a list of pairs of names, got {interactions!r}")
    automatic = isinstance(interactions, str)
    room = min(PARAMETERS, weights.sum() / ROWS_PER_PARAMETER) / max(1.0, residuals.slope.shape[1] / 2)
    most = 2 * len(blocks) if isinstance(interactions, str) else int(interactions)
    found: list[Block] = []
    ranked = rank_pairs(blocks, residuals)
    least = float(norm.isf(LEVEL_OF_A_TEST / (len(RESOLUTIONS) * max(len(ranked), 1))))
    for score, i, j in ranked:
        if len(found) >= most:
            break
        if automatic and score < least:
            break
        surface = surface_of(blocks[i], blocks[j], columns, weights)
        room -= surface.parameters
        if automatic and room < 0:
            break
        found.append(surface)
    return found


def surface_of(first: Block, second: Block, columns: Sequence[Column], weights: np.ndarray) -> Block:
    """The surface of two blocks on coarser bases of their own."""
    return surface_block(_margin(first, columns, weights), _margin(second, columns, weights), weights)


def _margin(block: Block, columns: Sequence[Column], weights: np.ndarray) -> Block:
    axis, part = block.axes[0], block.inputs[0]
    values = part.read(columns)
    few = weights.sum() <= FEW_ROWS
    coarse = _coarser(axis, values, weights, INTERVALS_OF_FEW_ROWS if few else INTERVALS_OF_MANY_ROWS)
    return curve_block(part, coarse, values, weights, most=DISTINCT if few else BINS_OF_MANY_ROWS)


def _coarser(axis: Axis, values: np.ndarray, weights: np.ndarray, intervals: int) -> Axis:
    if isinstance(axis, LevelAxis):
        return LevelAxis(axis.missing, axis.levels[:LEVELS])
    if isinstance(axis, CircleAxis):
        return CircleAxis(axis.missing, axis.low, axis.period, max(intervals, 4))
    used = (weights > 0) & ~np.isnan(values)
    return spline_axis(values[used], weights[used], axis.missing, intervals, 3)


def _named(blocks: Sequence[Block], pairs: Sequence[tuple[str, str]]) -> list[tuple[int, int]]:
    names = [block.inputs[0].name for block in blocks]
    found = []
    for pair in pairs:
        if isinstance(pair, str) or len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError(f"interactions must be pairs of two different names, got {pair!r}")
        for name in pair:
            if name not in names:
                raise ValueError(f"interactions names {name!r}; the terms are {', '.join(names)}")
            if shape := blocks[names.index(name)].shape:
                raise ValueError(f"interactions names {name!r}, which is to be {shape}: a surface could undo that")
        found.append((names.index(pair[0]), names.index(pair[1])))
    return found
