"""The progress display: rich where it is installed, else one line on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from edgewise.progress import Budget, Event, Listener

BAR_WIDTH = 24
PAUSE_SECONDS = 0.1  # between two updates of the line


@contextmanager
def listener_of(progress: bool | Listener | None) -> Iterator[Listener]:
    """What receives the events of a run: the given callable, the display where `progress` is True, else nothing."""
    if callable(progress):
        yield progress
    elif progress:
        bar = _open(sys.stderr)
        try:
            yield bar.show
        finally:
            bar.close()
    else:
        yield _ignore


def _ignore(event: Event) -> None:
    pass


class _Line:
    """One line that is written over, ten times a second at most."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._clock, self._shown = stream, Budget(), -PAUSE_SECONDS

    def show(self, event: Event) -> None:
        spent, fraction = self._clock.spent, event.fraction
        if spent - self._shown < PAUSE_SECONDS and fraction < 1:
            return
        self._shown = spent
        left = spent * (1 / fraction - 1) if fraction > 0 else float("nan")
        bar = "#" * round(BAR_WIDTH * fraction)
        self._stream.write(f"\r[{bar:<{BAR_WIDTH}}] {event.stage}  {event.text}  {left:.0f} s left  ")
        self._stream.flush()

    def close(self) -> None:
        self._stream.write("\n")


class _Rich:
    def __init__(self, rich: Any, stream: TextIO) -> None:
        from rich.console import Console

        columns = (rich.BarColumn(), rich.TextColumn("{task.description}"), rich.TimeRemainingColumn())
        self._progress = rich.Progress(*columns, console=Console(file=stream))
        self._task = self._progress.add_task("", total=1.0)
        self._progress.start()

    def show(self, event: Event) -> None:
        self._progress.update(self._task, completed=event.fraction, description=f"{event.stage}  {event.text}")

    def close(self) -> None:
        self._progress.stop()


def _open(stream: TextIO) -> _Line | _Rich:
    try:
        import rich.progress as rich
    except ImportError:
        return _Line(stream)
    return _Rich(rich, stream)
