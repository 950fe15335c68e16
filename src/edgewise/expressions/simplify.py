r"""Shorter forms of equal value: a canonical form, the shortest of several, and the front of error against length.

The canonical form removes the freedom of a network's parameters. Sums are flattened, products distributed over them,
and content is taken out of powers, exponentials, logarithms and absolute values: $e^{x + b} = e^b e^x$,
$(2u)^p = 2^p u^p$, $\log 2u = \log 2 + \log u$. Every constant that is left is one that the data determine, which is
what `snap` needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import sympy
import torch
from torch import Tensor

from edgewise.expressions.evaluate import evaluate

T = TypeVar("T")

ROUNDING = 1e-13
"""A term with a coefficient smaller than this share of the largest one in its sum is the rounding of zero."""

MAX_OPERATIONS = 60
"""Expressions with more operations than this skip sympy's slower simplifications."""


def simplify(
    expression: sympy.Expr,
    inputs: tuple[sympy.Symbol, ...],
    functions: Mapping[str, Callable[[Tensor], Tensor]],
    tolerance: float = 1e-9,
) -> sympy.Expr:
    """The shortest of several forms that are equal at 512 points around zero; a doubtful form is refused."""
    points = torch.randn(256, len(inputs), dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2
    points = torch.cat([points, points.abs()])
    forms = sorted((form for form in _forms(expression) if length(form) < length(expression)), key=length)
    wanted, *values = (evaluate((form,), inputs, points, functions)[:, 0] for form in (expression, *forms))
    equal = (form for form, got in zip(forms, values, strict=True) if _equal(got, wanted, tolerance))
    return next(equal, expression)


def canonical(e: sympy.Expr) -> Any:
    """The expression with its redundant constants merged; equal to it up to rounding."""
    for _ in range(4):
        new = sympy.expand_mul(_merged(e))
        if new == e:
            break
        e = new
    return e


def without_rounding(e: Any) -> Any:
    """The expression without terms of 1e-13 of the largest one, and with whole numbers where floats are rounded ones.

    >>> x = sympy.Symbol("x")
    >>> without_rounding(1.0000000000000002 * x**2 + 2.5 * x - 4e-16)
    x**2 + 2.5*x
    """
    if e.is_Float and abs(e - sympy.Integer(round(e))) < ROUNDING * abs(e):
        return sympy.Integer(round(e))
    if not e.args:
        return e
    args = [without_rounding(a) for a in e.args]
    if e.is_Add:
        sizes = [abs(a.as_coeff_Mul()[0]) for a in args]
        args = [a for a, size in zip(args, sizes, strict=True) if size > ROUNDING * max(sizes)]
    return e.func(*args)


def length(expression: Any) -> int:
    """Operations, and two for every constant that must be written down."""
    return int(sympy.count_ops(expression)) + 2 * len(expression.atoms(sympy.Float))


def pareto(items: Iterable[T], size: Callable[[T], float], error: Callable[[T], float], gain: float = 0.0) -> list[T]:
    """The items whose error is less than that of every shorter one by more than a share of it, the shortest first.

    >>> pareto([(3, 0.1), (1, 0.5), (2, 0.6), (4, 0.1)], lambda t: t[0], lambda t: t[1])
    [(1, 0.5), (3, 0.1)]
    """
    front: list[T] = []
    for item in sorted(items, key=lambda i: (size(i), error(i))):
        if not front or error(item) < error(front[-1]) * (1 - gain):
            front.append(item)
    return front


def _forms(e: sympy.Expr) -> list[Any]:
    e = without_rounding(e)
    forms = [e, canonical(e)]
    if sympy.count_ops(e) <= MAX_OPERATIONS:
        forms += [sympy.expand(e), sympy.powsimp(sympy.expand_log(e)), sympy.together(e), sympy.factor_terms(e)]
        forms += [sympy.factor_terms(sympy.powsimp(sympy.expand(e, power_exp=False)))]
        forms += [sympy.trigsimp(e)] if not e.atoms(sympy.Float) else []
    return forms


def _equal(got: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Equal where both are finite, and undefined at the same points."""
    finite = torch.isfinite(wanted)
    if not finite.any() or (torch.isfinite(got) != finite).any():
        return False
    return bool(((got - wanted).abs()[finite] <= tolerance * wanted.abs()[finite].clamp_min(1)).all())


def _merged(e: Any) -> Any:
    """One pass from the leaves up."""
    if not e.args or e.is_number:
        return e
    args = [sympy.expand_mul(_merged(a)) for a in e.args]
    value = e.func(*args)
    if isinstance(e, sympy.exp):
        constant, rest = args[0].as_coeff_Add()
        value = sympy.exp(constant) * sympy.exp(rest)
    elif isinstance(e, sympy.log | sympy.Abs):
        content, rest = _content(args[0])
        if content != 1:
            value = e.func(rest) + _log(content) if isinstance(e, sympy.log) else content * e.func(rest)
    elif e.is_Pow and args[1].is_number and args[1].is_real:
        value = _power(*args)
    elif isinstance(e, sympy.sin | sympy.cos) and args[0].could_extract_minus_sign():
        value = -e.func(-args[0]) if isinstance(e, sympy.sin) else e.func(-args[0])
    return value


def _power(base: Any, p: Any) -> Any:
    """Small powers of sums without a constant are multiplied out: (x - 1)^2 says more than x^2 - 2x + 1."""
    if (
        p.is_Integer
        and 0 < p <= 3
        and base.is_Add
        and len(base.args) <= 3
        and base.as_coeff_Add()[0] == 0
        and _rough(base)
    ):
        return sympy.expand(base**p)
    content, rest = _content(base)
    return content**p * rest**p if content != 1 else base**p


def _rough(e: Any) -> bool:
    return bool(e.atoms(sympy.Float))


def _content(e: Any) -> tuple[Any, Any]:
    """A positive factor c and e / c, where the largest coefficient of a term that varies becomes one.

    Nothing is taken out where an exact number already sets the scale.
    """
    constant, rest = e.as_coeff_Add()
    sizes = [abs(term.as_coeff_Mul()[0]) for term in sympy.Add.make_args(rest)]
    floats = [s for s in sizes if s.is_Float and s != 0]
    if not floats or len(floats) < len(sizes) or (constant != 0 and not constant.is_Float):
        return sympy.Integer(1), e
    c = max(floats)  # the smallest could be a spurious term, and could then no longer be dropped
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(rest)]
    scaled = [_unit(k / c) * body for k, body in terms]
    return c, sympy.Add(_unit(constant / c), *scaled)


def _unit(k: Any) -> Any:
    """One as an exact number, so that no parameter is left where the content was taken out."""
    return sympy.Integer(int(sympy.sign(k))) if abs(abs(k) - 1) < 1e-15 else k


def _log(content: Any) -> Any:
    return sympy.Float(math.log(float(content)), 17)
