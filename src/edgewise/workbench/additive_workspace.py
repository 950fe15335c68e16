"""An additive model that is worked on by messages: its terms are shown, edited, undone and compared."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from edgewise.progress import Listener
from edgewise.tables.additive import AdditiveModel
from edgewise.tables.additive.added_pairs import input_pairs
from edgewise.tables.additive.additive_terms import Term
from edgewise.tables.additive.axes import LevelAxis
from edgewise.tables.additive.deviance import KeptRows
from edgewise.tables.additive.drawn_terms import panels_of
from edgewise.viz.term_panels import TermPanel, draw_panels
from edgewise.workbench.additive_archive import additive_archived, additive_script
from edgewise.workbench.additive_steps import EDITS, AdditiveSession, AdditiveStep, additive_step_of
from edgewise.workbench.additive_what_if import columns_document, pair_choices, what_if_document
from edgewise.workbench.branches import Branch, History
from edgewise.workbench.desk import PICTURES, Answer, Desk, Message, file_answer, picture_kind
from edgewise.workbench.document import short
from edgewise.workbench.steps import ActionError

BINS = 40
SHOWN_LEVELS = 60
TILES = 20
"""Along each side of a surface."""
KEPT = 64
LEVEL = 0.9
"""Of the bands of terms, which hold whole curves."""


def terms_document(session: AdditiveSession) -> list[Answer]:
    """Every term as it is drawn, the largest first."""
    columns = list(session.rows.columns)
    panels = panels_of(session.model, columns, level=LEVEL) if session.model.terms else []
    found = [
        _panel_document(panel, term, float(term.values(columns)[:, 0].std()))
        for panel, term in zip(panels, session.model.terms, strict=True)
    ]
    return sorted(found, key=lambda term: -term["spread"])


def _panel_document(panel: TermPanel, term: Term, spread: float) -> Answer:
    document: Answer = {
        "name": panel.title,
        "kind": term.kind,
        "labels": list(panel.labels),
        "spread": short(spread),
        "edf": short(term.edf[0]),
        "shape": term.shape,
        "missing": None if panel.missing is None else _shorts(panel.missing),
        "smooths": "bend" in term.strengths and len(term.axes) == 1 and not term.shape,
    }
    if term.kind == "surface":
        steps = [math.ceil(len(side) / TILES) for side in panel.x]
        sides = [
            [str(v) if isinstance(axis, LevelAxis) else short(float(v)) for v in side[::step]]
            for axis, side, step in zip(term.axes, panel.x, steps, strict=True)
        ]
        return {**document, "x": sides, "z": [_shorts(row[:: steps[1]]) for row in panel.y[:: steps[0]]]}
    drawn = {key: _shorts(value) for key, value in (("y", panel.y), ("low", panel.low), ("high", panel.high))}
    if term.kind == "levels":
        few = {key: values[:SHOWN_LEVELS] for key, values in drawn.items()}
        labels = [str(label) for label in panel.x]
        rest = {"density": list(panel.seen)[:SHOWN_LEVELS], "omitted": max(0, len(labels) - SHOWN_LEVELS)}
        return {**document, **few, "x": labels[:SHOWN_LEVELS], **rest}
    ends = (float(panel.x[0]), float(panel.x[-1]))
    counts = np.histogram(np.asarray(panel.seen, float), BINS, ends)[0]
    return {**document, **drawn, "x": _shorts(ends), "density": counts.tolist()}


def _scores(session: AdditiveSession) -> tuple[float, None, tuple[int, int]]:
    unexplained = 1 - session.explained
    return unexplained if math.isfinite(unexplained) else math.inf, None, (len(session.model.terms), 0)


def _branch_document(branch: Branch) -> Answer:
    return {
        "id": branch.id,
        "parent": branch.parent,
        "step": "start" if branch.step is None else branch.step.told(),
        "name": branch.name,
        "error": short(branch.error),
        "heldError": None,
        "curves": branch.edges[0],
        "symbols": 0,
        "length": None,
    }


def _means(model: AdditiveModel) -> list[str]:
    """What a prediction is of."""
    if model.family.name in ("binomial", "multinomial"):
        return [f"probability: {name.removeprefix('log-odds of ').removeprefix('score of ')}" for name in model.outputs]
    return [f"relative hazard: {name}" if model.family.name == "cox" else name for name in model.outputs]


def _preview(work: AdditiveWorkspace, message: Message) -> Answer:
    asked = message.get("step")
    if not isinstance(asked, Mapping) or asked.get("do") not in EDITS:
        raise ActionError("a preview takes an edit of a term")
    step: AdditiveStep = additive_step_of(work.session, asked)
    after = step.apply(work.session)
    terms = {term["name"]: term for term in terms_document(after)}
    term = terms.get(step.term)
    return {"preview": {"before": short(work.session.explained), "after": short(after.explained), "term": term}}


def _compare(work: AdditiveWorkspace, message: Message) -> Answer:
    number = work.branch_of(message).id
    return {"state": number, "terms": work.terms(number)}


def _bundle(work: AdditiveWorkspace, message: Message) -> Answer:
    return file_answer("session.zip", "application/zip", work.archive())


def _picture(work: AdditiveWorkspace, message: Message) -> Answer:
    kind = picture_kind(message)
    page = io.BytesIO()
    panels = panels_of(work.session.model, list(work.session.rows.columns), level=LEVEL)
    draw_panels(panels, title=f"{work.name}: what every term adds").savefig(page, format=kind)
    return file_answer(f"terms.{kind}", PICTURES[kind], page.getvalue())


def _shorts(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [short(float(value)) for value in values]


QUESTIONS: Mapping[str, Callable[[Any, Message], Answer]] = {
    "state": lambda work, message: work.state(),
    "preview": _preview,
    "predict": lambda work, message: what_if_document(work.session, message.get("x")),
    "compare": _compare,
    "script": lambda work, message: {"script": work.script(work.tree.current.id)},
    "bundle": _bundle,
    "picture": _picture,
}
"""What is answered without a change."""


class AdditiveWorkspace(Desk):
    """An additive model with some training rows, all the states that edits have led to, and one that is worked on.

    Args:
        model: fitted, with its covariance.
        rows: that it kept of its training table.
        title: what the page is called.
        note: what the reader should know.
    """

    steps = EDITS
    questions = QUESTIONS

    def __init__(self, model: AdditiveModel, rows: KeptRows, *, title: str = "", note: str = "") -> None:
        super().__init__(History(AdditiveSession(model, rows), score=_scores))
        self.title, self.note = title, note
        self.terms = lru_cache(KEPT)(self._terms)

    @property
    def session(self) -> AdditiveSession:
        """The state that is worked on."""
        return self.tree.current.session

    @property
    def name(self) -> str:
        return self.title or ", ".join(self.session.model.outputs)

    def document(self) -> Answer:
        model = self.session.model
        return {
            "kind": "additive",
            "title": self.name,
            "note": self.note or f"{self.session.rows.total:,} training rows",
            "current": self.tree.current.id,
            "redo": self.tree.can_redo(),
            "family": model.family.name,
            "outputs": list(model.outputs),
            "intercept": [short(float(b)) for b in model.intercept],
            "level": LEVEL,
            "history": [_branch_document(branch) for branch in self.tree],
            "terms": self.terms(self.tree.current.id),
            "columns": columns_document(self.session),
            "inputs": pair_choices(self.tree[0].session),
            "means": _means(model),
            "pairs": [list(pair) for pair in input_pairs(model)],
        }

    def archive(self) -> bytes:
        return additive_archived(self.tree, self.title, self.note)

    def replay(self, states: Sequence[Mapping[str, Any]], tell: Listener = lambda event: None) -> None:
        """Make the states of an archive again, each {"parent": number, "name": text, "step": message}."""
        for name, message in self.remade(states, tell):
            if message["do"] not in EDITS:
                raise ActionError(f"{str(message['do'])[:40]!r} is no edit of a term")
            step = additive_step_of(self.session, message)
            branch = self.tree.add(step, step.apply(self.session))
            self.tree.rename(branch.id, name)

    def do_step(self, message: Message, tell: Listener) -> None:
        step = additive_step_of(self.session, message)
        self.tree.add(step, step.apply(self.session))

    def script(self, number: int) -> str:
        """Python source of the edits from the first state to this one; it reads two files of the session's archive."""
        return additive_script(self.tree, number)

    def _terms(self, number: int) -> list[Answer]:
        return terms_document(self.tree[number].session)
