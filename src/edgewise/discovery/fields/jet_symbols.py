"""Terms of a law as sympy expressions of fields and their derivatives, named u, u_x, u_xx, u_xy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import sympy

from edgewise.discovery.fields.field_terms import FieldTerm


def jet_symbol(name: str, orders: Sequence[int], axes: Sequence[str]) -> sympy.Symbol:
    """The symbol of a derivative of a field, such as u_xx."""
    suffix = "".join(axis * n for axis, n in zip(axes, orders, strict=True))
    return sympy.Symbol(f"{name}_{suffix}" if suffix else name, real=True)


def expanded(term: FieldTerm, names: Sequence[str], axes: Sequence[str]) -> Any:
    """The term with all derivatives carried out: (u**2)_x is 2*u*u_x."""
    zero = (0,) * len(axes)
    jets: dict[Any, tuple[str, tuple[int, ...]]] = {jet_symbol(name, zero, axes): (name, zero) for name in names}
    inner = sympy.Mul(*(s**p for s, p in zip(jets, term.powers, strict=True)))
    total = sympy.Integer(0)
    for weight, q in term.operator:
        part = inner
        for axis, n in enumerate(q):
            for _ in range(n):
                part = _derivative(part, axis, jets, axes)
        total += sympy.Integer(int(weight)) * part
    return sympy.expand(total)


def _derivative(e: Any, axis: int, jets: dict[Any, tuple[str, tuple[int, ...]]], axes: Sequence[str]) -> Any:
    """The total derivative of an expression of jets along an axis; new symbols are added to the table."""
    parts = []
    for symbol in sorted(e.free_symbols, key=str):
        name, orders = jets[symbol]
        more = tuple(n + (a == axis) for a, n in enumerate(orders))
        raised = jet_symbol(name, more, axes)
        jets[raised] = (name, more)
        parts.append(e.diff(symbol) * raised)
    return reduce(lambda a, b: a + b, parts, sympy.Integer(0))


def as_functions(expression: Any, names: Sequence[str], axes: Sequence[str]) -> Any:
    """The expression with u(t, x) for u and derivatives of it for u_xx."""
    t, space = sympy.Symbol("t", real=True), [sympy.Symbol(a, real=True) for a in axes]
    table = {}
    for symbol in expression.free_symbols:
        name, _, suffix = symbol.name.partition("_")
        if name in names:
            u = sympy.Function(name)(t, *space)
            table[symbol] = u.diff(*(sympy.Symbol(a, real=True) for a in suffix)) if suffix else u
    return expression.xreplace(table)
