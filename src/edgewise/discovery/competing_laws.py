"""Tells laws of one form from competitors of other forms, which the same rows do not tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sympy

if TYPE_CHECKING:
    from edgewise.discovery.law import Law
    from edgewise.discovery.rows import Table

CORRECTION = 0.2
"""Laws that differ in a smaller share of the spread of the target differ in a correction of the same law."""

PLAIN_MARGIN = 3.3
"""The same, ten to one, where numbers with a name and without cost alike: taste must not tell laws apart alone."""

MARGIN = 10.0
"""A law is announced where every other form is less likely by this many bits, a thousand to one.

What a form costs to write down is a convention that is worth a few of these bits.
"""


def competing(best: Law, laws: Sequence[Law]) -> Law | None:
    """The law of another form that is the least worse than the best, where it is within a margin; else None."""
    near = [law for law in laws if _is_near(law, best) and not one_form(law, best)]
    return min(near, key=lambda law: law.bits, default=None)


def _is_near(law: Law, best: Law) -> bool:
    return law.bits < best.bits + MARGIN or law.plain_bits < best.plain_bits + PLAIN_MARGIN


def one_form(first: Law, second: Law) -> bool:
    """Whether two laws differ in their numbers alone, exponents with two different names apart."""
    return not _unmatched(first, second) and not _unmatched(second, first)


def dispute(first: Law, second: Law, table: Table) -> float:
    """The share of the spread of the target, by the first law, in the terms that the second one does not have."""
    terms = _unmatched(first, second)
    if len(terms) == len(_terms(_expanded(first))):
        return 1.0
    part = table.values(sympy.Add(*terms))[:, 0]
    return (part.square().mean().sqrt() / table.y.std(correction=0)).item()


def _expanded(law: Law) -> Any:
    return sympy.expand(law.formula.expressions[0])


def _unmatched(first: Law, second: Law) -> list[Any]:
    """The terms of the first law, with their factors, that are not alike to one of the second."""
    left, alone = _terms(_expanded(second)), []
    for term in _terms(_expanded(first)):
        match = next((other for other in left if _alike(term, other)), None)
        if match is None:
            alone.append(term)
        else:
            left.remove(match)
    return alone


def _alike(p: Any, q: Any) -> bool:
    """Whether two expressions are equal but for factors, levels, and exponents of which one is a free number."""
    if p.is_number or q.is_number:
        return bool(p.is_number and q.is_number)
    if p.is_Add or q.is_Add:
        return _matched(_terms(p), _terms(q))
    if p.is_Mul or q.is_Mul:
        return _matched(_factors(p), _factors(q))
    if p.is_Pow or q.is_Pow:
        (p, m), (q, n) = p.as_base_exp(), q.as_base_exp()
        named = m.is_Rational and n.is_Rational
        return _alike(p, q) and (m == n if named else _alike(m, n))
    return p == q or (p.args != () and p.func == q.func and all(map(_alike, p.args, q.args)))


def _terms(e: Any) -> list[Any]:
    return list(sympy.Add.make_args(e))


def _factors(e: Any) -> list[Any]:
    return [factor for factor in sympy.Mul.make_args(e) if not factor.is_number]


def _matched(first: list[Any], second: list[Any]) -> bool:
    """Whether every member of one list is alike to one of the other, each used once."""
    if len(first) != len(second):
        return False
    left = list(second)
    for e in first:
        match = next((f for f in left if _alike(e, f)), None)
        if match is None:
            return False
        left.remove(match)
    return True
