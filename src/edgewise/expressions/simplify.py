"""A shorter form of an expression that is numerically the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy
import torch
from torch import Tensor

from edgewise.expressions.canonical import canonical
from edgewise.expressions.evaluate import evaluate

MAX_OPERATIONS = 60
"""Above this size sympy's slower simplifications are left out."""


def simplify(
    expression: sympy.Expr,
    inputs: tuple[sympy.Symbol, ...],
    functions: Mapping[str, Callable[[Tensor], Tensor]],
    tolerance: float = 1e-9,
) -> sympy.Expr:
    """The shortest of several forms that are equal at 512 points around zero; a doubtful form is refused."""
    points = torch.randn(256, len(inputs), dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
    points = torch.cat([points, points.abs()])
    wanted = evaluate((expression,), inputs, points, functions)[:, 0]
    best = expression
    for form in _forms(expression):
        if _cost(form) < _cost(best) and _equal(evaluate((form,), inputs, points, functions)[:, 0], wanted, tolerance):
            best = form
    return best


def _forms(e: sympy.Expr) -> list[Any]:
    forms = [canonical(e)]
    if sympy.count_ops(e) <= MAX_OPERATIONS:
        forms += [sympy.expand(e), sympy.powsimp(sympy.expand_log(e)), sympy.together(e), sympy.factor_terms(e)]
        forms += [sympy.factor_terms(sympy.powsimp(sympy.expand(e, power_exp=False)))]
        forms += [sympy.trigsimp(e)] if not e.atoms(sympy.Float) else []
    return forms


def _cost(e: sympy.Expr) -> float:
    return sympy.count_ops(e) + len(e.atoms(sympy.Float)) * 2


def _equal(got: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Equal where both are finite, and undefined at the same points."""
    finite = torch.isfinite(wanted)
    if not finite.any() or (torch.isfinite(got) != finite).any():
        return False
    return bool(((got - wanted).abs()[finite] <= tolerance * wanted.abs()[finite].clamp_min(1)).all())
