"""Reads damaged files of one kind in a process of its own, and notes every outcome in a file.

A case that was begun and not ended is the one at which native code died.
"""

import contextlib
import io
import json
import random
import resource
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import torch
from kinds import KINDS, fresh

LIMIT = 6 << 30
"""Bytes of address space: what asks for more fails, here as on a small machine."""


def outcome(error: BaseException | None) -> str:
    """ "read", "refused", or the foreign exception: not an OSError, and not a ValueError that this package raised."""
    if error is None:
        return "read"
    if isinstance(error, OSError):
        return "refused"
    kind, last = type(error), traceback.extract_tb(error.__traceback__)[-1]
    own = kind.__module__.startswith("edgewise") or (kind is ValueError and "edgewise" in last.filename)
    if isinstance(error, ValueError) and own:
        return "refused"
    return f"foreign: {kind.__module__}.{kind.__qualname__} at {Path(last.filename).name}:{last.lineno}"


def attempt(call) -> tuple[str, str, object]:
    """The outcome, the first line of the message, and the value of a call."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            value = call()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return outcome(error), (str(error).splitlines() or [""])[0][:200], None
    return "read", "", value


def work(kind_name: str, seed: str, first: str, seconds: str, last: str, log: str) -> None:
    """The cases from `first` to `last`, for so many seconds."""
    warnings.simplefilter("ignore")
    kind, end = KINDS[kind_name], time.monotonic() + float(seconds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root, Path(log).open("a") as notes:
        made, place = Path(root) / "made", Path(root) / "place"
        made.mkdir()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            given = kind.make(made)
        fresh(made, place)
        state, message, right = attempt(lambda: kind.read(place, given))
        if state not in ("read", "refused"):
            notes.write(
                json.dumps({"n": -1, "damage": "none", "outcome": f"good files: {state}", "message": message}) + "\n"
            )
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
        n = int(first)
        while time.monotonic() < end and n < float(last):
            notes.write(json.dumps({"n": n}) + "\n")
            notes.flush()
            fresh(made, place)
            before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
            damage = kind.damage(place, given, random.Random(f"{seed} {kind_name} {n}"))
            clock, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            state, message, value = attempt(lambda: kind.read(place, given))
            spent, grown = time.process_time() - clock, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
            if kind.sealed and state == "read" and repr(value) != repr(right):
                same = all(path.exists() and path.read_bytes() == data for path, data in before.items())
                state = state if same else "unnoticed: it was read as something else"
            if state in ("read", "refused") and spent > kind.limit:
                state = f"slow: {state}"
            if grown > 1 << 20:
                state = f"memory: {grown >> 10} MiB, {state}"
            notes.write(json.dumps({"n": n, "damage": damage, "outcome": state, "message": message}) + "\n")
            notes.flush()
            n += 1
