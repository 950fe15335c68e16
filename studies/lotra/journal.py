"""What a study has measured already: an interrupted run goes on where it was."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studies import timing

Outcome = dict[str, Any]


class TimeSpentError(RuntimeError):
    """The time given is over; what was measured is kept, and a next run goes on there."""


class Journal:
    """Outcomes by key. Those that a file of results holds are taken from there; new ones are written as they come.

    A key says all that an outcome depends on, the settings as well. To measure anew, delete the file.

    Args:
        path: the file of results, with outcomes under "outcomes". What comes new is kept in a file beside it until
            `close`. None keeps nothing.
        minutes: begin to measure nothing new after this time.
    """

    def __init__(self, path: Path | None = None, minutes: float = math.inf) -> None:
        self.deadline = time.monotonic() + 60 * minutes
        self.aside = None if path is None else path.with_name(path.name + ".part")
        self.known: dict[str, Outcome] = {}
        self.asked: dict[str, Outcome] = {}
        for file in (path, self.aside):
            if file is not None and file.exists():
                self.known |= json.loads(file.read_text()).get("outcomes", {})

    def __call__(self, key: str, measure: Callable[[], Outcome]) -> Outcome:
        """What is known under this key, else what `measure` returns, with its CPU seconds and the commit.

        Raises `TimeSpentError` where it would have to be measured after the time given.
        """
        if key not in self.known:
            if time.monotonic() > self.deadline:
                raise TimeSpentError(f"the time is over before {key!r}; what was measured is kept for the next run")
            start = time.process_time()
            outcome = measure()
            spent = round(time.process_time() - start, 2)
            self.known[key] = outcome | {"cpu seconds": spent, "commit": timing.environment()["commit"]}
            if self.aside is not None:
                timing.write({"outcomes": self.known}, self.aside)
        self.asked[key] = self.known[key]
        return self.asked[key]

    def seconds(self) -> float:
        """CPU seconds behind everything that was asked for."""
        return round(sum(outcome["cpu seconds"] for outcome in self.asked.values()), 1)

    def close(self) -> None:
        """Remove the file beside the results: they are written."""
        if self.aside is not None:
            self.aside.unlink(missing_ok=True)
