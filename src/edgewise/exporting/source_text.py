"""Names and numbers inside programs: words that no name can break out of."""

from __future__ import annotations

import builtins
import json
import keyword
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from edgewise.exporting.subject import Subject

_TAKEN = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while main "
    "abstract arguments await boolean byte catch class debugger delete eval export extends final finally function "
    "implements import in instanceof interface let native new null package private protected public super "
    "synchronized this throw throws transient try typeof var with yield true false "
    "math bisect int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t "
    "fdim fmax fmin fpclassify ilogb isfinite isinf isnan isnormal jn llrint llround logb lrint lround nan nearbyint "
    "nexttoward j0 j1 rint round scalb scalbln scalbn signbit signgam significand drem y0 y1 yn"
)


def word(text: str) -> str:
    """A name of a function in C, JavaScript and Python, made from any text such as the name of a file.

    >>> word("my net-2"), word("1"), word("int"), word("größe"), word("sinf"), word("NAN"), word("max")
    ('my_net_2', 'kan_1', 'kan_int', 'gr__e', 'kan_sinf', 'kan_NAN', 'kan_max')
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", text)
    taken = not re.match(r"[A-Za-z]", name) or name in _TAKEN.split() or keyword.iskeyword(name)
    plain = name.removesuffix("f"), name.removesuffix("l")
    taken = taken or any(hasattr(math, word) or word in _TAKEN.split() for word in plain)
    # Macros of C are in capitals, and a function of Python would hide the one that its own lines call.
    taken = taken or name.isupper() or keyword.issoftkeyword(name) or hasattr(builtins, name)
    return f"kan_{name}" if taken else name


def remark(text: Any) -> str:
    r"""Any text as one line of plain ASCII that ends no comment of C, JavaScript, Python or SQL.

    >>> print(remark("a */ b"), remark("line\nbreak"), remark("--"))
    "a *\/ b" "line\nbreak" "\u002d-"
    """
    return json.dumps(str(text)).replace("/", "\\/").replace("--", "\\u002d-").replace("??", "\\u003f?")


def number(value: float, digits: int = 17) -> str:
    """A finite number as all four languages write it, with so many significant digits.

    Raises `ValueError` for another one.
    """
    if not math.isfinite(value):
        raise ValueError(f"a number of the model is {value}; programs are written of finite numbers alone")
    text = f"{value:.{digits}g}"
    return text if any(c in text for c in ".en") else f"{text}.0"


def rows(values: Sequence[str], width: int = 100, indent: str = "  ") -> str:
    """Values with commas, broken into lines."""
    lines, line = [], ""
    for value in values:
        if line and len(line) + len(value) + 2 > width:
            lines.append(line)
            line = ""
        line += f"{value}, "
    return "\n".join(f"{indent}{text.rstrip()}" for text in [*lines, line] if text).rstrip(",")


def flat_numbers(tensor: Tensor, digits: int) -> list[str]:
    """The numbers of a tensor in their order."""
    return [number(v, digits) for v in tensor.double().flatten().tolist()]


def head(subject: Subject, path: Path, comment: str, more: Iterable[str] = ()) -> list[str]:
    """The lines that say what a program is, each after a `comment` mark: every text in them is a `remark`."""
    facts = [f"inputs: {', '.join(map(remark, subject.input_names))}"]
    facts += [f"outputs: {', '.join(map(remark, subject.output_names))}", *more]
    facts += [
        f"{remark(key)}: {remark(text)}"
        for key, text in subject.metadata_texts().items()
        if key not in ("input_names", "output_names")
    ]
    return [f"{comment} {line}" for line in facts]
