"""Reads the formulas that a search begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from edgewise.expressions.parse import parse_formula


def read_starts(texts: Sequence[str], inputs: tuple[sympy.Symbol, ...]) -> tuple[Any, ...]:
    """The start formulas as expressions; raises `ValueError` for a text that is none, or has no input."""
    if isinstance(texts, str):
        raise ValueError(f'start is the text {texts!r}; give a list of formulas, such as ["{texts}"]')
    return tuple(_read(str(text), inputs) for text in texts)


def _read(text: str, inputs: tuple[sympy.Symbol, ...]) -> Any:
    shown = ", ".join(map(str, inputs))
    try:
        expression = parse_formula(text)
    except ValueError as error:
        raise ValueError(f"the start formula {text!r} is no formula of {shown} and constants: {error}") from error
    own = {str(s): s for s in inputs}
    expression = expression.xreplace({s: own[str(s)] for s in expression.free_symbols if str(s) in own})
    if not expression.free_symbols & set(inputs):
        raise ValueError(f"the start formula {text!r} has none of the inputs {shown}; correct a name, or leave it out")
    return expression
