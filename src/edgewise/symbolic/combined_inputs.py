"""Inputs that are formulas of the data's columns, such as x1*x2 or x1 - x2, computed before the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions import Formula, parse_formula


@dataclass(frozen=True)
class CombinedInput:
    """An input with its formula.

    Args:
        name: of the input.
        formula: of the inputs before it, in their order.
    """

    name: str
    formula: Formula

    @classmethod
    def read(cls, text: str, names: Sequence[str], name: str | None = None) -> CombinedInput:
        """The input of a formula in plain notation; `ValueError` where it is none, or reads no or other inputs.

        >>> print(CombinedInput.read("a*b", ["a", "b"]).formula)
        a*b = a*b
        """
        symbols = tuple(sympy.Symbol(known, real=True) for known in names)
        expression = parse_formula(text, symbols)
        if not expression.free_symbols:
            raise ValueError(f"{text!r} reads no input; the inputs are {', '.join(names)}")
        if expression in symbols:
            raise ValueError(f"{text!r} is an input already")
        name = " ".join(text.split()) if name is None else name
        return cls(name, Formula((expression,), symbols, (name,)))

    def values(self, x: Float[Tensor, "*b inputs"]) -> Float[Tensor, "*b 1"]:
        """The input for the inputs before it."""
        return self.formula(x.double()).to(x)

    def changes_with(self, p: int, q: int) -> bool:
        """Whether the formula changes where two of the inputs are exchanged."""
        a, b = self.formula.inputs[p], self.formula.inputs[q]
        e = self.formula.expressions[0]
        return sympy.simplify(e.xreplace({a: b, b: a}) - e) != 0


def extended(x: Float[Tensor, "*b columns"], combined: Sequence[CombinedInput]) -> Float[Tensor, "*b inputs"]:
    """The columns with all combined inputs after them."""
    for more in combined:
        x = torch.cat([x, more.values(x)], -1)
    return x


def in_columns(formula: Formula, combined: Sequence[CombinedInput]) -> Formula:
    """A formula of columns and combined inputs as one of the columns alone."""
    if not combined:
        return formula
    first = len(formula.inputs) - len(combined)
    expressions = formula.expressions
    for n in range(len(combined) - 1, -1, -1):
        own = combined[n].formula
        reads = dict(zip(own.inputs, formula.inputs[: len(own.inputs)], strict=True))
        written = own.expressions[0].xreplace(reads)
        expressions = tuple(e.xreplace({formula.inputs[first + n]: written}) for e in expressions)
    return replace(formula, expressions=expressions, inputs=formula.inputs[:first])
