"""Time limits and progress: one `Budget` and one `Event` for every long call of the package."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


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
        clock: `time.monotonic` (default), or `time.process_time` to count the processor time of this process.
    """

    seconds: float = math.inf
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    begun: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError(f"a time limit must be a number of seconds >= 0, got {self.seconds}")
        object.__setattr__(self, "begun", self.clock())

    @property
    def spent(self) -> float:
        """Seconds since the budget was made."""
        return self.clock() - self.begun

    @property
    def left(self) -> float:
        """Seconds until the limit; 0 after it."""
        return max(0.0, self.seconds - self.spent)

    @property
    def over(self) -> bool:
        """True once the limit is reached."""
        return self.left <= 0

    @property
    def fraction(self) -> float:
        """The share of the limit that is spent, in [0, 1]; 0 without a limit."""
        if math.isinf(self.seconds):
            return 0.0
        return min(1.0, self.spent / self.seconds) if self.seconds > 0 else 1.0

    def share(self, part: float) -> Budget:
        """A new budget of this share of the seconds that are left, on the same clock."""
        return Budget(part * self.left, self.clock)


class TimeIsOver(Exception):
    """Raised by a `Pulse` well after the end of its budget, and caught by the call that owns the budget."""


@dataclass
class Pulse:
    """Called at every step of a long call: reports at most once a second, and ends the call soon after its budget.

    Args:
        budget: of the call; `TimeIsOver` is raised a tenth of it and two seconds after its end.
        listener: is told the step; what it raises stops the call.
    """

    budget: Budget = field(default_factory=Budget)
    listener: Listener | None = None
    _told: float = field(default=-math.inf, init=False, repr=False)

    def __call__(self, stage: str) -> None:
        if self.budget.spent > 1.1 * self.budget.seconds + 2:
            raise TimeIsOver
        now = time.monotonic()
        if self.listener is not None and now - self._told >= 1:
            self._told = now
            self.listener(Event(stage, self.budget.fraction))
