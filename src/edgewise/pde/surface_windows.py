r"""Refine a surface until its tolerance is met, and cut time into windows where one surface is not enough.

A grid is fine enough when the estimate of `edgewise.pde.surface_checks` is below the tolerance, or below the share of
half of it that belongs to the length of a window (a quarter for short ones); the residual says where the next grid is
finer. The next window begins with the widths that its predecessor would have needed (`regraded`).

A window begins with the fields, and their rates where the equation is of second order in time, at the end of the one
before: a term of its least-squares problem like initial values. (Fixed coefficients would hand on every rough error of
a window exactly, and the next one would have to resolve it.) A window that would need too many coefficients, that is
far from solved on the grid of the one before, that does not converge quickly or gains nothing from finer grids, is cut
at the middle of its grid of time; one that was easy is followed by a longer one.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.jets import unit
from edgewise.nn import Surface
from edgewise.pde.operators import TIME, ProblemError, Scope
from edgewise.pde.surface_checks import Before, Checked, Terms, carried, checked, distance
from edgewise.pde.surface_equations import SurfaceEquations, local_leaves
from edgewise.pde.surface_identified import determined
from edgewise.pde.surface_points import CellTerm, condition_terms, equation_term, face_term
from edgewise.pde.surface_run import Judged, Sums, SurfaceRun, judged
from edgewise.pde.surface_sizes import bisected, regraded, sensitivities
from edgewise.pde.surface_steps import Ended, minimize
from edgewise.progress import TimeIsOver

FIRST = 1 / 4  # of the whole time: the first window
SHORTEST = 1e-6  # of the whole time
LEAST = 4  # intervals of time of a window
EASY = 0.5  # of the coefficients that are allowed: below, the next window is longer
GROWTH = 2.0  # of the length of windows, at most
BLAMED = 0.3  # of the greatest blame: axes above it are refined together
QUICK = 8  # Gauss-Newton steps in which a window must have converged; a longer one starts too far away, and is cut
FAR = 0.02  # a residual of a window on the grid of the one before, above which it is cut and not refined
ONCE = 1 / 4  # the share of the tolerance that a short window may use up
HANDED_ON = 0.5  # of the tolerance for what windows add: errors may grow until the end
ROUNDING = 1e-10  # a residual over its terms below which further steps only move rounding errors
NARROWER = (0.4, 1.0)  # the factors of widths where less than halves are needed
WIDER = (0.8, 2.0)  # the factors of widths from one window to the next
GAIN = 0.5  # a refinement that leaves more than this share of the residual gained nothing
FUTILE = 3  # such refinements in a row that end the attempts where no window can be cut


@dataclass(frozen=True)
class Window:
    """A surface that was solved on a grid.

    Attributes:
        surface: the fields.
        ended: how the steps ended.
        judged: what its residuals say.
        checked: its correction; None where it was not worth its time.
        rate: its estimated error, as if all of the time were like this window.
        unknowns: their values.
    """

    surface: Surface
    ended: Ended
    judged: Judged
    checked: Checked | None
    rate: float
    unknowns: dict[str, float]


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
        window, _ = _refined(run, run.coarsest(), None, 1.0)
        run.unknowns.update(window.unknowns)
        _accept(run, window, None, 1.0)
        if window.checked is not None and not run.budget.over:
            terms = _terms(run)(window.surface, None)
            run.determined = determined(run.equations(window.surface, terms))
        return
    axis = run.problem.domain.coordinates.index(TIME)
    begin, end = run.problem.domain.bounds[axis]
    longest = (end - begin) / windows
    length, now, before, spared, coarsest = min(longest, FIRST * (end - begin)), begin, None, None, run.coarsest()
    while now < end:
        if run.budget.over and before is not None:
            run.doubts.append(f"the time was up at t = {now:g}: later values are those of that time")
            run.models.append(_next(before.surface, axis, now, end))
            return
        parts = max(1, math.ceil((end - now) / length - 0.5))
        stop = end if parts == 1 else now + (end - now) / parts
        surface = (
            _first(run, coarsest, axis, stop) if before is None else _next(spared or before.surface, axis, now, stop)
        )
        share, cut = (stop - now) / (end - begin), stop - now > SHORTEST * (end - begin)
        window, done = _refined(run, surface, before, share, cut=cut)
        if not done:
            grid = window.surface.grids[axis]
            length, coarsest = float(grid[(len(grid) - 1) // 2]) - now, window.surface
            continue
        if run.budget.over and not window.ended.settled and before is not None:
            continue
        before = _accept(run, window, before, share)
        spared = _regraded(run, window, run.method.tolerance * HANDED_ON)
        if stop < end:
            run.ends.append(stop)
        filled = window.surface.coef.numel() / run.method.most
        length = min(longest, (stop - now) * min(GROWTH, max(1.0, EASY / filled)))
        now = stop


def _refined(
    run: SurfaceRun, surface: Surface, before: Before | None, share: float, *, cut: bool = False
) -> tuple[Window, bool]:
    """Solve on finer and finer grids; whether the result is to be kept, or the window to be cut.

    `before` is the window before, which this one continues; `share` is its part of the whole time.
    """
    best, futile = None, 0
    tolerance = run.method.tolerance * (HANDED_ON if cut else 1.0)
    while True:
        try:
            window = _solved(run, surface, before, share, min(run.method.steps, QUICK) if cut else run.method.steps)
        except TimeIsOver:
            if best is None:
                raise
            return best, True
        gained = best is None or window.rate < GAIN * best.rate
        futile = 0 if gained else futile + 1
        best = window if best is None or window.rate < best.rate else best
        if best.rate <= tolerance or run.budget.over:
            return best, True
        hasty = cut and _late(run, window)
        if futile >= (1 if hasty else FUTILE) or (cut and not window.ended.settled):
            return best, not cut
        if hasty and before is not None and window.judged.residual > FAR:
            return best, False
        finer = _finer(surface, window, tolerance, before)
        if finer.coef.numel() > run.method.most:
            return (window, False) if cut else (best, True)
        surface = finer


def _late(run: SurfaceRun, window: Window) -> bool:
    """Whether time is to blame for the residual, so that a shorter window would help."""
    blame = [float(c.norm()) for c in window.judged.cells]
    return blame[run.problem.domain.coordinates.index(TIME)] >= BLAMED * max(blame)


def _solved(run: SurfaceRun, surface: Surface, before: Before | None, share: float, steps: int) -> Window:
    """A surface solved on its grid, in place, and how far it is from the solution."""
    terms = _terms(run)
    equations = run.equations(surface, terms(surface, None if before is None else before.surface))
    ended = minimize(equations, steps)
    found = judged(run, surface, equations)
    run.noted(surface, found, ended.steps)
    if max(found.relative.values()) < ROUNDING or found.residual <= run.method.tolerance:
        # More steps would only move rounding errors, which the correction counts as well.
        ended = dataclasses.replace(ended, settled=True)
    if run.budget.over or not ended.settled:
        return Window(surface, ended, found, None, found.residual, dict(run.unknowns))
    try:
        check = checked(run, surface, before, terms, ended.loss)
    except TimeIsOver:
        return Window(surface, ended, found, None, found.residual, dict(run.unknowns))
    return Window(surface, ended, found, check, _rate(check.sums, run, share), dict(run.unknowns))


def _rate(sums: Sums, run: SurfaceRun, share: float) -> float:
    """The relative error that a window adds, over its share of the time, or over a quarter where that is more.

    Both are root mean squares; that of the fields is the largest so far, of this window or of all before. What is due
    to rough initial values is added once, however short the window.
    """
    behind = run.sums.fields / run.covered if run.covered > 0 else 0.0
    return Sums(sums.error / share, max(sums.fields / share, behind)).relative / max(share, ONCE)


def _terms(run: SurfaceRun) -> Terms:
    def terms(surface: Surface, start: Surface | None) -> list[CellTerm]:
        made = [equation_term(run.problem, surface), *condition_terms(run.problem, surface, start=start is None)]
        return made if start is None else [*made, _continuation(run, start, surface)]

    return terms


def _finer(surface: Surface, window: Window, tolerance: float, before: Before | None) -> Surface:
    """About the same function on grids that are finer where the residual lies, along the axes that are to blame.

    Intervals are halved; where a window that continues one needs less than that, they are made as much narrower.
    """
    cells, residual = window.judged.cells, window.judged.residual
    blame = [float(c.norm()) for c in cells]
    grids = list(surface.grids)
    target = tolerance / 2 * residual / window.rate if window.rate > 0 else tolerance / 2
    for j, size in enumerate(blame):
        if size >= BLAMED * max(blame):
            little = before is not None and size < target * 2.0**surface.degree
            made = regraded(grids[j], cells[j], target, surface.degree, NARROWER) if little else grids[j]
            grids[j] = made if len(made) > len(grids[j]) else bisected(grids[j], cells[j], target)
    return surface.on(grids)


def _regraded(run: SurfaceRun, window: Window, tolerance: float) -> Surface:
    """About the same function on grids for the next window: coarser where this one had more than it needed."""
    surface, found = window.surface, window.judged
    if not 0 < window.rate < tolerance:
        return surface
    target, grids = tolerance / 2 * found.residual / window.rate, []
    for j, (grid, errors) in enumerate(zip(surface.grids, found.cells, strict=True)):
        made = regraded(grid, errors, target, surface.degree, WIDER)
        grids.append(made if len(made) > (surface.degree + 2 if j in surface.periodic else LEAST) else grid)
    return surface.on(grids)


def _accept(run: SurfaceRun, window: Window, before: Before | None, share: float) -> Before:
    """Keep a window; what the next one continues."""
    surface, check = window.surface, window.checked
    if check is not None and before is not None:
        check = carried(run, surface, before, check, lambda start, s: _continuation(run, start, s))
    if check is None:
        _, fields = distance(surface, surface)
        run.accept(surface, window.judged, Sums(window.rate**2 * fields, fields), share, settled=window.ended.settled)
        return Before(surface, surface, 1.0)
    run.accept(surface, window.judged, check.sums, share, settled=window.ended.settled)
    return Before(surface, check.better, check.factor)


def _first(run: SurfaceRun, tried: Surface, axis: int, stop: float) -> Surface:
    """A surface up to a time, constant from the initial values, on the grids of space of one that was tried before."""
    grids = list(tried.grids)
    grids[axis] = torch.linspace(float(grids[axis][0]), stop, len(grids[axis]), dtype=torch.float64)
    surface = Surface(grids, tried.outputs, degree=tried.degree, periodic=tried.periodic)
    layers = surface.coef.data.movedim(axis, 0)
    free = torch.zeros_like(surface.coef, dtype=torch.bool)
    free.movedim(axis, 0)[:2] = True  # the first layer has the values, the second the rates
    starts = [t for t in condition_terms(run.problem, surface) if t.name.endswith(f"{TIME}-")]
    equations = SurfaceEquations(run.problem, surface, [run.weighted(surface, t) for t in starts], free=free)
    equations.moved(*equations.system().solution())
    layers.copy_(layers[:1].expand_as(layers).clone())
    return surface


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
