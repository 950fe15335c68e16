"""The progress display: rich where it is installed, else one line on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

BAR = 24


class Progress:
    """A bar with the stage, the best error so far and the time left; nothing at all where `shown` is False.

    `fraction` says how far the run is, in [0, 1].
    """

    def __init__(self, shown: bool, stream: TextIO | None = None) -> None:
        self._bar = _open(stream or sys.stderr) if shown else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, fraction: float, stage: str, best: float) -> None:
        """Show the state."""
        if self._bar is not None:
            self._bar.update(fraction, f"{stage}  best {best:.3g}")


class _Line:
    """One line that is written over, ten times a second at most."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._start, self._shown = stream, time.monotonic(), 0.0

    def update(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if now - self._shown < 0.1 and fraction < 1:
            return
        self._shown = now
        left = (now - self._start) * (1 / fraction - 1) if fraction > 0 else float("nan")
        bar = "#" * round(BAR * fraction)
        self._stream.write(f"\r[{bar:<{BAR}}] {text}  {left:.0f} s left  ")
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

    def update(self, fraction: float, text: str) -> None:
        self._progress.update(self._task, completed=fraction, description=text)

    def close(self) -> None:
        self._progress.stop()


def _open(stream: TextIO) -> _Line | _Rich:
    try:
        import rich.progress as rich
    except ImportError:
        return _Line(stream)
    return _Rich(rich, stream)
