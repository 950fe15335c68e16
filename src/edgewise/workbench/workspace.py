"""A session that is worked on by messages: one JSON document says what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from torch import Tensor

from edgewise.nn import DEFAULT_LIBRARY, KAN, Library
from edgewise.progress import Event, Listener
from edgewise.symbolic import Session
from edgewise.symbolic.shapes import LATER_SHAPE, SHAPES
from edgewise.tables.job.report import equations
from edgewise.workbench.archive import archived
from edgewise.workbench.branches import History
from edgewise.workbench.desk import Answer, Desk, Message, StoppedError
from edgewise.workbench.document import (
    formula_document,
    history_document,
    input_names,
    inputs_document,
    network_document,
    output_names,
)
from edgewise.workbench.found_formulas import FoundFormula, formula_length, front_document, search_formulas
from edgewise.workbench.questions import QUESTIONS
from edgewise.workbench.steps import METHODS, ActionError, SessionStep, read_number, step_of

CONVERGED = 1e-4
"""A round of a fit that lowers the error by a smaller share than this is the last one."""

KEPT = 64
"""Documents of states that are kept, so that going back and forth costs nothing."""


def _search(work: Workspace, message: Message, tell: Listener) -> None:
    """Search formulas; those of an earlier search, or of the run, stay where they are on the front."""
    seconds = read_number(message.get("seconds"), 1, 3600, "the time limit of a search in seconds")

    def told(event: Event) -> None:
        tell(event)
        work.require_going()

    try:
        found = search_formulas(work.session, work.tree.held, seconds, told)
    except StoppedError:
        raise ActionError("the search was stopped") from None
    work.found = list({formula.expressions: formula for formula in (*work.found, *found)}.values())


class Workspace(Desk):
    """A network with its data, all the states that steps have led to, and one of them that is worked on.

    >>> import torch, edgewise as ew
    >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    >>> work = Workspace(ew.KAN([1, 1], dtype=torch.float64), x, torch.sin(2 * x))
    >>> work.act({"do": "fit", "steps": 30})["ok"], work.act({"do": "fix", "edge": [0, 0, 0], "name": "sin"})["ok"]
    (True, True)
    >>> work.act({"do": "fix", "edge": [0, 7, 0], "name": "sin"})["error"]
    'the network has no edge from 7 to 0 in layer 0'

    Args:
        model: the network.
        x: inputs.
        y: targets, of the shape of the model's output.
        held: inputs and targets of other rows, on which every state is scored too.
        title: what the page is called.
        note: what the reader should know about data and targets.
        symbols: trusted LaTeX of some inputs, as `edgewise.expressions.printers.mathml` takes it.
        library: the functions that are allowed.
    """

    steps = METHODS
    questions = QUESTIONS
    long: ClassVar = {"search": _search}

    def __init__(
        self,
        model: KAN,
        x: Tensor,
        y: Tensor,
        *,
        held: tuple[Tensor, Tensor] | None = None,
        title: str = "",
        note: str = "",
        symbols: Mapping[str, str] | None = None,
        library: Library = DEFAULT_LIBRARY,
    ) -> None:
        super().__init__(History(Session(model, x, y, library), held))
        self.title, self.note, self.symbols = title, note, dict(symbols or {})
        self.inputs = inputs_document(self.session)
        self.scale = y.double().std(correction=0).item()
        self.documents = lru_cache(KEPT)(self._document)
        self.found: list[FoundFormula] = []
        self._lengths: dict[int, int | None] = {}
        self._shown: tuple[tuple[tuple[str, ...], ...], list[Answer]] = ((), [])

    @property
    def session(self) -> Session:
        """The state that is worked on."""
        return self.tree.current.session

    @property
    def name(self) -> str:
        """What the page is called."""
        return self.title or ", ".join(output_names(self.session))

    def document(self) -> Answer:
        session, documents = self.session, self.documents(self.tree.current.id)
        self._lengths[self.tree.current.id] = documents["length"]
        return {
            "title": self.name,
            "note": self.note,
            "current": self.tree.current.id,
            "redo": self.tree.can_redo(),
            "scale": self.scale,
            "rows": len(session.x),
            "heldRows": 0 if self.tree.held is None else len(self.tree.held[0]),
            "inputs": self.inputs,
            "outputs": output_names(session),
            "library": list(session.library),
            "shapes": list(SHAPES),
            "functionShapes": list(LATER_SHAPE),
            "symmetries": [list(pair) for pair in session.symmetries],
            "names": input_names(session),
            "units": dict(session.units),
            "found": self._front(),
            "history": [{**state, "length": self._lengths.get(state["id"])} for state in history_document(self.tree)],
            **documents,
        }

    def replay(self, states: Sequence[Mapping[str, Any]], tell: Listener = lambda event: None) -> None:
        """Make the states of an archive again, each {"parent": number, "name": text, "step": message}."""
        for name, message in self.remade(states, tell):
            step = step_of(self.session, message)
            branch = self.tree.add(step, step.apply(self.session))
            self.tree.rename(branch.id, name)

    def archive(self) -> bytes:
        return archived(self.tree, self.title, self.note)

    def do_step(self, message: Message, tell: Listener) -> None:
        step = step_of(self.session, message)
        if step.method != "fit":
            self.tree.add(step, step.apply(self.session))
            return
        session, rounds = self._fitted(self.session, step, tell)
        self.tree.add(SessionStep(step.method, step.arguments, rounds), session)

    def _fitted(self, session: Session, step: SessionStep, tell: Listener) -> tuple[Session, int]:
        """The session after some rounds of a fit, until it is stopped or ends to improve, and their number.

        A round that is stopped is left out, so that the same number of rounds makes the same network again.
        """
        self.begin()
        error = session.error
        for n in range(1, step.times + 1):
            try:
                session, before = session.fit(*step.arguments, tick=self.require_going), error
            except StoppedError:
                if n == 1:
                    raise ActionError("the fit was stopped before its first round was done") from None
                return session, n - 1
            error = session.error
            tell(Event("fit", n / step.times, f"{error:.6g}"))
            if self.stopping or not error < (1 - CONVERGED) * before:
                return session, n
        return session, step.times

    def _front(self) -> list[Answer]:
        """The formulas that were found, as documents; computed anew where there are others."""
        key = tuple(formula.expressions for formula in self.found)
        if key != self._shown[0]:
            documents = front_document(self.found, self.tree[0].session, lambda f: equations(f, self.symbols))
            self._shown = (key, documents)
        return self._shown[1]

    def _document(self, number: int) -> Answer:
        branch = self.tree[number]
        return {
            "network": network_document(branch.session),
            "formula": formula_document(branch.session, self.symbols),
            "length": None if branch.edges[0] else formula_length(branch.session),
        }
