"""A law with its evidence, and which of the laws found is announced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from edgewise.expressions.formula import Formula
from edgewise.expressions.simplify import pareto
from edgewise.nn import DEFAULT_LIBRARY, KAN, Library
from edgewise.symbolic.write import compile

MAX_UNNAMED = 8
"""A law with more numbers that have no name is not announced."""


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
        exact: True where the law leaves rounding only, inside and outside the region that it was found in.
        reason: a sentence: why this law, or why none.
        alternatives: the front of error against complexity, simplest first.
        curves_error: relative held-out error of the best structure of curves, which no law of that form can beat.
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
        """The law as a KAN, exact, to be drawn, widened or trained further."""
        return compile(self.formula.expressions, self.formula.inputs, library=library, output_names=self.formula.names)

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


def answer_of(laws: Sequence[Law], curves_error: float, seconds: float) -> Discovery:
    """The law to announce, if there is one, and why."""
    finite = [law for law in laws if math.isfinite(law.error)]
    front = pareto(finite, lambda law: law.complexity, lambda law: law.error, gain=1e-6)
    alternatives = tuple(front)
    if not front:
        reason = "no structure of curves and products fits the samples, so that there were no functions to look for"
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
        reason = f"the best formula needs {numbers} numbers without a name: a table of the data rather than a law"
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    if best.extrapolation_error > 2 * best.error + 1e-6:
        reason = (
            f"the best formula leaves {best.error:.2g} of the spread of y inside the region it was found in, but "
            f"{best.extrapolation_error:.2g} outside"
        )
        return Discovery(None, False, reason, alternatives, curves_error, seconds)
    reason = (
        f"explains all but {best.error:.2g} of the spread of y, as well as curves do ({curves_error:.2g}), and "
        f"{best.extrapolation_error:.2g} outside: a law up to that noise, not proven exact"
    )
    return Discovery(best, False, reason, alternatives, curves_error, seconds)


def is_exact(law: Law) -> bool:
    """Rounding alone is left, and not because there are numbers enough to imitate any curve."""
    few = len(law.formula.expressions[0].atoms(sympy.Float)) <= MAX_UNNAMED
    return few and law.error < 1e-9 and law.extrapolation_error < 1e-9


def is_settled(law: Law, curves_error: float) -> bool:
    """True for a law of few numbers that leaves the noise alone: more than 10^-4, no more than curves leave."""
    noise = max(law.error, 1e-4)
    numbers = len(law.formula.expressions[0].atoms(sympy.Float))
    slack = 1.1 if numbers == 0 else 1.03
    return law.error < slack * curves_error and law.extrapolation_error < 1.2 * noise and numbers <= 2
