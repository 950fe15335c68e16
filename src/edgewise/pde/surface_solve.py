r"""Solve a problem on a box with a surface: adaptive grids, windows of time, sparse Gauss-Newton.

A surface is solved on a grid; where its residual is above the tolerance, the intervals that hold it are halved along
the axes that are to blame, and it is solved again. A problem that begins at `t-` is solved window by window if one
surface would need too many coefficients: see `edgewise.pde.surface_windows`.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.pde.operators import TIME, ProblemError
from edgewise.pde.posedness import doubts
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution
from edgewise.pde.solve_methods import Surfaces
from edgewise.pde.surface_points import check_box
from edgewise.pde.surface_run import SurfaceRun
from edgewise.pde.surface_windows import march
from edgewise.progress import Budget, Listener


def solve_on_surface(
    problem: Problem,
    method: Surfaces,
    *,
    windows: int | Sequence[float],
    budget: Budget,
    progress: Listener | None,
) -> Solution:
    """The solution of a problem as a surface, or as one for every window of time."""
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
    span = problem.domain.bounds[c.index(TIME)] if TIME in c else (0.0, 0.0)
    over = span[1] - span[0] if TIME in c else None
    run = SurfaceRun(problem, method, budget, progress, over, dict(problem.unknowns))
    march(run, windows if marches else None)
    return finished(run, free)


def finished(run: SurfaceRun, free: tuple[str, ...]) -> Solution:
    """The solution with how it ended."""
    told = [*run.doubts, *free]
    ended = "time is up" if run.budget.over and run.doubts else "all stages done"
    return Solution(
        run.problem,
        tuple(run.models),
        tuple(run.ends),
        dict(run.unknowns),
        tuple(run.stages),
        True,
        ", but ".join([ended, "; ".join(told)] if told else [ended]),
        run.estimate,
        run.relative,
        tuple(told),
    )
