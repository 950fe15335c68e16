"""One huge wrong cell of a table is named with its column, row and value; heavy tails are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.far_cells import far_cells
from edgewise.tables.prepare import prepare


def table(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(1, 3, rows), rng.uniform(1, 2, rows)
    return pd.DataFrame({"a": a, "b": b, "y": a**2 / b})


def warned(frame, **options):
    return [text for text in prepare(frame, "y", **options).warnings if "decide" in text]


@pytest.mark.parametrize("column", ["y", "a"])
@pytest.mark.parametrize("value", [1e4, -1e12])
def test_a_huge_cell_is_named(column, value):
    frame = table()
    frame.loc[7, column] = value
    (said,) = warned(frame)
    assert f"'{column}' is {value:.6g} in row 8, where all other rows have" in said


def test_several_are_named_together():
    frame = table(200)
    frame.loc[[3, 50], "y"] = [4e5, -7e5]
    (said,) = warned(frame)
    assert "'y' are 400000, -700000 in rows 4, 51" in said


def test_clean_tables_are_not_warned_of():
    assert warned(table()) == []
    frame = table()
    frame["rare"] = 0.0
    frame.loc[4, "rare"] = 1.0
    assert warned(frame) == [], "an indicator of one row"


def test_heavy_tails_hold_no_far_cells():
    counted = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        columns = (
            rng.lognormal(0, 2, 300),
            rng.standard_t(2, 300),
            1 / rng.uniform(1e-3, 1, 300),
            rng.exponential(1, 30),
        )
        counted += sum(far_cells(values).any() for values in columns)
    assert counted <= 6, "one in a hundred"
