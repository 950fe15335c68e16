"""About what sympy will spend on an expression, counted on the syntax tree before anything is computed.

A unit is the time of one call such as `sin(x)`, a tenth of a millisecond or two. What takes longer than the size of the
text tells was measured: `Max` compares all pairs, comparisons sort their argument, constants are computed.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from edgewise.expressions.operations import COMPARING, CONSTANTS

MAX_COST = 6000
_PAIR, _COMPARED, _CONSTANT = 40, 3, 60


class _Part(NamedTuple):
    """Operations in a subtree, operands of the `Max` that it is, and whether it names a variable."""

    size: int
    operands: int
    free: bool


def check_cost(tree: ast.AST) -> None:
    """Raise `ValueError` for an expression that would take about a second or more."""
    parts: dict[int, _Part] = {}
    total = 0
    for node in reversed(list(ast.walk(tree))):  # children before parents
        inner = [parts[id(child)] for child in ast.iter_child_nodes(node) if id(child) in parts]
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        own = isinstance(node, ast.Call | ast.BinOp | ast.UnaryOp)
        free = any(part.free for part in inner) or name in ("Symbol", "Function")
        free = free or (isinstance(node, ast.Name) and node.id[0] == "_" and node.id not in CONSTANTS)
        size = own + sum(part.size for part in inner)
        operands = sum(part.operands for part in inner) if name in ("Max", "Min") else 1
        parts[id(node)] = _Part(size, operands, free)
        total += own
        if name in COMPARING:
            total += _COMPARED * size + _PAIR * (operands * operands if name in ("Max", "Min") else 1)
        elif own and not free and size > 1 and name not in ("Add", "Mul"):
            total += _CONSTANT
        if total > MAX_COST:
            raise ValueError("it is too long, or has too many constants and comparisons, to be read in a second")
