"""Cells so far from all others of their column that they decide a fit alone: a wrong unit, a lost decimal point."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.tables.cells import listed, rows_of

ALONE = 30.0
"""A cell is far where it is this many times as far from the median as all others but a few are."""

MOST = 5
"""So many cells of a column may be far together, of a twentieth of its rows at most."""


def far_cells(values: np.ndarray) -> np.ndarray:
    """True for the few cells that are far from all others; the others must differ, or these are what they tell.

    >>> far_cells(np.array([1.0, 2.0, 3.0, 2.5, 1e6])).nonzero()[0]
    array([4])
    """
    far = np.zeros(len(values), bool)
    distance = np.abs(values - np.median(values))
    order = np.argsort(distance)[::-1]
    for count in range(min(max(1, len(values) // 20), MOST, len(values) - 1), 0, -1):
        if distance[order[count - 1]] > ALONE * distance[order[count]] > 0:
            far[order[:count]] = True
            break
    return far


def told(values: np.ndarray, column: Any) -> list[str]:
    """A sentence on the far cells of a column of numbers; none where there are none. Its index names the rows."""
    far = far_cells(values)
    if not far.any():
        return []
    cells = listed(f"{value:.6g}" for value in values[far])
    verb, such = ("is", "such a row decides") if far.sum() == 1 else ("are", "such rows decide")
    low, high = values[~far].min(), values[~far].max()
    return [
        f"{column.name!r} {verb} {cells} in {rows_of(far, column)}, where all other rows have {low:.4g} to {high:.4g}: "
        f"{such} a fit; correct the table or take the rows out if they are wrong"
    ]
