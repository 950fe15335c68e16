"""Time calls side by side in one process, and measure the memory of the process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Step = Callable[[], Any]
SLICE_SECONDS = 0.01


@dataclass(frozen=True)
class Many:
    """A call that does `count` steps; what is timed is one of them."""

    call: Step
    count: int

    def __call__(self) -> Any:
        return self.call()


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, and how many times faster than the baseline of the same rounds.

    `speed` is the median over rounds of time(baseline) / time(this): machine load that lasts longer than a round
    cancels. `best_speed` divides the two best times.
    """

    median_ms: float
    best_ms: float
    speed: float
    best_speed: float


def interleaved(
    steps: Mapping[str, Step],
    baseline: str,
    *,
    rounds: int = 30,
    seconds: float = 20.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time every step in turn, round after round, until `rounds` or `seconds` are spent.

    In a round a step runs for `SLICE_SECONDS` or once: after a long step of another, threads sleep and caches are cold.
    `clock=time.process_time` counts neither the load of other programs nor the time that the steps wait.
    """
    repeats: dict[str, int] = {}
    for name, step in steps.items():
        step()
        repeats[name] = max(1, int(SLICE_SECONDS / min(elapsed(step, clock), elapsed(step, clock))))
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    for n in range(rounds):
        for name, step in steps.items():
            count = repeats[name] * (step.count if isinstance(step, Many) else 1)
            many = elapsed(lambda step=step, name=name: [step() for _ in range(repeats[name])], clock)
            times[name].append(many / count)
        if time.perf_counter() > end and n >= 2:
            break
    base = times[baseline]
    return {
        name: Timing(
            1e3 * statistics.median(t),
            1e3 * min(t),
            statistics.median(b / a for a, b in zip(t, base, strict=True)),
            min(base) / min(t),
        )
        for name, t in times.items()
    }


def reset_peak() -> float:
    """Forget the peak of resident memory so far (Linux); returns what is resident now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def memory(field: str) -> float:
    """A field of this process's memory in MiB: VmRSS now, VmHWM at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"the system does not report {field}")


def elapsed(step: Step, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call."""
    start = clock()
    step()
    return clock() - start
