"""Steps on a fitted additive model as data: its terms are set, clipped, smoothed or removed, and surfaces added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgewise.tables.additive import AdditiveModel
from edgewise.tables.additive.added_pairs import with_pair
from edgewise.tables.additive.deviance import KeptRows, deviance_explained
from edgewise.tables.additive.term_bands import term_number
from edgewise.tables.additive.term_editing import clipped, smoothed, with_values, without_term
from edgewise.workbench.steps import MAX_NUMBER, ActionError, read_number, read_text

PAIR = ("first", "second")
"""The fields of a message that name two inputs."""


@dataclass(frozen=True, eq=False)
class AdditiveSession:
    """An additive model with the training rows by which it is judged.

    Args:
        model: as it is now.
        rows: that it kept of its training table.
    """

    model: AdditiveModel
    rows: KeptRows

    @property
    def explained(self) -> float:
        """The share of the deviance of the kept rows that the model explains."""
        return deviance_explained(self.model, self.rows)


@dataclass(frozen=True)
class AdditiveStep:
    """One edit of a term.

    >>> print(AdditiveStep("smooth_term", ("age", 4.0)).code())
    model = smoothed(model, 'age', 4.0)
    """

    method: str
    arguments: tuple[Any, ...]

    def apply(self, session: AdditiveSession) -> AdditiveSession:
        """The session after the edit; the old one is as it was."""
        edit = EDITS[self.method]
        rows = (session.rows,) if edit.on_rows else ()
        return replace(session, model=edit.change(session.model, *rows, *self.arguments))

    def code(self) -> str:
        """The Python statement that does the same to a variable `model`."""
        edit = EDITS[self.method]
        given = ("model, rows" if edit.on_rows else "model", *map(repr, self.arguments))
        return f"model = {edit.change.__name__}({', '.join(given)})"

    def told(self) -> str:
        """The step in words."""
        return f"{self.term}: {EDITS[self.method].words.format(*self.arguments[self.edited :])}"

    @property
    def term(self) -> str:
        """The name of the term that it changes or adds."""
        return " × ".join(self.arguments[: self.edited])

    @property
    def edited(self) -> int:
        """How many of the arguments are names."""
        return 2 if EDITS[self.method].on_rows else 1

    def message(self) -> dict[str, Any]:
        """The message that `additive_step_of` reads as this step."""
        names = dict(zip(PAIR if self.edited == 2 else ("term",), self.arguments, strict=False))
        numbers = [n for part in self.arguments[self.edited :] for n in (part if isinstance(part, tuple) else (part,))]
        return {"do": self.method, **names, **dict(zip(EDITS[self.method].fields, numbers, strict=True))}


def additive_step_of(session: AdditiveSession, message: Mapping[str, Any]) -> AdditiveStep:
    """The step that a message {"do": edit, "term": name, ...} asks for; `ActionError` where it cannot be done."""
    edit = EDITS[message["do"]]
    names = PAIR if edit.on_rows else ("term",)
    extra = sorted(set(message) - {"do", "id", *names, *edit.fields})
    if extra:
        raise ActionError(f"{message['do']!r} takes {', '.join((*names, *edit.fields))}, not {extra[0]!r}")
    known = [read_text(message.get(name), f"the field {name!r}", 2000) for name in names]
    if edit.on_rows:
        return AdditiveStep(str(message["do"]), tuple(known))
    term_number(session.model, known[0])
    numbers = [read_number(message.get(f), -MAX_NUMBER, MAX_NUMBER, f"the field {f!r}") for f in edit.fields]
    arguments = ((numbers[0], numbers[1]), numbers[2]) if message["do"] == "set_values" else tuple(numbers)
    return AdditiveStep(str(message["do"]), (*known, *arguments))


@dataclass(frozen=True)
class _Edit:
    """A function of `term_editing`, the numbers that its message has, and what the history says."""

    change: Callable[..., AdditiveModel]
    fields: tuple[str, ...]
    words: str
    on_rows: bool = False
    """Whether it reads the kept rows, and takes the names of two inputs instead of that of a term."""


EDITS: Mapping[str, _Edit] = {
    "set_values": _Edit(with_values, ("low", "high", "value"), "{1:.4g} on {0[0]:.4g} to {0[1]:.4g}"),
    "clip_term": _Edit(clipped, ("low", "high"), "clipped to {0:.4g} and {1:.4g}"),
    "smooth_term": _Edit(smoothed, ("factor",), "smoothed {0:.4g} times more"),
    "remove_term": _Edit(without_term, (), "removed"),
    "add_pair": _Edit(with_pair, (), "added", on_rows=True),
}
"""Every edit, by the names of the methods of `KANAdditive` that do the same."""
