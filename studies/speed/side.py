"""One of two checkouts that are timed side by side: runs in a process of its own and answers one job per line.

It is run by its path with the `src` of a checkout first on PYTHONPATH, so it imports nothing of `studies`, and it uses
only what edgewise had in 2026-11 (commit ea648a7) and has now. A job is a JSON object with the name of a function here
and its arguments; the answer is the JSON value that the function returns.
"""

from __future__ import annotations

import functools
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import edgewise
from edgewise.bases import BSpline
from edgewise.nn import KAN, KANLinear
from edgewise.optim import Adam

SLICE = 0.05  # seconds of one round


def fit(data: str, shape: list[int], seed: int, max_parameters: int | None) -> dict[str, Any]:
    """Processor seconds of a fit with the default method, and the root mean square error on fresh samples."""
    arrays = np.load(data)
    x, y, fresh, truth = (torch.from_numpy(arrays[name]) for name in ("x", "y", "fresh", "truth"))
    model = KAN(shape, generator=torch.Generator().manual_seed(seed))
    options: dict[str, Any] = {"seed": seed}
    try:
        from edgewise.training import Auto
    except ImportError:
        options["max_parameters"] = max_parameters
    else:
        options["method"] = Auto(max_parameters=max_parameters)
    begun = time.process_time()
    found = edgewise.fit(model, (x, y), **options)
    seconds = time.process_time() - begun
    with torch.no_grad():
        error = found.model(fresh)[:, 0] - truth
    return {"cpu_seconds": seconds, "rmse": float(error.square().mean().sqrt())}


def normal_equations(widths: list[int], intervals: int, rows: int) -> dict[str, Any]:
    """Milliseconds of one Gauss-Newton matrix and gradient as `fit` takes them, and their largest entries."""
    call = _equations(tuple(widths), intervals, rows)
    found = call()
    return {"ms": _milliseconds(call), "gram": float(found.gram.abs().max()), "gradient": float(found.gradient.norm())}


def step(widths: list[int], intervals: int, batch: int, optimizer: str) -> dict[str, Any]:
    """Milliseconds of one training step: forward, mean squared error, backward, Adam; "torch" has its fused Adam."""
    return {"ms": _milliseconds(_step(tuple(widths), intervals, batch, optimizer))}


def call(widths: list[int]) -> dict[str, Any]:
    """Microseconds of one sample through a network without gradients, and through one `nn.Linear`."""
    model, linear, x = _lone(tuple(widths))
    with torch.no_grad():
        return {"us": 1e3 * _milliseconds(lambda: model(x)), "linear_us": 1e3 * _milliseconds(lambda: linear(x))}


@functools.cache
def _equations(widths: tuple[int, ...], intervals: int, rows: int) -> Callable[[], Any]:
    optim = importlib.import_module("edgewise.optim")
    torch.manual_seed(0)
    x = torch.rand(rows, widths[0], dtype=torch.float64) * 2 - 1
    y = torch.randn(rows, widths[-1], dtype=torch.float64)
    network, parameters = optim.Network.of(KAN(widths, BSpline(intervals, 3), residual=None, dtype=torch.float64))
    loss = optim.get_loss("mse")
    if hasattr(optim, "NetworkLeastSquares"):
        problem = optim.NetworkLeastSquares(network, parameters.grids, x, y, None, loss)
        return lambda: problem.normal_equations(parameters.theta)
    before = importlib.import_module("edgewise.optim.jacobian").Problem(network, x, y, None, loss)
    return lambda: before.normal_equations(parameters)


@functools.cache
def _step(widths: tuple[int, ...], intervals: int, batch: int, optimizer: str) -> Callable[[], Any]:
    torch.manual_seed(0)
    model = KAN(widths, BSpline(intervals, 3))
    x, target = torch.rand(batch, widths[0]) * 2 - 1, torch.randn(batch, widths[-1])
    x.requires_grad_(len(widths) == 2)
    torchs = optimizer == "torch"
    adam = torch.optim.Adam(model.parameters(), fused=True) if torchs else Adam(model.parameters())

    def steps() -> None:
        adam.zero_grad()
        x.grad = None
        torch.nn.functional.mse_loss(model(x), target).backward()
        adam.step()

    return steps


@functools.cache
def _lone(widths: tuple[int, ...]) -> tuple[torch.nn.Module, torch.nn.Module, torch.Tensor]:
    model = KANLinear(*widths) if len(widths) == 2 else KAN(widths)
    return model, torch.nn.Linear(widths[0], widths[-1]), torch.rand(1, widths[0])


def _milliseconds(act: Callable[[], Any]) -> float:
    """The median of the calls that fit into a slice of time, one at least, after one that warms the caches."""
    times: list[float] = []
    act()
    end = time.perf_counter() + SLICE
    while time.perf_counter() < end or not times:
        begun = time.perf_counter()
        act()
        times.append(time.perf_counter() - begun)
    return 1e3 * statistics.median(times)


JOBS = {job.__name__: job for job in (fit, normal_equations, step, call)}


def main() -> None:
    """Answer every line of standard input."""
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(JOBS[job.pop("job")](**job)), flush=True)


if __name__ == "__main__":
    main()
