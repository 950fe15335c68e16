"""Begins a search with formulas that the user gives: their constants are fitted, then what they leave is searched for.

In a text such as "k*m*v**2/r + c" every name that is no input is a constant to be found, and so is every number with a
point; whole numbers stay. Laws are the formula itself, the formula plus a sum of power laws, and times one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy
import torch

from edgewise.discovery.goal import Goal
from edgewise.discovery.noise import unexplained
from edgewise.discovery.power_sums import power_sums
from edgewise.expressions.constants import refit_constants

VALUES = (1.0, -1.0, 0.1, 10.0)
"""Where constants without a value begin: all alike, then every one of three of them apart."""

MOST_APART = 3
"""With more constants than this their beginnings are alike."""

TURNS = 4
"""How often a start formula is fitted beside the power laws that it lacks."""

ROWS = 600
"""Rows that constants are fitted to."""


def laws_of_starts(starts: Sequence[Any], goal: Goal) -> Iterator[Any]:
    """Every formula with fitted constants, and where that leaves more than noise, with a correction."""
    for start in starts:
        goal.pulse(f"the start formula {start}")
        fitted = _fitted(start, goal)
        if fitted is None:
            continue
        yield fitted
        value = goal.samples.values(fitted)[:, 0]
        rest = goal.samples.y - value
        if unexplained(goal.straightened(goal.samples.x), rest):
            yield from _with_sums(start, fitted, goal)
            if (value != 0).all():
                yield from (fitted * part for part in power_sums(_with_target(goal, goal.samples.y / value)))


def _with_sums(start: Any, fitted: Any, goal: Goal) -> Iterator[Any]:
    """The formula plus power laws; as it was fitted without them, its constants and they take turns."""
    for _ in range(TURNS):
        rest = goal.samples.y - goal.samples.values(fitted)[:, 0]
        parts = list(power_sums(_with_target(goal, rest), complete=False))
        yield from (fitted + part for part in parts)
        best = min(parts, key=lambda part: goal.samples.error(fitted + part), default=None)
        if best is None or goal.budget.over:
            return
        refitted = _fitted(start, _with_target(goal, goal.samples.y - goal.samples.values(best)[:, 0]))
        if refitted is None:
            return
        fitted = refitted


def _with_target(goal: Goal, y: torch.Tensor) -> Goal:
    return replace(goal, fitted=replace(goal.samples, y=y), units=None)


def _fitted(start: Any, goal: Goal) -> Any:
    """The formula with the constants that fit best of all beginnings; None where none is defined at all rows."""
    table = goal.samples.head(ROWS)
    unknown = sorted(start.free_symbols - set(goal.inputs), key=str)
    few = len(unknown) <= MOST_APART
    beginnings = itertools.product(VALUES, repeat=len(unknown)) if few else ((v,) * len(unknown) for v in VALUES)
    found: list[tuple[float, Any]] = []
    for values in beginnings:
        # equal numbers are one constant, so that the beginnings differ a little
        apart = {s: sympy.Float(v * (1 + 0.01 * n), 17) for n, (s, v) in enumerate(zip(unknown, values, strict=True))}
        begun = start.xreplace(apart)
        if table.error(begun) < float("inf"):
            (end,), cost = refit_constants((begun,), goal.inputs, table.x, table.y[:, None])
            found.append((cost, end))
        if goal.budget.over:
            break
    return min(found, key=lambda f: f[0])[1] if found else None
