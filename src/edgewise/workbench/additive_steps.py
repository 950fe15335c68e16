"""Steps on a fitted additive model as data: its terms are set, clipped, smoothed or removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgewise.tables.additive import AdditiveModel
from edgewise.tables.additive.deviance import KeptRows, deviance_explained
from edgewise.tables.additive.term_bands import term_number
from edgewise.tables.additive.term_editing import clipped, smoothed, with_values, without_term
from edgewise.workbench.steps import MAX_NUMBER, ActionError, read_number, read_text


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
        return replace(session, model=EDITS[self.method].change(session.model, *self.arguments))

    def code(self) -> str:
        """The Python statement that does the same to a variable `model`."""
        return f"model = {EDITS[self.method].change.__name__}(model, {', '.join(map(repr, self.arguments))})"

    def told(self) -> str:
        """The step in words."""
        term, *rest = self.arguments
        return f"{term}: {EDITS[self.method].words.format(*rest)}"


def additive_step_of(session: AdditiveSession, message: Mapping[str, Any]) -> AdditiveStep:
    """The step that a message {"do": edit, "term": name, ...} asks for; `ActionError` where it cannot be done."""
    edit = EDITS[message["do"]]
    extra = sorted(set(message) - {"do", "id", "term", *edit.fields})
    if extra:
        raise ActionError(f"{message['do']!r} takes term{''.join(f', {f}' for f in edit.fields)}, not {extra[0]!r}")
    term = read_text(message.get("term"), "the name of a term", 2000)
    term_number(session.model, term)
    numbers = [read_number(message.get(f), -MAX_NUMBER, MAX_NUMBER, f"the field {f!r}") for f in edit.fields]
    arguments = ((numbers[0], numbers[1]), numbers[2]) if message["do"] == "set_values" else tuple(numbers)
    return AdditiveStep(str(message["do"]), (term, *arguments))


@dataclass(frozen=True)
class _Edit:
    """A function of `term_editing`, the numbers that its message has, and what the history says."""

    change: Callable[..., AdditiveModel]
    fields: tuple[str, ...]
    words: str


EDITS: Mapping[str, _Edit] = {
    "set_values": _Edit(with_values, ("low", "high", "value"), "{1:.4g} on {0[0]:.4g} to {0[1]:.4g}"),
    "clip_term": _Edit(clipped, ("low", "high"), "clipped to {0:.4g} and {1:.4g}"),
    "smooth_term": _Edit(smoothed, ("factor",), "smoothed {0:.4g} times more"),
    "remove_term": _Edit(without_term, (), "removed"),
}
"""Every edit, by the names of the methods of `KANAdditive` that do the same."""
