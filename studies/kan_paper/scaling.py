r"""How the error falls with the grid: $\mathrm{RMSE} \propto G^{-\alpha}$ with $\alpha = k + 1$ for degree k.

The claim of Liu et al., arXiv 2404.19756, theorem 2.1, on the paper's five toys: a network is trained on 5 intervals,
and goes on from the same function on 10, 20, 40, 80, 160. Samples are as many as the finest grid needs, without noise.
The law is one of fine grids: its exponent is taken from the first grid that resolves the function on.
"""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.surgery import refine
from edgewise.training import Auto, LevenbergMarquardt, fit
from studies.problems.functions import TargetFunction

INTERVALS = (5, 10, 20, 40, 80, 160)
TRAIN, TEST = 10_000, 5000
STEPS = 60
MOST = 2500
"""Parameters, beyond which the next grid is left out."""
RESOLVED = 0.1
"""Relative error that a grid has at most where it resolves the function."""
FLOOR = 1e-13
"""Relative error below which it is that of the arithmetic."""

_log = logging.getLogger(__name__)


def row(function: TargetFunction, degree: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Test RMSE by intervals (median and worst of the seeds), and the exponent of the medians."""
    spread = float(function.sample(TEST, torch.Generator().manual_seed(0))[1].std())
    runs = [errors(function, degree, seed) for seed in seeds]
    grids = [g for g in INTERVALS if all(g in run for run in runs)]
    medians = [statistics.median(run[g] for run in runs) for g in grids]
    found = {
        "function": function.name,
        "shape": list(function.shape),
        "degree": degree,
        "intervals": grids,
        "median": medians,
        "worst": [max(run[g] for run in runs) for g in grids],
        "spread": spread,
        "exponent": exponent(grids, [m / spread for m in medians]),
        "local exponents": [
            round(math.log(a / b) / math.log(n / m), 2)
            for (m, n), (a, b) in zip(pairwise(grids), pairwise(medians), strict=True)
        ],
    }
    _log.info("%s, degree %d: exponent %s, %s", function.name, degree, found["exponent"], medians)
    return found


def exponent(intervals: Sequence[int], errors: Sequence[float]) -> float | None:
    """The slope of -log(relative error) over log(intervals), by least squares.

    It begins at the first grid that resolves the function and ends above the floor; None where fewer than two are left.
    """
    first = next((n for n, e in enumerate(errors) if e < RESOLVED), len(errors))
    last = next((n for n, e in enumerate(errors) if e <= FLOOR), len(errors))
    kept = [(math.log(g), -math.log(e)) for g, e in list(zip(intervals, errors, strict=True))[first:last]]
    if len(kept) < 2:
        return None
    return round(statistics.linear_regression(*zip(*kept, strict=True)).slope, 2)


def errors(function: TargetFunction, degree: int, seed: int) -> dict[int, float]:
    """Test RMSE by the number of intervals, for one draw of the samples."""
    generator = torch.Generator().manual_seed(seed)
    data, (fresh, truth) = function.sample(TRAIN, generator), function.sample(TEST, generator)
    begun, found = time.process_time(), dict[int, float]()
    model = KAN(list(function.shape), BSpline(INTERVALS[0], degree), residual=None, generator=generator)
    for n, intervals in enumerate(INTERVALS):
        basis = BSpline(intervals, degree)
        if basis.size * sum(a * b for a, b in pairwise(function.shape)) > MOST:
            break
        if n == 0:
            model = fit(model, data, Auto(extend=False), seed=seed).model
        else:
            model = fit(refine(model, intervals), data, LevenbergMarquardt(steps=STEPS), seed=seed).model
        with torch.no_grad():
            found[intervals] = float((model(fresh)[:, 0] - truth).square().mean().sqrt())
    _log.debug("%s, seed %d: %.0f s", function.name, seed, time.process_time() - begun)
    return found
