"""How a value appears where a cell or a prompt ends with it: on a few lines, and its formula as mathematics."""

from __future__ import annotations

from html import escape
from typing import Any, TypeVar

LINES = 15
LETTERS = 4000
"""Of a text that is shown: beyond either it is cut, and says so; `str` has all of it."""

C = TypeVar("C", bound=type)


def shown(cls: C) -> C:
    """Class decorator, above `dataclass`: `repr` is the beginning of `str`, and notebooks show that with the formula.

    The formula is that of the attribute `formula` with a method `mathml`, where the value has one.
    """
    cls.__repr__ = lambda self: brief(str(self))  # type: ignore[method-assign]
    if "_repr_html_" not in cls.__dict__:
        cls._repr_html_ = html
    return cls


def brief(text: str) -> str:
    """At most `LINES` lines and `LETTERS` letters of a text."""
    lines = text.splitlines()
    if len(lines) > LINES:
        text = "\n".join([*lines[: LINES - 1], f"... {len(lines) - LINES + 1} more lines in str(...)"])
    return text if len(text) <= LETTERS else f"{text[:LETTERS]} ..."


def html(value: Any) -> str:
    """The formula of a value in MathML, which browsers render without help, above its text."""
    try:
        equations = value.formula.mathml()
    except (AttributeError, ValueError):  # it has none, or found none
        equations = []
    math = "".join(equations)
    return (
        f"{math}<pre>{escape(repr(value))}</pre>" if len(math) < 10 * LETTERS else f"<pre>{escape(repr(value))}</pre>"
    )
