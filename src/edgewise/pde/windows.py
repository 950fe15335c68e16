"""Time cut into windows: each continues what the one before it has reached."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from edgewise.nn import KAN, Affine
from edgewise.pde.conditions import Condition
from edgewise.pde.domains import Box, Domain, Slab
from edgewise.pde.errors import ProblemError
from edgewise.pde.operators import TIME, Scope
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Solution


def cut(problem: Problem, count: int | Sequence[float], done: list[Solution]) -> Iterator[Problem]:
    """The problem in every window of time, each starting from what the one before it has reached (see `done`)."""
    if count == 1:
        yield problem
        return
    starts = [c for c in problem.conditions if c.on == f"{TIME}-"]
    if TIME not in problem.domain.coordinates or not starts:
        raise ProblemError("windows cut time: the domain needs a coordinate `t` and an `initial` condition")
    if problem.ansatz is not None and TIME in problem.ansatz.__code__.co_varnames:
        raise ProblemError("windows need a soft initial condition; this ansatz depends on t")
    begin, end = problem.domain.bounds[problem.domain.coordinates.index(TIME)]
    edges = _edges(begin, end, count)
    for n in range(len(edges) - 1):
        conditions = problem.conditions if n == 0 else [_continued(c, done[-1]) for c in problem.conditions]
        domain = _between(problem.domain, edges[n], edges[n + 1])
        unknowns = problem.unknowns if n == 0 else done[-1].unknowns
        yield dataclasses.replace(problem, domain=domain, conditions=conditions, unknowns=unknowns)


def _edges(begin: float, end: float, windows: int | Sequence[float]) -> list[float]:
    if isinstance(windows, int):
        return torch.linspace(begin, end, windows + 1, dtype=torch.float64).tolist()
    edges = [begin, *(float(t) for t in windows), end]
    if any(not a < b for a, b in itertools.pairwise(edges)):
        raise ProblemError(f"windows are cut at increasing times between {begin:g} and {end:g}, got {list(windows)}")
    return edges


def _continued(part: Condition, before: Solution) -> Condition:
    """The condition in the next window: at its start, what holds is where the one before has ended."""
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


def moved(model: nn.Module, old: Problem, new: Problem) -> nn.Module:
    """A copy whose inputs in the new window are taken for those at the same place in the old one."""
    model = copy.deepcopy(model)
    units = model.input_affine if isinstance(model, KAN) else next(iter(model.children()))
    assert isinstance(units, Affine)
    (low, high), (new_low, new_high) = old.input_bounds().T, new.input_bounds().T
    ratio = (high - low) / (new_high - new_low)
    units.shift += units.scale * (low - new_low * ratio)
    units.scale *= ratio
    return model


def _between(domain: Domain, start: float, end: float) -> Domain:
    if isinstance(domain, Slab):
        return Slab(domain.space, t=(start, end))
    if not isinstance(domain, Box):
        raise ProblemError(f"windows cut a Box or a Slab, not {domain!r}")
    return Box(**dict(zip(domain.coordinates, domain.bounds, strict=True)) | {TIME: (start, end)})


def joined(problem: Problem, parts: list[Solution]) -> Solution:
    """One solution of all windows."""
    if len(parts) == 1:
        return parts[0]
    ends = tuple(p.problem.domain.bounds[p.problem.domain.coordinates.index(TIME)][1] for p in parts[:-1])
    bad = [n for n, p in enumerate(parts) if not p.converged]
    message = parts[-1].message if not bad else f"window {bad[0]}: {parts[bad[0]].message}"
    estimates = [p.error_estimate for p in parts if p.error_estimate is not None]
    return Solution(
        problem,
        tuple(p.model for p in parts),
        ends,
        parts[-1].unknowns,
        tuple(stage for p in parts for stage in p.history),
        not bad,
        message,
        max(estimates, default=None),
    )
