r"""One form for expressions that differ by the freedom of a network's numbers alone.

Sums are flattened, products distributed over them, and content is taken out of powers, exponentials, logarithms and
absolute values: $e^{x + b} = e^b e^x$, $(2u)^p = 2^p u^p$, $\log 2u = \log 2 + \log u$. Every number left is then one
that the data determine, which is what `snap` needs.
"""

from __future__ import annotations

import math
from typing import Any

import sympy


def canonical(e: sympy.Expr) -> Any:
    """The expression with its redundant numbers merged; equal to it up to rounding."""
    for _ in range(4):
        new = sympy.expand_mul(_merged(e))
        if new == e:
            break
        e = new
    return e


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
