"""Ends calls of other libraries that do not end by themselves, such as readers that wait for the end of a cut file."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """What a call returns or raises; `TimeoutError` where it takes longer.

    The call runs in a thread of its own, in which the error is raised: it ends where Python is run, in native code
    afterwards.

    >>> within(5.0, lambda: 1 + 1)
    2
    """
    found: list[Any] = []

    def run() -> None:
        try:
            found.extend((True, call()))
        except BaseException as error:  # whatever it raises is the caller's
            found[:] = [False, error]

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not found:
        assert thread.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeoutError))
        raise TimeoutError(f"it did not end within {seconds:.0f} s")
    good, value = found
    if not good:
        raise value
    return value
