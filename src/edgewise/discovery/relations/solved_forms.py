"""An implicit law g(x) = 0 solved for its variables, each branch verified on the rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float

from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.names import heading
from edgewise.expressions.printers import text

LEAST_ROWS = 0.02
"""A branch that fewer rows follow is not shown."""

CLOSE = 1e-5
"""A row follows a branch up to this share of the spread of the variable."""


@dataclass(frozen=True)
class SolvedForm:
    """A law solved for one variable.

    Attributes:
        variable: its name.
        expression: what it equals.
        rows: the share of the rows that follow this branch.
    """

    variable: str
    expression: sympy.Expr
    rows: float

    def __str__(self) -> str:
        return f"{heading(self.variable)} = {text(self.expression)}" + (
            "" if self.rows > 0.999 else f"  ({self.rows:.0%} of rows)"
        )

    def to_json(self) -> dict[str, Any]:
        """The form as a JSON object."""
        return {
            "variable": self.variable,
            "expression": sympy.srepr(self.expression),
            "text": str(self),
            "rows": self.rows,
        }


def solved_forms(
    law: Any, symbols: tuple[sympy.Symbol, ...], values: Float[np.ndarray, "rows columns"]
) -> tuple[SolvedForm, ...]:
    """The law, an expression that is 0, solved for every variable for which elementary inverses do it."""
    x = torch.as_tensor(values, dtype=torch.float64)
    forms = []
    for j, symbol in enumerate(symbols):
        spread = float(values[:, j].std())
        for solution in _solutions(law, symbol):
            if solution.has(sympy.I, sympy.zoo, sympy.nan, sympy.oo):
                continue
            off = (evaluate((solution,), symbols, x)[:, 0] - x[:, j]).abs()
            share = float((off <= CLOSE * spread).double().mean())
            if share >= LEAST_ROWS:
                forms.append(SolvedForm(str(symbol), solution, share))
    return tuple(forms)


def _solutions(law: Any, symbol: sympy.Symbol) -> list[Any]:
    """Expressions that the symbol equals where the law is 0."""
    if symbol not in law.free_symbols:
        return []
    if law.is_polynomial(symbol):
        return list(_roots(sympy.Poly(law, symbol)))
    numerator: Any = sympy.fraction(sympy.together(law))[0]
    if numerator.is_polynomial(symbol):
        found = list(_roots(sympy.Poly(numerator, symbol)))
        if found:
            return found
    places = sum(leaf == symbol for leaf in sympy.preorder_traversal(law))
    return list(_unwound(law, sympy.Integer(0), symbol)) if places == 1 else []


def _roots(polynomial: Any) -> Iterator[Any]:
    """The real roots of a polynomial of degree one or two, or with a single power."""
    coefficients = polynomial.all_coeffs()
    degree, inner = polynomial.degree(), any(c != 0 for c in coefficients[1:-1])
    first, last = coefficients[0], coefficients[-1]
    if degree == 1:
        yield sympy.simplify(-last / first)
    elif not inner:
        yield from _inverse_power(sympy.simplify(-last / first), sympy.Integer(degree))
    elif degree == 2:
        a, b, c = coefficients
        root = sympy.sqrt(sympy.expand(b**2 - 4 * a * c))
        yield from (sympy.simplify((-b + root) / (2 * a)), sympy.simplify((-b - root) / (2 * a)))


def _unwound(e: Any, value: Any, symbol: sympy.Symbol) -> Iterator[Any]:
    """What the symbol equals where an expression that has it once has a value."""
    if e == symbol:
        yield value
        return
    inner = next(part for part in e.args if part.has(symbol))
    others = [part for part in e.args if part is not inner]
    if e.is_Add:
        values = [value - sympy.Add(*others)]
    elif e.is_Mul:
        values = [value / sympy.Mul(*others)]
    elif e.is_Pow and inner == e.base:
        values = list(_inverse_power(value, e.exp))
    elif e.is_Pow:
        values = [sympy.log(value) / sympy.log(e.base)]
    else:
        values = INVERSES.get(type(e), lambda v: [])(value)
    for v in values:
        yield from _unwound(inner, v, symbol)


def _inverse_power(value: Any, exponent: Any) -> list[Any]:
    """The real bases with this power."""
    if exponent.is_Integer and exponent % 2:
        root = sympy.sign(value) * sympy.Abs(value) ** (1 / sympy.Abs(exponent))
        plain = value if abs(exponent) == 1 else root
        return [plain if exponent > 0 else 1 / plain]
    root = value ** (1 / exponent)
    return [root, -root] if exponent.is_Integer else [root]


INVERSES: dict[Any, Any] = {
    sympy.exp: lambda v: [sympy.log(v)],
    sympy.log: lambda v: [sympy.exp(v)],
    sympy.sin: lambda v: [sympy.asin(v), sympy.pi - sympy.asin(v), -sympy.pi - sympy.asin(v)],
    sympy.cos: lambda v: [sympy.acos(v), -sympy.acos(v)],
    sympy.tan: lambda v: [sympy.atan(v)],
    sympy.asin: lambda v: [sympy.sin(v)],
    sympy.acos: lambda v: [sympy.cos(v)],
    sympy.atan: lambda v: [sympy.tan(v)],
    sympy.sinh: lambda v: [sympy.asinh(v)],
    sympy.tanh: lambda v: [sympy.atanh(v)],
    sympy.Abs: lambda v: [v, -v],
}
"""The values at which a function has a value, on the branches next to 0."""
