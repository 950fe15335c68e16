"""Says why samples do not prove a law although it leaves rounding only: here alone exact is told from not exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sympy
import torch

from edgewise.discovery.evidence_bits import JUMPS
from edgewise.discovery.goal import Goal
from edgewise.discovery.rows import FEW_VALUES, MIN_ROWS, Table

ROUNDING = 1e-9
"""A relative error below this is rounding."""

SHIFT = 1.001
"""Every number of a law must matter: times this it must change the values by more than rounding."""

MOVED_ROWS = 10
"""The rows at least that must see a change of a number."""


@dataclass(frozen=True)
class Doubt:
    """Why a law that leaves rounding only is not proven.

    Attributes:
        reason: the end of a sentence for the reader.
        settled: True where no other law of the same samples could be proven either.
    """

    reason: str
    settled: bool


def doubt(expression: Any, goal: Goal) -> Doubt | None:
    """The first reason why the samples do not prove a law, or None."""
    return next(_doubts(expression, goal), None)


def _doubts(expression: Any, goal: Goal) -> Iterator[Doubt]:
    table = goal.samples
    named = [j for j, symbol in enumerate(goal.inputs) if symbol in expression.free_symbols]
    rows = goal.different_rows(named)
    if named and rows < MIN_ROWS:
        names = ", ".join(str(goal.inputs[j]) for j in named)
        yield Doubt(f"there are {rows} different rows of {names}, and other laws agree on them", True)
    for j in named:
        values = torch.unique(table.x[:, j])
        if len(values) < FEW_VALUES:
            shown = ", ".join(f"{v:.4g}" for v in values.tolist())
            yield Doubt(f"{goal.inputs[j]} has {len(values)} values ({shown}), and between them any law may hold", True)
    if len(goal.outside.y) == 0:
        yield Doubt("the rows cannot be split into a region to fit and rows outside it", True)
    for jump in expression.atoms(*JUMPS):
        yield Doubt(f"it has {_place(jump, table)}", True)
    middle = _error_of_small(expression, table)
    if middle > 10 * ROUNDING:
        yield Doubt(f"where y is small it is off by {middle:.1g} of its size", False)
    for number in _idle_numbers(expression, table):
        yield Doubt(f"its number {float(number):.6g} changes nothing in nearly all rows", False)


def _place(jump: Any, table: Table) -> str:
    """Where a law jumps, as far as the samples tell."""
    inside = jump.args[0]
    shift, rest = inside.as_coeff_Add()
    u = table.x[:, table.inputs.index(rest)] if rest in table.inputs else table.y[:0]
    below, above = u[u < float(-shift)], u[u > float(-shift)]
    if not isinstance(jump, sympy.Heaviside) or not len(below) or not len(above):
        return f"a jump, {jump}, whose place is not known between samples"
    between = f"{below.amax().item():.4g} and {above.amin().item():.4g}"
    return f"a step at {rest} = {float(-shift):.6g}, anywhere between the samples {between}"


def _error_of_small(expression: Any, table: Table) -> float:
    """The median error against the median size of y: what a mean over several decades of y does not see."""
    size = (table.y - table.y.median()).abs().median().item()
    error = (table.values(expression)[:, 0] - table.y).abs().median().item()
    return error / size if size > 0 else 0.0


def _idle_numbers(expression: Any, table: Table) -> Iterator[Any]:
    """Numbers that stand for a limit or belong to terms that are not there: hardly a row sees a change of them."""
    value = table.values(expression)[:, 0]
    for number in sorted(expression.atoms(sympy.Number) - {-1, 0, 1}, key=lambda n: -abs(float(n))):
        moved = table.values(expression.xreplace({number: sympy.Float(SHIFT, 17) * number}))[:, 0] - value
        still = moved.abs() < ROUNDING * table.y.std(correction=0)
        if len(still) - int(still.sum()) < MOVED_ROWS:
            yield number
