r"""Solve a family of problems, each from the solution of the one before: continuation in a parameter.

Newton's method finds a solution from one nearby. Where a problem is too nonlinear for a start from nothing (a flow of
large Reynolds number, a plate that buckles), it is reached along a path of easier ones; a step that fails is halved
(natural continuation; Allgower & Georg, Introduction to Numerical Continuation Methods, 2003, chapter 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from edgewise.display import shows_progress
from edgewise.pde.operators import ProblemError
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution
from edgewise.pde.solve_methods import SolveMethod, Surfaces
from edgewise.pde.solver import solve
from edgewise.progress import Budget, Event, Listener

HALVINGS = 4
"""How often a step may be halved."""

UNSOLVED = 0.5
"""A residual relative to its terms from which on nothing is there to continue from."""


@shows_progress
def follow(
    problem: Callable[[float], Problem],
    values: Sequence[float],
    model: nn.Module | Sequence[int] | None = None,
    method: str | SolveMethod | Surfaces = "surface",
    *,
    seconds: float = math.inf,
    progress: bool | Listener | None = None,
    **options: Any,
) -> tuple[Solution, ...]:
    """The solution of the problem at every value of its parameter, each begun with that at the value before.

    Args:
        problem: makes the problem from the value of the parameter: `lambda re: cavity(re)`.
        values: of the parameter, the easiest first.
        model: of the first solve; see `solve`.
        method: of every solve.
        seconds: time limit of all solves.
        progress: True to show it; or called with an `Event` after every round.
        options: further arguments of `solve`.

    Returns:
        One solution for every value, up to the first that was not reached: that is the last one, and says so.

    Raises:
        ProblemError: there are no values, or one is not finite; or what `solve` refuses.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    path = [float(value) for value in values]
    if not path or not all(map(math.isfinite, path)):
        raise ProblemError(f"follow needs one value of the parameter or more, all finite, got {list(values)}")
    budget, found = Budget(seconds), []
    for n, value in enumerate(path):
        if found and budget.over:
            return _ended(found, value)

        def solved(value: float, start: Any, n: int = n) -> Solution:
            def tell(event: Event) -> None:
                done = max((n + event.fraction) / len(path), budget.fraction)
                if progress is not None:
                    progress(Event(f"parameter {value:g}, {event.stage}", min(1.0, done), event.text))

            return solve(problem(value), start, method, seconds=budget.left, progress=tell, **options)

        found.append(_towards(solved, value, path[n - 1], found[-1], budget) if found else solved(value, model))
        if not _there(found[-1]):
            return _ended(found, *path[n + 1 : n + 2])
    return tuple(found)


def _ended(found: list[Solution], untried: float | None = None) -> tuple[Solution, ...]:
    """What was found, the last of which says that no later value was tried."""
    if untried is None:
        return tuple(found)
    told = f"parameters from {untried:g} on were not tried: give values between, or more seconds"
    last = found[-1]
    return (*found[:-1], replace(last, message=f"{last.message}; {told}", doubts=(*last.doubts, told)))


def _towards(
    solved: Callable[[float, nn.Module], Solution], value: float, last: float, reached: Solution, budget: Budget
) -> Solution:
    """The solution at a value, over values between where a step to it fails."""
    goals, solution = [value], reached
    while goals:
        tried = solved(goals[-1], reached.model)
        if _there(tried):
            last, reached, solution = goals.pop(), tried, tried
        elif budget.over or len(goals) > HALVINGS:
            return tried
        else:
            goals.append(_between(last, goals[-1]))
    return solution


def _between(a: float, b: float) -> float:
    """The geometric mean of numbers of one sign, else the mean."""
    return math.copysign(math.sqrt(a * b), a) if a * b > 0 else (a + b) / 2


def _there(solution: Solution) -> bool:
    """Whether the next problem can begin with this solution; its error may be above what was asked for."""
    return solution.converged and all(size <= UNSOLVED for size in solution.relative_residuals.values())
