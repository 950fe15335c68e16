r"""Refine a surface until its tolerance is met, and cut time into windows where one surface is not enough.

A window begins with the fields, and their rates where the equation is of second order in time, at the end of the one
before: a term of its least-squares problem like initial values. (Fixed coefficients would hand on every rough error of
a window exactly, and the next one would have to resolve it.) A window that would need too many coefficients, that is
far from solved on the grid of the one before, that does not converge quickly or gains nothing from finer grids, is cut
at the middle of its grid of time; one that was easy is followed by a longer one.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from edgewise.jets import unit
from edgewise.nn import Surface
from edgewise.pde.operators import TIME, ProblemError, Scope
from edgewise.pde.surface_equations import local_leaves
from edgewise.pde.surface_points import CellTerm, condition_terms, equation_term, face_term
from edgewise.pde.surface_run import Judged, SurfaceRun, judged, size_of
from edgewise.pde.surface_sizes import bisected, sensitivities
from edgewise.progress import TimeIsOver

FIRST = 1 / 4  # of the whole time: the first window
SHORTEST = 1e-6  # of the whole time
LEAST = 4  # intervals of time of a window
EASY = 0.5  # of the coefficients that are allowed: below, the next window is longer
GROWTH = 2.0  # of the length of windows, at most
BLAMED = 0.3  # of the greatest blame: axes above it are refined together
QUICK = 8  # Gauss-Newton steps in which a window must have converged; a longer one starts too far away, and is cut
FAR = 0.02  # an error of a window on the grid of the one before, above which it is cut and not refined
GAIN = 0.5  # a refinement that leaves more than this share of the residual gained nothing
FUTILE = 3  # such refinements in a row that end the attempts where no window can be cut


def march(run: SurfaceRun, windows: int | None) -> None:
    """Solve a problem window by window, or at once without windows.

    Raises:
        ProblemError: the time was up before the coarsest surface was solved.
    """
    try:
        _march(run, windows)
    except TimeIsOver:
        if not run.models:
            raise ProblemError(
                f"the time limit of {run.budget.seconds:g} s was over before the coarsest surface was solved: give "
                "more seconds, fewer intervals in Surfaces(intervals=...), or another method"
            ) from None
        run.doubts.append("the time was up within a window: later values continue the last one")


def _march(run: SurfaceRun, windows: int | None) -> None:
    if windows is None:
        surface, found, _ = _refined(run, run.coarsest(), None)
        _accept(run, surface, found, 1.0)
        return
    axis = run.problem.domain.coordinates.index(TIME)
    begin, end = run.problem.domain.bounds[axis]
    longest = (end - begin) / windows
    length, now, before = min(longest, max(FIRST * (end - begin), 0.0)), begin, None
    while now < end:
        if run.budget.over and run.models:
            run.doubts.append(f"the time was up at t = {now:g}: later values continue the last window")
            return
        parts = max(1, math.ceil((end - now) / length - 0.5))
        stop = end if parts == 1 else now + (end - now) / parts
        surface = _first(run, axis, stop) if before is None else _next(before, axis, now, stop)
        surface, found, done = _refined(run, surface, before, cut=stop - now > SHORTEST * (end - begin))
        if not done:
            middle = surface.grids[axis][(len(surface.grids[axis]) - 1) // 2]
            length = float(middle) - now
            continue
        _accept(run, surface, found, (stop - now) / (end - begin))
        if stop < end:
            run.ends.append(stop)
        share = surface.coef.numel() / run.method.most
        length = min(longest, (stop - now) * min(GROWTH, max(1.0, EASY / share)))
        before, now = surface, stop


def _refined(
    run: SurfaceRun, surface: Surface, before: Surface | None, *, cut: bool = False
) -> tuple[Surface, Judged, bool]:
    """Solve on finer and finer grids; whether the result is to be kept, or the window to be cut.

    `before` is the surface of the window before, which this one continues.
    """
    best, kept, futile = math.inf, None, 0
    while True:
        terms = [equation_term(run.problem, surface), *condition_terms(run.problem, surface, start=before is None)]
        if before is not None:
            terms.append(_continuation(run, before, surface))
        equations = run.equations(surface, terms)
        most = min(run.method.steps, QUICK) if cut else run.method.steps
        try:
            steps = equations.minimize(most)
        except TimeIsOver:
            if kept is None:
                raise
            return *kept, True
        found = judged(run, surface, equations)
        run.noted(surface, found, steps)
        futile = 0 if found.error < GAIN * best else futile + 1
        if found.error < best or kept is None:
            best, kept = found.error, (surface, found)
        if best <= run.method.tolerance or run.budget.over:
            return *kept, True
        if futile >= (1 if cut else FUTILE) or (cut and steps == QUICK):
            return *kept, not cut
        if cut and before is not None and best > FAR:
            return *kept, False
        finer = _finer(run, surface, found)
        if finer.coef.numel() > run.method.most:
            return (surface, found, False) if cut else (*kept, True)
        surface = finer


def _finer(run: SurfaceRun, surface: Surface, found: Judged) -> Surface:
    """The same function on grids that are halved where the residual lies, along the axes that are to blame."""
    blame = [float(c.norm()) for c in found.cells]
    grids = list(surface.grids)
    for j, size in enumerate(blame):
        if size >= BLAMED * max(blame):
            grids[j] = bisected(grids[j], found.cells[j], run.method.tolerance / 2, found.orders[j])
    return surface.on(grids)


def _accept(run: SurfaceRun, surface: Surface, found: Judged, share: float) -> None:
    """Keep a window."""
    run.models.append(surface)
    run.size = max(run.size, size_of(surface))
    run.estimate += share * found.error
    for name, value in found.relative.items():
        run.relative[name] = max(run.relative.get(name, 0.0), value)
    if found.error > 10 * run.method.tolerance:
        where = f"window {len(run.models) - 1}" if len(run.models) > 1 or share < 1 else "the surface"
        run.doubts.append(
            f"the estimated error of {where} is {found.error:.1e} with {surface.coef.numel()} coefficients: allow more "
            "with `most`, or a larger tolerance"
        )


def _first(run: SurfaceRun, axis: int, stop: float) -> Surface:
    """The coarsest surface, up to a time."""
    surface = run.coarsest()
    grids = list(surface.grids)
    start = float(grids[axis][0])
    grids[axis] = torch.linspace(start, stop, len(grids[axis]), dtype=torch.float64)
    return Surface(grids, surface.outputs, degree=surface.degree, periodic=surface.periodic)


def _next(before: Surface, axis: int, start: float, stop: float) -> Surface:
    """A surface of the next window, constant in time from the end of the one before."""
    grids = list(before.grids)
    last = float(grids[axis].diff()[-1])
    intervals = min(max(LEAST, math.ceil((stop - start) / last)), max(LEAST, len(grids[axis]) - 1))
    grids[axis] = torch.linspace(start, stop, intervals + 1, dtype=torch.float64)
    surface = Surface(grids, before.outputs, degree=before.degree, periodic=before.periodic)
    coef, old = surface.coef.data.movedim(axis, 0), before.coef.data.movedim(axis, 0)
    coef.copy_(old[-1:].expand_as(coef))
    return surface


def _continuation(run: SurfaceRun, before: Surface, surface: Surface) -> CellTerm:
    """The fields, and their rates, are at the start what they were at the end of the window before."""
    problem, axis = run.problem, run.problem.domain.coordinates.index(TIME)
    names = [
        (f, unit(surface.variables, axis, n))
        for f, m in zip(problem.fields, _time_orders(run, surface, axis), strict=True)
        for n in range(m)
    ]

    def residual(scope: Scope) -> tuple[Tensor, ...]:
        return tuple(scope[f].at(a) - scope.get(f"_{f}{sum(a)}", 0.0) for f, a in names)

    term = face_term("continued", residual, f"{TIME}-", problem, surface)
    known = local_leaves(problem, before, term, {}, slice(None)).leaves
    return dataclasses.replace(term, columns={f"_{f}{sum(a)}": known[f, a] for f, a in names})


def _time_orders(run: SurfaceRun, surface: Surface, axis: int) -> list[int]:
    """The order of the time derivative of every field in the equation."""
    known = sensitivities(run.problem, surface, equation_term(run.problem, surface), run.unknowns)
    pairs = [(f, a[axis]) for s in known for f, a in s.slopes if len(a) > axis]
    return [max((m for f, m in pairs if f == name), default=0) for name in run.problem.fields]
