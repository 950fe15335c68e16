"""Budgets count their own clock."""

import pytest

from edgewise.progress import Budget


def test_a_budget_counts_from_when_it_was_made():
    now = [10.0]
    budget = Budget(4.0, lambda: now[0])
    assert (budget.spent, budget.left, budget.over, budget.fraction) == (0.0, 4.0, False, 0.0)
    now[0] = 13.0
    assert (budget.spent, budget.left, budget.over, budget.fraction) == (3.0, 1.0, False, 0.75)
    half = budget.share(0.5)
    assert (half.seconds, half.spent) == (0.5, 0.0)
    now[0] = 15.0
    assert (budget.left, budget.over, budget.fraction, half.over) == (0.0, True, 1.0, True)


def test_without_a_limit_time_is_never_over():
    budget = Budget()
    assert (budget.over, budget.fraction, budget.share(0.5).over) == (False, 0.0, False)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_limit_is_a_number_of_seconds(seconds):
    with pytest.raises(ValueError, match="seconds >= 0"):
        Budget(seconds)
