"""Refines rough laws, judges them on held-out rows, and decides which of the laws is announced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy

from edgewise.discovery.candidates import RoughLaw
from edgewise.discovery.goal import Goal, Table
from edgewise.expressions.constants import refit_constants, snap
from edgewise.expressions.formula import Formula
from edgewise.expressions.simplify import canonical, pareto, simplify
from edgewise.nn import DEFAULT_LIBRARY, KAN, Library
from edgewise.symbolic.write import from_formula

MAX_CONSTANTS = 40
"""A rough law with more constants is not refined: it is a table, not a law."""

MAX_UNNAMED = 8
"""A law with more constants that have no name is not announced."""

FEW = 600
"""Rows that constants are refitted to first."""


@dataclass(frozen=True)
class Law:
    """A formula with its evidence: errors relative to the standard deviation of y."""

    formula: Formula
    error: float
    extrapolation_error: float
    complexity: int
    structure: str

    def to_json(self) -> dict[str, Any]:
        """The law as a JSON object."""
        return {
            "formula": self.formula.to_json(),
            "error": self.error,
            "extrapolation_error": self.extrapolation_error,
            "complexity": self.complexity,
            "structure": self.structure,
        }


@dataclass(frozen=True)
class Discovery:
    """The answer of `discover`.

    Attributes:
        law: the recommended law, or None where none is announced.
        exact: True where the law leaves rounding only, inside and outside the region of the fitted rows.
        reason: a sentence that says why this law is announced, or why none is.
        alternatives: the front of error against complexity, simplest first.
        curves_error: relative held-out error of the best structure of curves, a lower bound for laws of that form.
        seconds: time of the search.
    """

    law: Law | None
    exact: bool
    reason: str
    alternatives: tuple[Law, ...]
    curves_error: float
    seconds: float

    @property
    def formula(self) -> Formula:
        """The formula of the law; raises `ValueError` with the reason where there is none."""
        if self.law is None:
            raise ValueError(f"no law was found: {self.reason}")
        return self.law.formula

    def model(self, library: Library = DEFAULT_LIBRARY) -> KAN:
        """The law as a KAN that computes it exactly, to be drawn, widened or trained further."""
        return from_formula(
            self.formula.expressions, self.formula.inputs, library=library, output_names=self.formula.names
        )

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "law": None if self.law is None else self.law.to_json(),
            "exact": self.exact,
            "reason": self.reason,
            "alternatives": [a.to_json() for a in self.alternatives],
            "curves_error": self.curves_error,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return f"{self.law.formula if self.law else 'no law'}\n{self.reason}"


@dataclass(frozen=True)
class Verdict:
    """A judged law: why its dimensions are impossible, if they are, and whether the search may end with it."""

    law: Law
    objection: str | None
    settled: bool

    def __str__(self) -> str:
        law = self.law
        wrong = "" if self.objection is None else f", impossible: {self.objection}"
        return f"{law.formula}, error {law.error:.3g}, outside {law.extrapolation_error:.3g}{wrong}"


def judged(rough: RoughLaw, goal: Goal) -> Verdict | None:
    """The law with its constants refitted and named, simplified, and measured on rows that it was not fitted to.

    None where it has too many constants, fits badly, or imitates another function.
    """
    spread = goal.fitted.y.std(correction=0).item()
    expression = _refined(rough, goal.samples, spread)
    if expression is None:
        return None
    expression = simplify(goal.fitted.without_abs(expression), goal.inputs, {})
    if goal.samples.head(FEW).cancels(expression):
        return None
    law = Law(
        Formula((expression,), goal.inputs, (goal.output,)),
        goal.held_out.error(expression) / spread,
        goal.outside.error(expression) / spread,
        int(sympy.count_ops(expression)) + len(expression.atoms(sympy.Float)),
        rough.origin,
    )
    objection = goal.objection(expression)
    return Verdict(law, objection, objection is None and (is_exact(law) or is_settled(law, rough.curves_error)))


def answer_of(verdicts: Sequence[Verdict], curves_error: float, seconds: float) -> Discovery:
    """The law to announce, if there is one, and why."""
    answer = _announced([v.law for v in verdicts if v.objection is None], curves_error, seconds)
    objections = [v.objection for v in verdicts if v.objection is not None]
    if answer.law is None and objections:
        note = f"{answer.reason}; {len(objections)} formulas with wrong dimensions were left out ({objections[0]})"
        return replace(answer, reason=note)
    return answer


def _announced(laws: Sequence[Law], curves_error: float, seconds: float) -> Discovery:
    finite = [law for law in laws if math.isfinite(law.error)]
    front = pareto(finite, lambda law: law.complexity, lambda law: law.error, gain=1e-6)
    alternatives = tuple(front)
    if not front:
        reason = "no structure of curves and products fits the samples, so that there were no functions to search for"
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    best = min(front, key=lambda law: 100 * math.log2(max(law.error, 1e-12)) + 4 * law.complexity)
    if is_exact(best):
        reason = (
            f"exact: rounding alone is left, inside ({best.error:.1g}) and outside ({best.extrapolation_error:.1g})"
        )
        return Discovery(best, True, reason, alternatives, curves_error, seconds)
    if best.error > max(1.15 * curves_error, 1e-6) or best.error > 0.5:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y where curves leave {curves_error:.2g}; "
            "the functions are not in the library or the structure is another"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    numbers = len(best.formula.expressions[0].atoms(sympy.Float))
    if numbers > MAX_UNNAMED:
        reason = f"the best formula needs {numbers} constants without a name: a table of the data rather than a law"
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    if best.extrapolation_error > 2 * best.error + 1e-6:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y inside the region of the fitted rows, but "
            f"{best.extrapolation_error:.2g} outside"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    reason = (
        f"explains all but {best.error:.2g} of the spread of y, as well as curves do ({curves_error:.2g}), and "
        f"{best.extrapolation_error:.2g} outside: a law up to that noise, not proven exact"
    )
    return Discovery(best, False, reason, alternatives, curves_error, seconds)


def is_exact(law: Law) -> bool:
    """True where rounding alone is left, by a law with too few constants to imitate any curve."""
    few = len(law.formula.expressions[0].atoms(sympy.Float)) <= MAX_UNNAMED
    return few and law.error < 1e-9 and law.extrapolation_error < 1e-9


def is_settled(law: Law, curves_error: float) -> bool:
    """True for a law of few constants that leaves noise alone: more than 10^-4, no more than curves leave."""
    noise = max(law.error, 1e-4)
    numbers = len(law.formula.expressions[0].atoms(sympy.Float))
    slack = 1.1 if numbers == 0 else 1.03
    return law.error < slack * curves_error and law.extrapolation_error < 1.2 * noise and numbers <= 2


def _refined(rough: RoughLaw, samples: Table, spread: float) -> Any:
    """The law in the inputs with constants refitted in the scale of y and named; None where it is no law."""
    symbols, u, y = rough.variables.symbols, rough.variables.x, samples.y[:, None]
    expression = canonical(rough.expression)
    if len(expression.atoms(sympy.Float)) > MAX_CONSTANTS:
        return None
    (expression,), cost = refit_constants((expression,), symbols, u[:FEW], y[:FEW], steps=25)
    if not math.sqrt(cost) < 0.5 * spread:
        return None
    (expression,) = snap((expression,), symbols, u[:FEW], y[:FEW])
    if expression.atoms(sympy.Float):
        expanded = sympy.expand(expression)
        if len(expanded.atoms(sympy.Float)) <= len(expression.atoms(sympy.Float)):
            expression = expanded
        (expression,) = snap((expression,), symbols, u, y)
    return expression.xreplace(dict(zip(symbols, rough.variables.expressions, strict=True)))
