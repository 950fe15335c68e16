r"""How the error falls with the grid: $\mathrm{RMSE} \propto G^{-\alpha}$ with $\alpha = k + 1$ for degree k.

The claim of Liu et al., arXiv 2404.19756, theorem 2.1, on the paper's five toys: a network is trained on 5 intervals,
and continues from the same function on 10, 20, 40, 80, 160. Samples are as many as the finest grid needs, without
noise. The law is one of fine grids: its exponent is taken from the first grid that resolves the function on.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.surgery import refine
from edgewise.training import Auto, LevenbergMarquardt, fit
from studies.kan_paper.functions_plot import draw_scaling
from studies.problems.functions import FUNCTIONS, TargetFunction
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import grouped

MAX_PARAMETERS = 2500
"""A finer grid than this allows is left out."""
RESOLVED = 0.1
"""Relative error that a grid has at most where it resolves the function."""
FLOOR = 1e-13
"""Relative error below which it is that of the arithmetic."""
TOYS = tuple(f.name for f in FUNCTIONS.values() if f.group == "toy")


@dataclass(frozen=True)
class ScalingSettings(Settings):
    """Settings of the study of grids."""

    functions: tuple[str, ...] = option(TOYS, "some", subset=True)
    degrees: tuple[int, ...] = option((3, 5, 7), "degrees of the splines", selects=True)
    intervals: tuple[int, ...] = option((5, 10, 20, 40, 80, 160), "grids, from coarse to fine")
    train: int = option(10_000, "number of training samples")
    test: int = option(5000, "number of test samples")
    steps: int = option(60, "Levenberg-Marquardt steps on every grid but the first")


def cases(settings: ScalingSettings, seeds: Sequence[int]) -> list[Case]:
    """A series of grids for every degree, function and seed."""
    return grid(degree=settings.degrees, function=settings.functions, seed=seeds)


def measure(case: Case, run: Run[ScalingSettings]) -> Row:
    """Test RMSE on every grid, for one draw of the samples."""
    function, degree, settings, seed = FUNCTIONS[case["function"]], case["degree"], run.settings, case["seed"]
    generator = torch.Generator().manual_seed(seed)
    data, (fresh, truth) = function.sample(settings.train, generator), function.sample(settings.test, generator)
    model = KAN(list(function.shape), BSpline(settings.intervals[0], degree), residual=None, generator=generator)
    errors = []
    for n, intervals in enumerate(grids := _grids(function, degree, settings.intervals)):
        if n == 0:
            model = fit(model, data, Auto(extend=False), seed=seed).model
        else:
            model = fit(refine(model, intervals), data, LevenbergMarquardt(steps=settings.steps), seed=seed).model
        with torch.no_grad():
            errors.append(float((model(fresh)[:, 0] - truth).square().mean().sqrt()))
    spread = float(function.sample(settings.test, torch.Generator().manual_seed(0))[1].std())
    return {"shape": list(function.shape), "intervals": grids, "rmse": errors, "spread": spread}


def summarise(rows: list[Row]) -> list[Row]:
    """Median and worst RMSE of the seeds on every grid, and the exponent of the medians."""
    return [_series(group) for group in grouped(rows, ("degree", "function"))]


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


def _grids(function: TargetFunction, degree: int, intervals: Sequence[int]) -> list[int]:
    edges = sum(a * b for a, b in pairwise(function.shape))
    sizes = [BSpline(g, degree).size * edges for g in intervals]
    return [g for g, size in zip(intervals, sizes, strict=True) if size <= MAX_PARAMETERS]


def _series(group: list[Row]) -> Row:
    first, grids = group[0], group[0]["intervals"]
    columns = list(zip(*(row["rmse"] for row in group), strict=True))
    medians, spread = [statistics.median(column) for column in columns], first["spread"]
    steps = zip(pairwise(grids), pairwise(medians), strict=True)
    slopes = [math.log(a / b) / math.log(n / m) for (m, n), (a, b) in steps]
    return {
        "function": first["function"],
        "shape": first["shape"],
        "degree": first["degree"],
        "seeds": len(group),
        "exponent": exponent(grids, [m / spread for m in medians]),
        "finest": grids[-1],
        "rmse_median": medians[-1],
        "rmse_worst": max(columns[-1]),
        "by_grid": {
            "intervals": grids,
            "median": medians,
            "worst": [max(column) for column in columns],
            "local_exponents": [round(slope, 2) for slope in slopes],
            "spread": spread,
        },
    }


STUDY = Study(
    name="kan-functions-scaling",
    title="How the error of splines falls with the grid, on the KAN paper's toy functions",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=draw_scaling,
    settings=ScalingSettings(),
    seeds=(0, 1, 2),
)
