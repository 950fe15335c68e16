"""What is worked on by messages, whatever it is: states in a tree, one dispatch, one step at a time.

Steps, moves in the history and questions are closed tables. A state is a value, so that questions are answered while
a step is running; steps wait for nobody: a second one is refused.
"""

from __future__ import annotations

import base64
import itertools
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from edgewise.progress import Event, Listener
from edgewise.workbench.branches import Branch, History
from edgewise.workbench.steps import ActionError, read_text, read_whole

log = logging.getLogger(__name__)

Message = Mapping[str, Any]
Answer = dict[str, Any]


class StoppedError(Exception):
    """Raised within a long step that is to end."""


class Desk(ABC):
    """States, and the messages that lead from one to another.

    Args:
        tree: the states.
    """

    steps: ClassVar[Mapping[str, Any]]
    """What makes a new state, by the names of messages."""
    questions: ClassVar[Mapping[str, Callable[[Any, Message], Answer]]]
    """What is answered without a change."""
    long: ClassVar[Mapping[str, Callable[[Any, Message, Listener], None]]] = {}
    """What takes long and makes no new state."""

    def __init__(self, tree: History) -> None:
        self.tree = tree
        self.listeners: list[Callable[[], None]] = []
        self._busy, self._stop = threading.Lock(), threading.Event()
        self._moments = itertools.count()

    @property
    @abstractmethod
    def name(self) -> str:
        """What the page is called."""

    @abstractmethod
    def document(self) -> Answer:
        """All that a page shows of the current state."""

    def state(self) -> Answer:
        """The document with whether a step is running, and a number that is larger for every later reading.

        Threads read side by side: the one that began first may end last, and a page shows no older state after a
        newer one. Every change is followed by a reading that begins after it.
        """
        moment = next(self._moments)
        return {"moment": moment, "busy": self.busy, **self.document()}

    @abstractmethod
    def archive(self) -> bytes:
        """The session as a ZIP archive, from which it continues."""

    def remade(self, states: Sequence[Mapping[str, Any]], tell: Listener) -> Iterator[tuple[str, Message]]:
        """The name and the message of every state of an archive, each when its parent is the current state."""
        for n, state in enumerate(states):
            tell(Event("make the states again", n / len(states)))
            self.tree.goto(read_whole(state.get("parent"), 0, len(self.tree.branches) - 1, "the parent of a state"))
            message = state.get("step")
            if not isinstance(message, Mapping) or not isinstance(message.get("do"), str):
                raise ActionError("a state of the archive has no step")
            yield read_text(state.get("name"), "the name of a state", 60), message

    @abstractmethod
    def do_step(self, message: Message, tell: Listener) -> None:
        """Make the new state that a message of `steps` asks for."""

    @property
    def busy(self) -> bool:
        """Whether a step is running."""
        return self._busy.locked()

    def act(self, message: Any, tell: Listener = lambda event: None) -> Answer:
        """Do what a message asks: {"ok": True, ...} with the answer, or {"error": text}; nothing is raised.

        Args:
            message: {"do": name, field: value, ...}, a name among `steps`, `long`, `questions`, `MOVES`, or "stop".
            tell: called with an `Event` after every round of a fit or part of a search.
        """
        try:
            return {"ok": True, **self._done(message, tell)}
        except (ActionError, ValueError, TypeError) as error:
            return {"error": str(error)}
        except Exception as error:  # a page must survive every mistake of ours; the log has it all
            log.exception("the studio could not do %r", message.get("do"))
            return {"error": f"this failed inside edgewise ({type(error).__name__}); the log has the details"}

    def stop(self) -> None:
        """End a running fit, whose last complete round is kept, or a search."""
        self._stop.set()

    def require_going(self) -> None:
        """Raise `StoppedError` where a running step is to end."""
        if self._stop.is_set():
            raise StoppedError

    @property
    def stopping(self) -> bool:
        """Whether a running step was asked to end."""
        return self._stop.is_set()

    def begin(self) -> None:
        """A long step begins, and every page knows."""
        self._stop.clear()
        self._changed()

    def branch_of(self, message: Message) -> Branch:
        """The state that a message names."""
        return self.tree[read_whole(message.get("state"), 0, len(self.tree.branches) - 1, "a state")]

    def _done(self, message: Any, tell: Listener) -> Answer:
        if not isinstance(message, Mapping) or not isinstance(message.get("do"), str):
            raise ActionError('a message is an object with the text "do"')
        name = message["do"]
        if name == "stop":
            self.stop()
            return {}
        if name in self.questions:
            return self.questions[name](self, message)
        if name not in (*self.steps, *MOVES, *self.long):
            known = ", ".join((*self.steps, *MOVES, *self.long, *self.questions, "stop"))
            raise ActionError(f"there is no action {name[:40]!r}; there are {known}")
        if not self._busy.acquire(blocking=False):
            raise ActionError("a step is still running; wait for it, or stop it")
        try:
            if name in MOVES:
                MOVES[name](self, message)
            elif name in self.long:
                self.begin()
                self.long[name](self, message, tell)
            else:
                self.do_step(message, tell)
        finally:
            self._busy.release()
            self._changed()
        return {"current": self.tree.current.id}

    def _changed(self) -> None:
        for listener in list(self.listeners):
            listener()


PICTURES = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
"""The formats of pictures, with the names that browsers know them by."""


def picture_kind(message: Message) -> str:
    """The format that a message asks for, svg by default."""
    kind = message.get("format", "svg")
    if kind not in PICTURES:
        raise ActionError(f"a picture is one of {', '.join(PICTURES)}, not {str(kind)[:20]!r}")
    return kind


def file_answer(name: str, kind: str, content: bytes) -> Answer:
    """A file that the browser keeps."""
    return {"file": {"name": name, "type": kind, "base64": base64.b64encode(content).decode()}}


def _rename(desk: Desk, message: Message) -> None:
    desk.tree.rename(desk.branch_of(message).id, read_text(message.get("name"), "the name of a state", 60).strip())


MOVES: Mapping[str, Callable[[Desk, Message], Any]] = {
    "undo": lambda desk, message: desk.tree.undo(),
    "redo": lambda desk, message: desk.tree.redo(),
    "goto": lambda desk, message: desk.tree.goto(desk.branch_of(message).id),
    "name": _rename,
}
"""Moves in the history."""
