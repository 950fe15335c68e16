"""Gives the announced law its last form: constants of all rows with their uncertainties, the leading term in front."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.noise import scale_of
from edgewise.expressions.constants import snap
from edgewise.expressions.simplify import length
from edgewise.expressions.uncertainty import refit_with_errors

if TYPE_CHECKING:
    from edgewise.discovery.goal import Goal
    from edgewise.discovery.law import Law


def with_constants(law: Law, goal: Goal) -> Law:
    """The law with its numbers refitted to all rows, named where these say so, and with their standard errors."""
    (expression,), table = law.formula.expressions, goal.everything
    weight = weight_of(table.values(expression)[:, 0], law.noise)
    expression = leading_first(expression)
    if expression.atoms(sympy.Float):
        (expression,) = snap((expression,), goal.inputs, table.x, table.y[:, None], weight=weight)
        expression = leading_first(expression)
    expression, constants = refit_with_errors(expression, goal.inputs, table.x, table.y, weight)
    if not table.error(expression) <= 1.01 * table.error(law.formula.expressions[0]):
        return law  # the last refit ended elsewhere
    formula = replace(law.formula, expressions=(expression,))
    return replace(law, formula=formula, constants=constants)


def weight_of(value: Float[Tensor, " rows"], noise: float) -> Float[Tensor, " rows"]:
    """The inverse of the standard deviation of every row, with a mean square of one."""
    weight = 1 / scale_of(value, noise)
    weight = torch.where(torch.isfinite(weight), weight, 0.0)
    return weight / weight.square().mean().sqrt()


def leading_first(expression: Any) -> Any:
    """A product with one sum of a number and small terms as the number times one and corrections.

    >>> x, y = sympy.symbols("x y")
    >>> leading_first(y * (0.5 * x**2 + 2 * sympy.pi))
    2*pi*y*(0.079577471545947673*x**2 + 1)
    """
    gathered = sympy.factor_terms(expression)
    sums = [f for f in sympy.Mul.make_args(gathered) if f.is_Add]
    others = [f for f in sympy.Mul.make_args(gathered) if not f.is_Add]
    if len(sums) != 1 or not any(f.free_symbols for f in others) or not sums[0].atoms(sympy.Float):
        return expression
    level, rest = sums[0].as_independent(*sums[0].free_symbols, as_Add=True)
    if level == 0:
        return expression
    corrections = [_divided(term, level) for term in sympy.Add.make_args(rest)]
    led = sympy.Mul(level, *others, sympy.Add(1, *corrections))
    return led if length(led) <= length(expression) + 2 else expression


def _divided(term: Any, level: Any) -> Any:
    """The term over a number, with one floating point number where either has one."""
    number, rest = term.as_independent(*term.free_symbols, as_Add=False)
    ratio = number / level
    return (sympy.Float(float(ratio), 17) if ratio.atoms(sympy.Float) else ratio) * rest
