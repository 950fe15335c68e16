"""Measures the machine: the roof of its arithmetic, the best time of a call, and peak memory in a fresh process."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import torch

from edgewise.compare.timing import Step, elapsed
from edgewise.kernels.cpu import layer, load


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
    """GFLOP/s of torch's matrix product on this machine with the present number of threads."""
    a, b = torch.randn(size, size, dtype=dtype), torch.randn(size, size, dtype=dtype)
    best = min(elapsed(lambda: a @ b) for _ in range(10))
    return 2 * size**3 / best / 1e9


def peak_flops(dtype: torch.dtype) -> float:
    """GFLOP/s of multiply-add in registers with the present number of threads; 0 without native kernels."""
    if load.library() is None:
        return 0.0
    rounds = 20_000
    operations = layer.multiply_add(dtype, rounds)
    return operations / best_seconds(lambda: layer.multiply_add(dtype, rounds)) / 1e9


def best_seconds(step: Step, seconds: float = 0.5) -> float:
    """The least time of a call, of as many as fit into `seconds`."""
    step()
    end, best = time.perf_counter() + seconds, math.inf
    while time.perf_counter() < end:
        best = min(best, elapsed(step))
    return best
