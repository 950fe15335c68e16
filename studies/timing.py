"""What studies share: peak memory in a process of its own, the roof of the machine, and where a result was measured."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from edgewise._version import __version__
from edgewise.compare.timing import Step, elapsed
from edgewise.kernels.cpu import layer, load

RESULTS = Path(__file__).parent / "results"


def begin_study() -> None:
    """What studies print goes to standard error, without the stages of every fit; one thread."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("studies").setLevel(logging.INFO)  # the command line lets warnings alone through
    logging.getLogger("edgewise.training").setLevel(logging.WARNING)
    torch.set_num_threads(1)


def peak_memory(code: str, threads: int) -> float | None:
    """MiB that running `code` adds to a fresh interpreter with the library loaded; None where the run fails.

    `code` defines `step`; it is called three times.
    """
    program = f"""
import torch, edgewise
from edgewise.compare import timing
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


def product_flops(dtype: torch.dtype, size: int = 1024) -> float:
    """GFLOP/s of torch's matrix product on this machine with the threads of now."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best = min(elapsed(lambda: a @ b) for _ in range(10))
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
        best = min(best, elapsed(step))
    return best


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


def write_rows(name: str, measure: str, rows: Sequence[Mapping[str, Any]], **more: Any) -> Path:
    """The results of one study as JSON beside where it was measured; returns the file."""
    path = RESULTS / f"{name}.json"
    write({"environment": environment(), "measure": measure, "rows": list(rows), **more}, path)
    return path
