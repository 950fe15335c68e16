"""Grids follow errors: finer where these are large, coarser where they are small, with the ends as they were."""

import pytest
import torch

from edgewise.pde.surface_sizes import bisected, regraded

GRID = torch.linspace(0, 2, 21, dtype=torch.float64)


def test_equal_errors_change_all_widths_by_the_power_law():
    target, order = 1e-3, 8
    for excess in (100.0, 1.0, 0.01):
        errors = torch.full((20,), target / 4 / 20**0.5 * excess, dtype=torch.float64)
        made = regraded(GRID, errors, target, order, (0.4, 2.0))
        widths = made.diff()
        assert made[[0, -1]].tolist() == [0.0, 2.0]
        assert float(widths.max() / widths.min()) == pytest.approx(1.0)
        assert float(widths.mean()) == pytest.approx(
            0.1 * excess ** (-1 / order), rel=0.1
        )  # a whole number of intervals


def test_widths_change_within_their_limits_and_where_the_errors_are():
    errors = torch.full((20,), 1e-12, dtype=torch.float64)
    errors[15] = 1.0
    made = regraded(GRID, errors, 1e-3, 6, (0.5, 2.0))
    near = made[(made > 1.4) & (made < 1.7)].diff()
    far = made[made < 1.2].diff()
    assert float(near.max()) < 0.0501 + 0.01
    assert float(far.min()) > 0.19
    zero = regraded(GRID, torch.zeros(20, dtype=torch.float64), 1e-3, 6, (0.5, 2.0))
    assert len(zero) == 11


def test_halves_hold_the_old_points():
    errors = torch.linspace(0, 1, 20, dtype=torch.float64) ** 8
    made = bisected(GRID, errors, 1e-3)
    assert all(bool((made - point).abs().min() < 1e-15) for point in GRID)
    assert made.diff()[-1] < made.diff()[0]
