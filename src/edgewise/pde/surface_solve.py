r"""Solve a problem on a box with a surface: adaptive grids, windows of time, sparse Gauss-Newton.

A surface is solved on a grid; where its estimated error is above the tolerance, the intervals that hold the residual
are halved along the axes that are to blame, and it is solved again. A problem that begins at `t-` is solved window by
window if one surface would need too many coefficients: see `edgewise.pde.surface_windows`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgewise.nn import Surface
from edgewise.pde.operators import TIME, ProblemError
from edgewise.pde.posedness import doubts
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution
from edgewise.pde.solve_methods import Surfaces
from edgewise.pde.surface_points import check_box, periodic_axes
from edgewise.pde.surface_run import SurfaceRun
from edgewise.pde.surface_windows import march
from edgewise.progress import Budget, Listener

UNSOLVED = 0.05  # a residual relative to its terms from which on nothing is solved


def solve_on_surface(
    problem: Problem,
    method: Surfaces,
    start: Surface | None = None,
    *,
    windows: int | Sequence[float],
    budget: Budget,
    progress: Listener | None,
) -> Solution:
    """The solution of a problem as a surface, or as one for every window of time.

    Raises:
        ProblemError: a surface cannot hold the problem, or `start` is not one to begin with.
    """
    if not isinstance(windows, int) or windows < 1:
        raise ProblemError(f"windows: a surface chooses its own; give the least number of them, got {windows}")
    check_box(problem)
    free, c = doubts(problem), problem.domain.coordinates
    marches = (
        TIME in c
        and not problem.unknowns
        and any(part.on == f"{TIME}-" for part in problem.conditions)
        and all(part.points is None and part.on != f"{TIME}+" for part in problem.conditions)
    )
    if start is not None:
        _check_start(problem, start, marches=marches)
    span = problem.domain.bounds[c.index(TIME)] if TIME in c else (0.0, 0.0)
    over = span[1] - span[0] if TIME in c else None
    run = SurfaceRun(problem, method, budget, progress, over, dict(problem.unknowns), start)
    march(run, windows if marches else None)
    return finished(run, free)


def _check_start(problem: Problem, start: Surface, *, marches: bool) -> None:
    """Raise `ProblemError` for a surface that a solve cannot begin with."""
    if marches:
        raise ProblemError("model: a problem with initial values begins with these; leave the surface out")
    ends = tuple((float(grid[0]), float(grid[-1])) for grid in start.grids)
    if ends != problem.domain.bounds or start.outputs != len(problem.fields):
        raise ProblemError(
            f"model: this surface has {start.outputs} fields on {ends}, the problem {len(problem.fields)} on "
            f"{problem.domain.bounds}; begin with the solution of a problem on the same box with the same fields"
        )
    if start.periodic != periodic_axes(problem):
        raise ProblemError("model: this surface is not periodic where the problem is; give one with these conditions")


def finished(run: SurfaceRun, free: tuple[str, ...]) -> Solution:
    """The solution with how it ended."""
    estimate = run.sums.relative if run.covered > 1 - 1e-9 else None
    known = run.determined
    told = [*run.doubts, *_doubts(run, estimate), *free, *(known.doubts if known else ())]
    ended = "time is up" if run.budget.over else "all stages done" if run.settled else "not settled"
    return Solution(
        run.problem,
        tuple(run.models),
        tuple(run.ends),
        dict(run.unknowns),
        tuple(run.stages),
        run.settled and (estimate is None or math.isfinite(estimate)),
        ", but ".join([ended, "; ".join(told)] if told else [ended]),
        estimate,
        run.relative,
        tuple(told),
        known.standard_errors if known else {},
        known.noise if known else None,
    )


def _doubts(run: SurfaceRun, estimate: float | None) -> list[str]:
    """Why this may be no solution: steps that have not settled, an estimate above the tolerance."""
    told, tolerance = [], run.method.tolerance
    if not run.settled:
        told.append("Gauss-Newton has not settled: give more `steps`, or begin with a finer grid (`intervals`)")
    large = [f"{name} is off by {size:.0%} of its terms" for name, size in run.relative.items() if not size <= UNSOLVED]
    if large:
        told.append(f"{', '.join(large)}: a smaller tolerance, or conditions that agree")
    if estimate is not None and not estimate <= tolerance:
        most = max(model.coef.numel() for model in run.models)
        what = "errors grow in time: give a smaller tolerance" if len(run.models) > 1 else "allow more with `most`"
        above = f"the estimated error {estimate:.1e} is above the tolerance {tolerance:g}"
        told.append(f"{above}, with {most:,} coefficients at most: {what}")
    return told
