"""Count the conditions of a problem: what its equations leave free is refused or told with the solution."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from edgewise.jets import Index
from edgewise.pde.conditions import Condition
from edgewise.pde.operators import LAPLACIAN, TIME, ProblemError
from edgewise.pde.problem import Problem


def doubts(problem: Problem) -> tuple[str, ...]:
    """Why the problem may have many solutions, as sentences; () where nothing speaks for it.

    A field that no residual sees but for a constant is free by that constant. An equation of order m along a coordinate
    needs m conditions at the ends of it; with measured values, features or an ansatz nothing is counted. Orders of 1
    along a coordinate of space may need none, and are not counted either.

    Raises:
        ProblemError: a differential equation without conditions, measured values, features or an ansatz.
    """
    orders = _orders(problem)
    free_form = problem.features is not None or problem.ansatz is not None
    if not problem.conditions and not free_form and any(max(order, default=0) for order in orders.values()):
        raise ProblemError(
            "the problem has no conditions, so that it has many solutions; add `conditions`, such as [dirichlet(0.0)]"
        )
    found = [] if problem.ansatz is not None else list(_free_constants(problem))
    if not free_form and all(c.points is None for c in problem.conditions):
        found += _missing(problem, orders)
    return tuple(found)


def _free_constants(problem: Problem) -> Iterator[str]:
    residuals = [(problem.equation_of, False), *((c.residual, c.on is not None) for c in problem.conditions)]
    for field in problem.fields:
        seen = (_changed(problem, residual, boundary, field) for residual, boundary in residuals)
        if not any(seen):
            yield (
                f"{field} is determined up to a constant only (if the conditions are compatible): add a condition for "
                f"its value, such as observe([[...]], [0.0], field={field!r})"
            )


def _changed(problem: Problem, residual, boundary: bool, field: str) -> bool:
    """Whether a constant added to the field changes the residual."""
    constant = torch.zeros((), dtype=torch.float64, requires_grad=True)
    with torch.enable_grad():
        values = problem.rehearse(residual, boundary=boundary, shift={field: constant})[1]
        slopes = [torch.autograd.grad(v.sum(), constant, retain_graph=True)[0] for v in values if v.requires_grad]
    return any(float(slope) != 0 for slope in slopes)


def _missing(problem: Problem, orders: dict[str, Index]) -> Iterator[str]:
    for field, order in orders.items():
        for axis, m in zip(problem.domain.coordinates, order, strict=True):
            given = sum(_count(problem, c, field, axis) for c in problem.conditions)
            if given >= m or (axis != TIME and m < 2) or (f"{axis}-" not in problem.domain.parts and axis == TIME):
                continue
            where, how = f"{axis}- and {axis}+", "`dirichlet`, `neumann` or `periodic`"
            if axis == TIME:
                where, how = "the start", "`initial(value)`" if m == 1 else "`initial(value, rate)`"
            yield (
                f"the equation has the derivative {field}.d{axis * m}, of {m} conditions for {field} at {where} "
                f"there {'is' if given == 1 else 'are'} {given}: add {how}"
            )


def _orders(problem: Problem) -> dict[str, Index]:
    """The highest order of the derivatives of every field along every coordinate."""
    coordinates = problem.domain.coordinates
    orders = {field: (0,) * len(coordinates) for field in problem.fields}
    for field, index in problem.rehearse(problem.equation_of, boundary=False)[0]:
        each = tuple(0 if c == TIME else 2 for c in coordinates) if index == LAPLACIAN else index
        orders[field] = tuple(map(max, orders[field], each))
    return orders


def _count(problem: Problem, part: Condition, field: str, axis: str) -> int:
    """The residuals of a condition that hold for a field at the two ends of a coordinate."""
    used, values = problem.rehearse(part.residual, boundary=True)
    if part.on is None or field not in {name for name, _ in used}:
        return 0
    faces = {f"{axis}-", f"{axis}+"} & set(problem.domain.parts)
    if part.on in faces or axis == TIME:
        return len(values) * (part.on in faces)
    around = part.on not in {f"{c}{side}" for c in problem.domain.coordinates for side in "-+"}
    return 2 * len(values) * around
