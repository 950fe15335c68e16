"""The candidates and the rule that chooses among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from edgewise.expressions import Formula
from edgewise.expressions.simplify import pareto

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
        """The finding as a JSON object with exact numbers."""
        return {"origin": self.origin, "error": self.error, "formula": self.formula.to_json()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Finding:
        """The finding that `to_json` described."""
        inputs, outputs = fields["formula"]["inputs"], fields["formula"]["outputs"]
        symbols = tuple(sympy.Symbol(name, real=True) for name in inputs)
        expressions = tuple(sympy.sympify(text) for text in outputs.values())
        return cls(Formula(expressions, symbols, tuple(outputs)), fields["origin"], fields["error"])


@dataclass(frozen=True)
class Front:
    """What was found: the front of error against length, the simplest first, and the one chosen."""

    front: tuple[Finding, ...]
    chosen: Finding
    inputs: tuple[str, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding], inputs: Sequence[str]) -> Front:
        """The front of these findings; chosen is the shortest within `TOLERANCE` of the least error."""
        front = pareto(findings, lambda f: f.complexity, lambda f: f.error)
        bound = (1 + TOLERANCE) * front[-1].error + FLOOR
        chosen = next(finding for finding in front if finding.error <= bound)
        return cls(tuple(front), chosen, tuple(inputs))

    def to_json(self) -> dict[str, Any]:
        """The front as a JSON object."""
        front = [finding.to_json() for finding in self.front]
        return {"front": front, "chosen": self.front.index(self.chosen), "inputs": list(self.inputs)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Front:
        """The front that `to_json` described."""
        front = tuple(Finding.from_json(finding) for finding in fields["front"])
        return cls(front, front[fields["chosen"]], tuple(fields["inputs"]))
