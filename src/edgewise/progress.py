"""Time limits and progress: one `Budget` and one `Event` for every long call of the package."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from numbers import Real

STRETCH = 4.0
"""A search may take so many times its limit in wall time, where other processes take its processor."""


@dataclass(frozen=True)
class Event:
    """What a long call reports while it works.

    Args:
        stage: the name of what is being done, such as "search, 32 starts".
        fraction: how far the call is, in [0, 1].
        text: details for a reader, such as "best 1.2e-3".
    """

    stage: str
    fraction: float
    text: str = ""


Listener = Callable[[Event], None]
"""What `progress=` of a long call takes: called with an `Event` after every piece of work."""


@dataclass(frozen=True)
class Budget:
    """A time limit that starts when the value is made.

    Args:
        seconds: the limit in seconds; infinite by default.
        clock: `time.monotonic` (default), `time.thread_time` to count the processor time of this thread, or
            `time.process_time` to count that of all threads.
        wall: an outer limit in seconds of wall time, whatever the clock; infinite by default.
    """

    seconds: float = math.inf
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    wall: float = math.inf
    begun: float = field(init=False, repr=False, compare=False)
    _begun_wall: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)
        object.__setattr__(self, "begun", _counted(self.clock))
        object.__setattr__(self, "_begun_wall", _counted(time.monotonic))

    @classmethod
    def of_search(cls, seconds: float, clock: Callable[[], float]) -> Budget:
        """The limit of a search whose answer must not depend on what else the machine does.

        Processor time counts; other processes may stretch it to `STRETCH` times as much wall time and two seconds.
        """
        _check_seconds(seconds)
        return cls(seconds, clock, STRETCH * seconds + 2)

    @property
    def spent(self) -> float:
        """Seconds since the budget was made, without those of `uncounted` work."""
        return _counted(self.clock) - self.begun

    @property
    def left(self) -> float:
        """Seconds until the limit; 0 after it, and after the outer one."""
        return max(0.0, self.seconds - self.spent) if self._wall_left > 0 else 0.0

    @property
    def over(self) -> bool:
        """True once the limit is reached."""
        return self.left <= 0

    @property
    def late(self) -> bool:
        """True once the outer limit is reached."""
        return self._wall_left <= 0

    @property
    def fraction(self) -> float:
        """The share of the limit that is spent, in [0, 1]; 0 without a limit."""
        if math.isinf(self.seconds):
            return 0.0
        return min(1.0, self.spent / self.seconds) if self.seconds > 0 else 1.0

    def share(self, part: float) -> Budget:
        """A new budget of this share of the seconds that are left, on the same clock."""
        return Budget(part * self.left, self.clock, self._wall_left)

    @property
    def _wall_left(self) -> float:
        return max(0.0, self.wall - (_counted(time.monotonic) - self._begun_wall)) if self.wall < math.inf else math.inf


_CLOCKS = (time.monotonic, time.thread_time, time.process_time)
_skipped = dict.fromkeys(_CLOCKS, 0.0)


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """Work within the block counts for no budget, such as a library that is compiled once for a machine.

    Without this the first search on a machine had no time left for the search itself, and gave a poor model for it.
    """
    begun = {clock: clock() for clock in _CLOCKS}
    try:
        yield
    finally:
        for clock, start in begun.items():
            _skipped[clock] += clock() - start


def _counted(clock: Callable[[], float]) -> float:
    """What the clock shows, without what was not to be counted."""
    return clock() - _skipped.get(clock, 0.0)


def _check_seconds(seconds: object) -> None:
    if not isinstance(seconds, Real) or not float(seconds) >= 0:
        raise ValueError(f"a time limit must be a number of seconds >= 0, got {seconds!r}")


class TimeIsOver(Exception):
    """Raised within a long call after the end of its budget, and caught by the call that owns the budget."""


@dataclass
class Pulse:
    """Called at every step of a long call: reports at most once a second, and ends the call soon after its budget.

    Args:
        budget: of the call; `TimeIsOver` is raised a tenth of it and two seconds after its end, or at its outer limit.
        listener: is told the step; what it raises stops the call.
    """

    budget: Budget = field(default_factory=Budget)
    listener: Listener | None = None
    _told: float = field(default=-math.inf, init=False, repr=False)

    def __call__(self, stage: str) -> None:
        if self.budget.spent > 1.1 * self.budget.seconds + 2 or self.budget.late:
            raise TimeIsOver
        now = time.monotonic()
        if self.listener is not None and now - self._told >= 1:
            self._told = now
            self.listener(Event(stage, self.budget.fraction))
