"""Cut time into windows: each starts from the fields at the end of the one before it."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from edgewise.nn import KAN, Affine
from edgewise.pde.conditions import Condition
from edgewise.pde.operators import TIME, ProblemError, Scope
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution


def window_ends(problem: Problem, windows: int | Sequence[float]) -> tuple[float, ...]:
    """The end of every window of time but the last, from their number or as given; () for one window.

    Raises:
        ProblemError: the time of this problem cannot be cut, or not there.
    """
    if isinstance(windows, int) and windows < 1:
        raise ProblemError(f"windows must be at least 1, got {windows}")
    if windows == 1:
        return ()
    if TIME not in problem.domain.coordinates or not any(c.on == f"{TIME}-" for c in problem.conditions):
        raise ProblemError("windows cut time: the domain needs a coordinate `t` and an `initial` condition")
    if problem.ansatz is not None and TIME in problem.ansatz.__code__.co_varnames:
        raise ProblemError("windows need a soft initial condition; this ansatz depends on t")
    begin, end = _span(problem)
    problem.domain.during(begin, end)  # refuses what cannot be cut
    if isinstance(windows, int):
        return tuple(torch.linspace(begin, end, windows + 1, dtype=torch.float64).tolist()[1:-1])
    ends = tuple(float(t) for t in windows)
    if any(not a < b for a, b in itertools.pairwise((begin, *ends, end))):
        raise ProblemError(f"windows are cut at increasing times between {begin:g} and {end:g}, got {list(windows)}")
    return ends


def cut(problem: Problem, ends: Sequence[float], done: Sequence[Solution]) -> Iterator[Problem]:
    """The problem in every window of time; each continues the last solution in `done`, which the caller appends."""
    if not ends:
        yield problem
        return
    begin, end = _span(problem)
    for n, (start, stop) in enumerate(itertools.pairwise((begin, *ends, end))):
        conditions = problem.conditions if n == 0 else [_continued(c, done[-1]) for c in problem.conditions]
        unknowns = problem.unknowns if n == 0 else done[-1].unknowns
        domain = problem.domain.during(start, stop)
        yield dataclasses.replace(problem, domain=domain, conditions=conditions, unknowns=unknowns)


def moved(model: nn.Module, old: Problem, new: Problem) -> nn.Module:
    """A copy of the model whose values in the new window are those at the same relative time in the old one."""
    model = copy.deepcopy(model)
    units = model.input_affine if isinstance(model, KAN) else next(iter(model.children()))
    assert isinstance(units, Affine)  # `checked_model` has put it there
    (low, high), (new_low, new_high) = old.input_bounds().T, new.input_bounds().T
    ratio = (high - low) / (new_high - new_low)
    units.shift += units.scale * (low - new_low * ratio)
    units.scale *= ratio
    return model


def joined(problem: Problem, ends: Sequence[float], parts: Sequence[Solution]) -> Solution:
    """One solution of all windows."""
    if len(parts) == 1:
        return parts[0]
    bad = [n for n, p in enumerate(parts) if not p.solved]
    message = parts[-1].message if not bad else f"{parts[bad[0]].message} (window {bad[0]})"
    names = dict.fromkeys(name for p in parts for name in p.relative_residuals)
    estimates = [p.error_estimate for p in parts if p.error_estimate is not None]
    return Solution(
        problem,
        tuple(p.model for p in parts),
        tuple(ends),
        parts[-1].unknowns,
        tuple(stage for p in parts for stage in p.history),
        all(p.converged for p in parts),
        message,
        max(estimates, default=None),
        {name: max(p.relative_residuals.get(name, 0.0) for p in parts) for name in names},
        tuple(dict.fromkeys(doubt for p in parts for doubt in p.doubts)),
    )


def _continued(part: Condition, before: Solution) -> Condition:
    """The condition in the next window: at its start, the fields are those at the end of the window before."""
    if part.on != f"{TIME}-":
        return part
    problem = before.problem
    used, _ = problem.rehearse(part.residual, boundary=True)
    names = sorted({(field, index) for field, index in used})

    def residual(scope: Scope) -> tuple[Tensor, ...]:
        x = torch.stack([scope[c] for c in problem.domain.coordinates], -1)
        algebra = problem.algebra(part.residual, boundary=True)
        with torch.no_grad():
            reached = problem.jets(before.model, x, algebra)
        return tuple(scope[f].at(index) - reached[f].derivative(index) for f, index in names)

    return dataclasses.replace(part, residual=residual, given=None)


def _span(problem: Problem) -> tuple[float, float]:
    """The start and the end of time."""
    return problem.domain.bounds[problem.domain.coordinates.index(TIME)]
