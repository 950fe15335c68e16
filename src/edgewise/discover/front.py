"""The candidates and the rule that chooses among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from edgewise.symbolic import Formula

TOLERANCE = 0.1
"""The formula chosen may have this much more mean square error (5 % more of its root) than the best one."""

FLOOR = 1e-20
"""Relative mean square errors below this are rounding; the shorter formula wins."""


@dataclass(frozen=True)
class Finding:
    """A formula and how good it is.

    Args:
        formula: the formula.
        origin: how it was found.
        error: its loss on rows that it was not fitted to, in units of the outcome's variance for a regression.
    """

    formula: Formula
    origin: str
    error: float

    @property
    def complexity(self) -> int:
        """Operations, and two for every number that must be written down."""
        return sum(int(sympy.count_ops(e)) + 2 * len(e.atoms(sympy.Float)) for e in self.formula.expressions)

    def to_json(self) -> dict[str, Any]:
        return {
            "text": str(self.formula),
            "origin": self.origin,
            "error": self.error,
            "complexity": self.complexity,
            "formula": self.formula.to_json(),
        }


@dataclass(frozen=True)
class Discovery:
    """What was found: the front of error against length, the simplest first, and the one chosen."""

    front: tuple[Finding, ...]
    chosen: Finding
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding], inputs: Sequence[str]) -> Discovery:
        """The front of these findings; chosen is the shortest within `TOLERANCE` of the least error."""
        front: list[Finding] = []
        for finding in sorted(findings, key=lambda f: (f.complexity, f.error)):
            if not front or finding.error < front[-1].error:
                front.append(finding)
        bound = (1 + TOLERANCE) * front[-1].error + FLOOR
        chosen = next(finding for finding in front if finding.error <= bound)
        return cls(tuple(front), chosen, tuple(inputs))
