"""Names of columns in formulas: as they are where they are words, else quoted, always on one line."""

from __future__ import annotations

import re

from edgewise.expressions.operations import CONSTANTS, OPERATIONS

_NAME = re.compile(r"[^\W\d]\w*")
_ESCAPE = re.compile(r"\\(?:x(?P<x>[0-9a-f]{2})|u(?P<u>[0-9a-f]{4})|U(?P<U>[0-9a-f]{8})|(?P<letter>.))", re.DOTALL)
_DELIMITERS = "`\\"
_LETTERS = {"n": "\n", "t": "\t", "r": "\r"}


def quoted(name: str) -> str:
    r"""A name as formulas write it: words as they are, all else in backticks with escapes, always on one line.

    >>> print(quoted("mass"), quoted("x-1"), quoted("a\nb"), quoted("pi"))
    mass `x-1` `a\nb` `pi`
    """
    taken = name in OPERATIONS or name in CONSTANTS
    return f"`{name}`" if taken else heading(name)


def heading(name: str) -> str:
    r"""The same where a name stands alone, as on the left of an equation: E and beta are no constants there.

    >>> print(heading("E"), heading("a b"))
    E `a b`
    """
    word = name.isidentifier() and _NAME.fullmatch(name)
    return name if word else f"`{visible(name, _DELIMITERS)}`"


def visible(name: str, also: str = "") -> str:
    r"""A name on one line: what cannot be printed becomes an escape such as \n; `also` letters get a backslash."""
    return "".join(
        c.encode("unicode_escape").decode() if not c.isprintable() else f"\\{c}" if c in also else c for c in name
    )


def unquoted(text: str) -> str:
    """The name that `quoted` put between backticks."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    code = found["x"] or found["u"] or found["U"]
    return chr(int(code, 16)) if code else _LETTERS.get(found["letter"], found["letter"])
