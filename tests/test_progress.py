"""Budgets count their own clock."""

import time

import pytest

from edgewise.progress import Budget, Pulse, TimeIsOver, uncounted


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


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), "5", None])
def test_a_limit_is_a_number_of_seconds(seconds, as_a_user):
    with pytest.raises(ValueError, match="seconds >= 0"):
        Budget(seconds)
    with pytest.raises(ValueError, match="seconds >= 0"):
        Budget.of_search(seconds, time.thread_time)


def test_an_outer_limit_of_wall_time_ends_what_no_processor_works_on():
    still = Budget(10.0, lambda: 0.0, wall=0.0)
    assert still.over
    assert still.late
    assert still.share(0.5).over
    assert not Budget(10.0, lambda: 0.0, wall=60.0).over
    with pytest.raises(TimeIsOver):
        Pulse(still)("a step")


def test_a_search_counts_its_own_thread():
    budget = Budget.of_search(5.0, time.thread_time)
    time.sleep(0.02)
    assert budget.spent < 0.01
    assert budget.wall == 22.0


def test_what_is_done_once_for_a_machine_is_on_no_budget():
    before = Budget(10.0, wall=10.0)
    begun = before.spent
    with uncounted():
        time.sleep(0.05)
    assert before.spent - begun < 0.04
    time.sleep(0.05)
    assert before.spent - begun >= 0.05
