"""Reads expressions from text without evaluating it: Python's syntax tree and a closed table of names.

Sympy's own readers run what they read. Here a text is parsed with `ast`; a node that is not a number, a known name, an
operator or a call of the table is refused, and so is everything that would make sympy compute for long: huge powers,
towers of exponentials, deep nesting, more operations than about a second takes.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sympy

from edgewise.expressions.cost import check_cost
from edgewise.expressions.names import quoted, unquoted
from edgewise.expressions.operations import CONSTANTS, MAX_BITS, OPERATIONS, built, check_depth

MAX_LETTERS = 400_000
MAX_PLAIN_LETTERS = 20_000
MAX_FLOAT_BITS = 512

ASSUMPTIONS = {"commutative", "complex", "extended_real", "finite", "hermitian", "integer", "negative", "nonnegative"}
ASSUMPTIONS |= {"nonpositive", "nonzero", "positive", "rational", "real"}

_FLOAT = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d{1,3})?", re.ASCII)
_WORD = re.compile(r"`(?P<quoted>(?:[^`\\]|\\.)*)`|(?<![\w.])(?P<word>[^\W\d]\w*)(?=(?P<call>\s*\()?)", re.DOTALL)
_FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
)


def parse_expression(text: str) -> sympy.Expr:
    """The expression that `sympy.srepr` wrote; nothing in the text is run.

    >>> parse_expression("Add(Symbol('a', real=True), Rational(1, 2))")
    a + 1/2

    Raises:
        ValueError: for any other text.
    """
    return _guarded(text, MAX_LETTERS, lambda: _exact(_tree(text), 0))


def parse_formula(text: str, symbols: Iterable[sympy.Symbol] | None = None) -> sympy.Expr:
    """The expression of a formula in plain notation, such as "2*a*sin(b) - `x-1`**2"; nothing in the text is run.

    Args:
        text: numbers, `+ - * / **`, the functions of `OPERATIONS`, `pi`, `E`, and names; backticks quote a name that is
            not a word or that has another meaning.
        symbols: the names that may occur; by default every other word is a real symbol.

    Raises:
        ValueError: for any other text, or where a name is not among the symbols.
    """
    known = None if symbols is None else {s.name: s for s in symbols}
    return _guarded(text, MAX_PLAIN_LETTERS, lambda: _read_plain(text, known))


def _tree(text: str) -> ast.expr:
    """The syntax tree; what Python only warns of, such as `1and`, is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = ast.parse(text, mode="eval").body
    check_cost(tree)
    return tree


def _guarded(text: str, letters: int, read: Callable[[], sympy.Expr]) -> sympy.Expr:
    """What `read` returns; `ValueError` with the beginning of the text for every fault."""
    if not isinstance(text, str):
        raise ValueError(f"an expression is a text, got {type(text).__name__}")
    if len(text) > letters:
        raise ValueError(f"an expression of {len(text):,} letters is too long; at most {letters:,} are read")
    try:
        return read()
    except _FAULTS as error:
        shown = ascii(text if len(text) <= 60 else f"{text[:60]}...")
        raise ValueError(f"{shown} is no expression that can be read: {error or type(error).__name__}") from error


# ------------------------------------------------------------------------------------------------ srepr


def _exact(node: ast.expr, depth: int) -> Any:
    """A node of a text that `srepr` wrote: names of constants, and calls."""
    check_depth(depth)
    match node:
        case ast.Name(id=name) if name in CONSTANTS:
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="oo")):
            return -sympy.oo
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in _LEAVES:
            return _LEAVES[name](
                *map(_literal, args),
                **{_keyword(k, name): _literal(k.value) for k in keywords},
            )
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return built(name, [_exact(part, depth + 1) for part in args])
        case ast.Call(func=ast.Call(func=ast.Name(id="Function"), args=[ast.Constant(value=str(name))], keywords=[])):
            return sympy.Function(name)(*(_exact(part, depth + 1) for part in node.args))
    raise ValueError(f"{_shown(node)} is not allowed")


def _literal(node: ast.expr) -> Any:
    """A text, a whole number, or True or False."""
    match node:
        case ast.Constant(value=str() | int() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(value))):
            return -value
    raise ValueError(f"{_shown(node)} is not allowed")


def _keyword(keyword: ast.keyword, name: str) -> str:
    if keyword.arg not in ({"Symbol": ASSUMPTIONS, "Float": {"precision"}}.get(name, set())):
        raise ValueError(f"{name} takes no {keyword.arg!r}")
    return keyword.arg


def _symbol(name: str, **assumptions: bool) -> sympy.Symbol:
    if not isinstance(name, str) or not all(isinstance(value, bool) for value in assumptions.values()):
        raise ValueError("Symbol takes a name and assumptions that are True or False")
    return sympy.Symbol(name, **assumptions)


def _integer(value: int) -> sympy.Expr:
    if type(value) is not int or value.bit_length() > MAX_BITS:
        raise ValueError("Integer takes a whole number of moderate size")
    return sympy.Integer(value)


def _rational(top: int, bottom: int) -> sympy.Expr:
    if bottom == 0:
        raise ValueError("a fraction over zero")
    return sympy.Rational(_integer(top), _integer(bottom))


def _float(text: str, *, precision: int = 53) -> sympy.Expr:
    if not isinstance(text, str) or len(text) > MAX_BITS or not _FLOAT.fullmatch(text):
        raise ValueError("Float takes a decimal number as a text")
    if type(precision) is not int or not 1 <= precision <= MAX_FLOAT_BITS:
        raise ValueError(f"the precision of a Float is 1 to {MAX_FLOAT_BITS} bits")
    return sympy.Float(text, precision=precision)


_LEAVES: Mapping[str, Callable[..., Any]] = {
    "Symbol": _symbol,
    "Integer": _integer,
    "Rational": _rational,
    "Float": _float,
}


# ------------------------------------------------------------------------------------------------ plain notation


def _read_plain(text: str, known: Mapping[str, sympy.Symbol] | None) -> Any:
    """Every name becomes a place holder first, so that the syntax tree sees numbers, operators and calls only."""
    places: dict[str, sympy.Symbol] = {}

    def place(found: re.Match[str]) -> str:
        name = found["word"] if found["quoted"] is None else unquoted(found["quoted"])
        free = known is None or name not in known
        called = name in OPERATIONS and found["call"] is not None
        if found["word"] and (called or (free and name in {**OPERATIONS, **CONSTANTS})):
            return name
        if known is not None and free:
            raise ValueError(f"{name!r} is not among the names {', '.join(map(quoted, known))}")
        key = f"_{len(places)}_"
        places[key] = sympy.Symbol(name, real=True) if known is None else known[name]
        return f" {key} "

    return _plain(_tree(_WORD.sub(place, text).strip()), places, 0)


def _plain(node: ast.expr, places: Mapping[str, sympy.Symbol], depth: int) -> Any:
    check_depth(depth)
    match node:
        case ast.Name(id=name) if name in places or name in CONSTANTS:
            return places[name] if name in places else CONSTANTS[name]
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return _integer(value) if isinstance(value, int) else _decimal(value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            value = _plain(operand, places, depth + 1)
            return built("Mul", [sympy.Integer(-1), value]) if isinstance(node.op, ast.USub) else value
        case ast.BinOp():
            return _chain(node, places, depth)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in OPERATIONS:
            return built(name, [_plain(part, places, depth + 1) for part in args])
    raise ValueError(f"{_shown(node)} is not allowed")


def _chain(node: ast.expr, places: Mapping[str, sympy.Symbol], depth: int) -> Any:
    """Operators that stand beside each other, from the left; a sum or a product of any length is built once."""
    steps = []
    while isinstance(node, ast.BinOp):
        steps.append((type(node.op), node.right))
        node = node.left
    kind, parts = "", [_plain(node, places, depth + 1)]
    for operator, right in reversed(steps):
        if operator not in _BINARY:
            raise ValueError(f"the operator {operator.__name__} is not allowed; write ** for powers")
        name, turned = _BINARY[operator]
        if kind not in ("", name) or kind == "Pow":
            parts = [built(kind, parts)]
        kind, value = name, _plain(right, places, depth + 1)
        parts.append(
            value if turned is None else built(turned, [value, _MINUS] if turned == "Pow" else [_MINUS, value])
        )
    return built(kind, parts)


_MINUS = sympy.Integer(-1)
_BINARY: Mapping[type, tuple[str, str | None]] = {
    ast.Add: ("Add", None),
    ast.Sub: ("Add", "Mul"),
    ast.Mult: ("Mul", None),
    ast.Div: ("Mul", "Pow"),
    ast.Pow: ("Pow", None),
}
"""The operation, and what turns the right operand around first."""


def _decimal(value: float) -> sympy.Expr:
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return sympy.Float(repr(value))


def _shown(node: ast.AST) -> str:
    """A node in words."""
    return f"{type(node).__name__} at column {getattr(node, 'col_offset', 0) + 1}"
