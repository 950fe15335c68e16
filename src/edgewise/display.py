"""The one display of progress: a bar in a notebook or a terminal, plain lines in a file, of every long call.

`progress=True` of `fit`, `discover`, `symbolify`, `solve` and all other long calls opens it, and so do the commands.
"""

from __future__ import annotations

import functools
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any, ParamSpec, TypeVar

from edgewise.progress import Budget, Event, Listener

P = ParamSpec("P")
R = TypeVar("R")

BAR_WIDTH = 24
PAUSE_SECONDS = 0.1
"""Between two drawings of a bar."""
LINE_SECONDS, FIRST_LINES = 2.0, 4
"""Between two lines of one stage, where lines cannot be written over; its first lines are all written."""
SHOWN_LETTERS = 160


def shows_progress(call: Callable[P, R]) -> Callable[P, R]:
    """A long call whose argument `progress` may also be True, for the display, or False, for nothing.

    >>> @shows_progress
    ... def count(*, progress: bool | Listener | None = None):
    ...     assert not isinstance(progress, bool)
    ...     return progress
    >>> print(count(progress=False))
    None
    """

    @functools.wraps(call)
    def shown(*args: P.args, **kwargs: P.kwargs) -> R:
        if not isinstance(kwargs.get("progress"), bool):
            return call(*args, **kwargs)
        with listener_of(bool(kwargs["progress"])) as listener:
            kwargs["progress"] = listener if kwargs["progress"] else None
            return call(*args, **kwargs)

    return shown


@contextmanager
def listener_of(progress: bool | Listener | None) -> Iterator[Listener]:
    """What receives the events of a call: the given callable, the display where `progress` is True, else nothing."""
    if callable(progress):
        yield progress
    elif progress and sys.stderr is not None:
        shown = _open(sys.stderr)
        try:
            yield shown.show
        finally:
            shown.close()
    else:
        yield _ignore


def _ignore(event: Event) -> None:
    pass


class _Display(ABC):
    """One of the displays below."""

    @abstractmethod
    def show(self, event: Event) -> None:
        """Show what a call reports."""

    @abstractmethod
    def close(self) -> None:
        """Leave the place tidy: the call is over."""


def _open(stream: Any) -> _Display:
    shell = _notebook()
    if shell is not None:
        return _Notebook()
    if not stream.isatty():
        return _Lines(stream)
    try:
        import rich.progress as rich
    except ImportError:
        return _Line(stream)
    return _Rich(rich, stream)


def _notebook() -> Any:
    """The shell of a Jupyter kernel, where this is one: whatever ran in it has imported IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


def printable(text: str) -> str:
    """The text in one line, control characters, as of columns, as escapes that can be seen, and not without end."""
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return seen if len(seen) <= SHOWN_LETTERS else f"{seen[: SHOWN_LETTERS - 1]}…"


class _Paced:
    """Tells when it is time to draw again."""

    def __init__(self, pause: float, at_once: int = 0) -> None:
        self.clock, self.pause, self.last, self.stage = Budget(), pause, -pause, ""
        self.at_once, self.seen = at_once, 0

    def due(self, event: Event) -> bool:
        """True for a new stage and its first events, the end, and whenever the pause is over."""
        new, self.stage = event.stage != self.stage, event.stage
        self.seen = 0 if new else self.seen + 1
        soon = self.clock.spent - self.last < self.pause and event.fraction < 1
        if not new and soon and self.seen >= self.at_once:
            return False
        self.last = self.clock.spent
        return True


class _Line(_Display):
    """One line of a terminal that is written over."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._pace, self._width = stream, _Paced(PAUSE_SECONDS), 0

    def show(self, event: Event) -> None:
        if self._pace.due(event):
            bar = "#" * round(BAR_WIDTH * event.fraction)
            line = f"[{bar:<{BAR_WIDTH}}] {printable(_told(event))}  {_seconds(self._pace.clock)}"
            self._stream.write(f"\r{line:<{self._width}}")
            self._stream.flush()
            self._width = len(line)

    def close(self) -> None:
        self._stream.write("\n")


class _Lines(_Display):
    """A line below the other, for a file or a pipe: every stage, and within one an event now and then."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._pace = stream, _Paced(LINE_SECONDS, FIRST_LINES)

    def show(self, event: Event) -> None:
        new = event.stage != self._pace.stage
        if self._pace.due(event):
            told = f"{self._pace.clock.spent:6.1f} s  {_told(event)}" if new else f"{'':10}{event.text}"
            self._stream.write(f"{printable(told)}\n")
            self._stream.flush()

    def close(self) -> None:
        pass


class _Rich(_Display):
    """A bar of rich, which knows the width of the terminal."""

    def __init__(self, rich: Any, stream: Any) -> None:
        from rich.console import Console

        columns = (rich.SpinnerColumn(), rich.BarColumn(BAR_WIDTH), rich.TextColumn("{task.description}"))
        console = Console(file=stream)
        self._bar = rich.Progress(*columns, rich.TimeElapsedColumn(), console=console, transient=True)
        self._row = self._bar.add_task("", total=1.0)
        self._bar.start()

    def show(self, event: Event) -> None:
        from rich.markup import escape as unmarked

        text = f"[bold]{unmarked(printable(event.stage))}[/] [dim]{unmarked(printable(event.text))}[/]"
        self._bar.update(self._row, completed=event.fraction, description=text)

    def close(self) -> None:
        self._bar.stop()


class _Notebook(_Display):
    """A bar below the cell, drawn again in its place; one line of it stays when the call is over."""

    def __init__(self) -> None:
        self._pace, self._handle, self._event = _Paced(PAUSE_SECONDS), None, Event("", 0.0)

    def show(self, event: Event) -> None:
        self._event = event
        if self._pace.due(event):
            label = escape(printable(event.stage))
            bar = f'<progress max="1" value="{event.fraction:.3f}" aria-label="{label}"></progress>'
            self._draw(f"{bar} {escape(printable(_told(event)))}")

    def close(self) -> None:
        if self._handle is not None:
            self._draw(escape(printable(_told(self._event))))

    def _draw(self, html: str) -> None:
        from IPython.display import display

        text = f"{printable(_told(self._event))}  {_seconds(self._pace.clock)}"
        shown = {"text/html": f"<div>{html} <small>{_seconds(self._pace.clock)}</small></div>", "text/plain": text}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def _told(event: Event) -> str:
    return f"{event.stage}: {event.text}" if event.text else event.stage


def _seconds(clock: Budget) -> str:
    return f"{clock.spent:.0f} s"
