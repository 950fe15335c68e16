"""Mistakes that edgewise refuses, shown by the line that made them and the message, without frames of the package."""

from __future__ import annotations

import functools
import sys
from types import TracebackType
from typing import Any

REFUSALS = (ValueError, TypeError, KeyError, IndexError, ImportError, OSError)
"""What an error for the user is made of; anything else is a fault of the package, whose frames are needed."""


def short_tracebacks() -> None:
    """From now on, show errors that edgewise raises on purpose without its own frames, in scripts and notebooks.

    What remains are the lines of the user's code that led there, and the message, by whatever shows tracebacks: Python
    itself, IPython, or rich after `rich.traceback.install()`. Errors that come from elsewhere stay whole.

    >>> short_tracebacks()
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.set_custom_exc(REFUSALS, _in_shell)
    elif not isinstance(sys.excepthook, functools.partial) or sys.excepthook.func is not _hook:
        sys.excepthook = functools.partial(_hook, sys.excepthook)


def shortened(error: BaseException, trace: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of edgewise where edgewise raised a refusal, else the traceback as it is."""
    whole: list[TracebackType] = []
    while trace is not None:
        whole.append(trace)
        trace = trace.tb_next
    others = [part for part in whole if not _ours(part)]
    refused = bool(whole) and _ours(whole[-1]) and isinstance(error, REFUSALS)
    short = None
    for part in reversed(others if refused and others else whole):
        short = TracebackType(short, part.tb_frame, part.tb_lasti, part.tb_lineno)
    if refused and others:
        error.__cause__, error.__suppress_context__ = None, True
    return short


def _ours(part: TracebackType) -> bool:
    return str(part.tb_frame.f_globals.get("__name__")).partition(".")[0] == "edgewise"


def _hook(before: Any, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    short = shortened(error, trace)
    before(kind, error.with_traceback(short), short)


def _in_shell(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: int | None) -> None:
    short = shortened(error, trace)
    shell.showtraceback((kind, error.with_traceback(short), short), tb_offset=tb_offset)
