"""Timing side by side in one process, peak memory in a process of its own, and where a result was measured."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from edgewise._version import __version__
from edgewise.kernels.cpu import layer, load

RESULTS = Path("benchmarks/results")
Step = Callable[[], Any]
SLICE = 0.01


@dataclass(frozen=True)
class Many:
    """A call that does `count` steps; what is timed is one of them."""

    call: Step
    count: int

    def __call__(self) -> Any:
        return self.call()


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, and how many times faster than the yardstick of the same rounds.

    `speed` is the median over rounds of time(yardstick) / time(this): machine load that lasts longer than a round
    cancels. `best_speed` divides the two best times.
    """

    median_ms: float
    best_ms: float
    speed: float
    best_speed: float


def begin_study() -> None:
    """What studies print goes to standard error, without the stages of every fit; one thread."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("edgewise.bench").setLevel(logging.INFO)  # the command line lets warnings alone through
    logging.getLogger("edgewise.fit").setLevel(logging.WARNING)
    torch.set_num_threads(1)


def compare(
    steps: Mapping[str, Step],
    yardstick: str,
    *,
    rounds: int = 30,
    seconds: float = 20.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time every step in turn, round after round, until `rounds` or `seconds` are spent.

    In a round a step runs for `SLICE` seconds or once: after another, long one it finds threads asleep and caches cold.
    With `clock=time.process_time` what other programs take from the machine is not counted; nor is what the steps wait.
    """
    repeats: dict[str, int] = {}
    for name, step in steps.items():
        step()
        repeats[name] = max(1, int(SLICE / min(_seconds(step, clock), _seconds(step, clock))))
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    for n in range(rounds):
        for name, step in steps.items():
            count = repeats[name] * (step.count if isinstance(step, Many) else 1)
            many = _seconds(lambda step=step, name=name: [step() for _ in range(repeats[name])], clock)
            times[name].append(many / count)
        if time.perf_counter() > end and n >= 2:
            break
    base = times[yardstick]
    return {
        name: Timing(
            1e3 * statistics.median(t),
            1e3 * min(t),
            statistics.median(b / a for a, b in zip(t, base, strict=True)),
            min(base) / min(t),
        )
        for name, t in times.items()
    }


def peak_memory(code: str, threads: int) -> float | None:
    """MiB that running `code` adds to a fresh interpreter with the library loaded; None where the run fails.

    `code` defines `step`; it is called three times.
    """
    program = f"""
import torch, edgewise
from edgewise.bench import timing
torch.set_num_threads({threads})
warm = torch.nn.Sequential(torch.nn.Linear(64, 64), edgewise.KANLinear(64, 64))
torch.optim.Adam(warm.parameters(), fused=True).step(lambda: warm(torch.randn(64, 64)).sum().backward())
base = timing.reset_peak()
{code}
step(), step(), step()
print(timing.memory("VmHWM") - base)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None


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


def product_flops(dtype: torch.dtype, size: int = 1024) -> float:
    """GFLOP/s of torch's matrix product on this machine with the threads of now."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best = min(_seconds(lambda: a @ b) for _ in range(10))
    return 2 * size**3 / best / 1e9


def peak_flops(dtype: torch.dtype) -> float:
    """GFLOP/s of multiply-add in registers on all threads of now: the roof, or 0 without native kernels."""
    if load.library() is None:
        return 0.0
    rounds = 20_000
    operations = layer.multiply_add(dtype, rounds)
    return operations / best_seconds(lambda: layer.multiply_add(dtype, rounds)) / 1e9


def environment() -> dict[str, Any]:
    """Versions, machine and commit, for every file of results."""
    return {
        "edgewise": __version__,
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write(results: dict[str, Any], path: Path) -> None:
    """One JSON file of results, dataclasses as objects; written aside and renamed, so that it is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".new")
    aside.write_text(json.dumps(results, indent=1, default=asdict) + "\n")
    aside.replace(path)


def best_seconds(step: Step, seconds: float = 0.5) -> float:
    """The least time of a call, of as many as fit into `seconds`."""
    step()
    end, best = time.perf_counter() + seconds, math.inf
    while time.perf_counter() < end:
        best = min(best, _seconds(step))
    return best


def _seconds(step: Step, clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    step()
    return clock() - start


def _commit() -> str | None:
    folder = Path(__file__).parent
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=folder
    )
    return done.stdout.strip() or None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    return f"{values.get('model name', '?')} (family {values.get('cpu family', '?')}, model {values.get('model', '?')})"
