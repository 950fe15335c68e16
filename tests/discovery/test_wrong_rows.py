"""Rows of a clean table are never wrong, whatever its law spans; one wrong row among them is found."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgewise.discovery.wrong_rows import wrong_rows

HEAVY = {
    "1/a": lambda a, b: 1 / a,
    "1/a^2": lambda a, b: a**-2.0,
    "1/(a b)": lambda a, b: 1 / (a * b),
    "b/a": lambda a, b: b / a,
    "1/a + b": lambda a, b: 1 / a + b,
    "exp(5 a)": lambda a, b: np.exp(5 * a),
    "a^7": lambda a, b: a**7,
    "log(a)": lambda a, b: np.log(a),
    "exp(0.1/a)": lambda a, b: np.exp(0.1 / a),
}


def table(law, seed, rows, low, high):
    x = np.random.default_rng(seed).uniform(low, high, (rows, 2))
    return torch.tensor(x), torch.tensor(law(*x.T))


@pytest.mark.parametrize("law", HEAVY.values(), ids=HEAVY)
@pytest.mark.parametrize(("rows", "low", "high"), [(60, 0.01, 1), (300, 0.02, 1), (100, 0.1, 10)])
def test_no_row_of_a_clean_law_is_wrong(law, rows, low, high):
    for seed in range(3):
        assert wrong_rows(*table(law, seed, rows, low, high)) == []


@pytest.mark.parametrize("law", HEAVY.values(), ids=HEAVY)
@pytest.mark.parametrize("value", [1e3, -1e6])
def test_a_huge_row_is_the_only_wrong_one(law, value):
    for seed in range(2):
        x, y = table(law, seed, 60, 1, 3)
        y[11 + seed] = value * y.abs().amax()
        assert wrong_rows(x, y) == [11 + seed]


def test_a_pole_and_a_peak_are_no_wrong_rows():
    x = torch.linspace(0, 1, 120, dtype=torch.float64)[:, None]
    assert wrong_rows(x, 1 / (1.02 - x[:, 0])) == []
    assert wrong_rows(x, torch.exp(-((x[:, 0] - 0.4) ** 2) / 0.001)) == []
    assert wrong_rows(x, torch.tan(1.5 * x[:, 0])) == []


def test_a_long_table_is_looked_at_once_in_every_unit():
    x = torch.tensor(np.random.default_rng(1).uniform(0.02, 1, (20_000, 2)))
    y = 1 / x[:, 0]
    assert wrong_rows(x, y) == []
    y[777] = -1e4
    assert wrong_rows(x, y) == [777]
