r"""Gauss points of a surface: where the residuals of a problem on a box are squared, with the weights of an integral.

Along every axis each interval of the grid has m points of Gauss and Legendre, so that
$\sum_q w_q r(x_q)^2 \approx \frac{1}{|\Omega|} \int_\Omega r^2$. There are three points for every
interval and half as many points again as functions, or more.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.nn import Surface
from edgewise.pde.domains import Box
from edgewise.pde.operators import TIME, ProblemError, Scope
from edgewise.pde.problem import Problem

OVERSAMPLING = 1.5  # points of an axis for every function, and
LEAST = 3  # for every interval: with two the residual between them would not be seen


@dataclass(frozen=True)
class CellTerm:
    """A residual and its points, cell by cell: in a cell the functions that do not vanish are the same.

    Attributes:
        name: for messages.
        residual: from the names known at the points.
        lines: the coordinates that points have along every axis.
        at: the places of the coordinates of every point in these, (cells, rows) for every axis.
        weights: of the squared residuals, (cells, rows); they sum to 1.
        normal: the outward normal, or None.
        columns: further values known at the points, (cells * rows).
        grid: the cells along every axis, 1 across a face; () for points that are given.
        each: the points of a cell along every axis, likewise.
    """

    name: str
    residual: Callable[[Scope], Any]
    lines: tuple[Float[Tensor, " coordinates"], ...]
    at: tuple[Int[Tensor, "cells rows"], ...]
    weights: Float[Tensor, "cells rows"]
    normal: Float[Tensor, " d"] | None
    columns: dict[str, Tensor]
    grid: tuple[int, ...] = ()
    each: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Cells, and rows of each."""
        cells, rows = self.weights.shape
        return cells, rows

    def points(self, cells: slice = slice(None)) -> Float[Tensor, "n d"]:
        """The points of some cells."""
        return torch.stack([line[at[cells].flatten()] for line, at in zip(self.lines, self.at, strict=True)], -1)


def periodic_axes(problem: Problem) -> tuple[int, ...]:
    """The axes along which conditions make all fields periodic, which a surface is by construction."""
    c = problem.domain.coordinates
    made = {c.index(part.on[:-1]) for part in problem.conditions if part.across is not None and part.on is not None}
    return tuple(sorted(made))


def equation_term(problem: Problem, surface: Surface, shift: float = 0.0) -> CellTerm:
    """The equation at the Gauss points of all cells; `shift` moves them, for a check between the points."""
    axes = [gauss_axis(grid, size, shift) for grid, size in zip(surface.grids, surface.sizes, strict=True)]
    return _term("equation", problem.equation_of, axes, None, problem)


def condition_terms(problem: Problem, surface: Surface, *, start: bool = True) -> list[CellTerm]:
    """The conditions that are not periodic, with or without those at the start of time."""
    terms = []
    for part in problem.conditions:
        if part.across is not None or (part.on == f"{TIME}-" and not start):
            continue
        if part.points is not None:
            n, d = part.points.shape
            weights, each = torch.full((n, 1), 1 / n, dtype=torch.float64), torch.arange(n)[:, None]
            lines = tuple(part.points.T.contiguous())
            terms.append(CellTerm(part.name, part.residual, lines, (each,) * d, weights, None, dict(part.columns)))
            continue
        faces = [part.on] if part.on != "boundary" else _sides(problem, surface)
        for face in faces:
            assert face is not None
            terms.append(face_term(part.name, part.residual, face, problem, surface))
    return terms


def check_box(problem: Problem) -> None:
    """Raise `ProblemError` for a problem that a surface cannot hold."""
    if not isinstance(problem.domain, Box):
        raise ProblemError(f"a surface is made on a Box, the domain is {problem.domain!r}; give a network instead")
    for what in ("features", "ansatz", "energy"):
        if getattr(problem, what) is not None:
            raise ProblemError(
                f"a surface needs no {what}: leave it out and state the conditions (`periodic` holds by construction)"
            )
    periodic = [part for part in problem.conditions if part.across is not None]
    for axis in {part.on for part in periodic}:
        known = {f for part in periodic if part.on == axis for f in _fields(problem, part.residual)}
        if missing := [f for f in problem.fields if f not in known]:
            raise ProblemError(f"a surface is periodic in all fields or none; add periodic for {missing[0]!r} too")


def _fields(problem: Problem, residual: Callable[[Scope], Any]) -> set[str]:
    return {name for name, _ in problem.rehearse(residual, boundary=True)[0]}


def _sides(problem: Problem, surface: Surface) -> list[str]:
    """The faces of space that are not glued together."""
    c = problem.domain.coordinates
    return [f"{name}{s}" for j, name in enumerate(c) if name != TIME and j not in surface.periodic for s in "-+"]


def face_term(name: str, residual: Callable[[Scope], Any], face: str, problem: Problem, surface: Surface) -> CellTerm:
    """A residual at the Gauss points of a face of the grid, such as "x-"."""
    axis = problem.domain.coordinates.index(face[:-1])
    axes = [gauss_axis(grid, size) for grid, size in zip(surface.grids, surface.sizes, strict=True)]
    end = float(surface.grids[axis][-1 if face.endswith("+") else 0])
    axes[axis] = torch.tensor([[end]], dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    normal = torch.zeros(len(axes), dtype=torch.float64)
    normal[axis] = 1.0 if face.endswith("+") else -1.0
    return _term(f"{name}" if name.endswith(face) else f"{name}, {face}", residual, axes, normal, problem)


def _term(
    name: str,
    residual: Callable[[Scope], Any],
    axes: Sequence[tuple[Tensor, Tensor]],
    normal: Tensor | None,
    problem: Problem,
) -> CellTerm:
    """The product of the points and the weights of all axes, (cells, rows)."""
    d = len(axes)

    def spread(values: Tensor, j: int) -> Tensor:
        shape = [1] * (2 * d)
        shape[j], shape[d + j] = values.shape
        return values.reshape(shape)

    shape = [len(x) for x, _ in axes] + [x.shape[1] for x, _ in axes]
    cells, rows = math.prod(shape[:d]), math.prod(shape[d:])
    numbers = [torch.arange(x.numel()).reshape(x.shape) for x, _ in axes]
    at = tuple(spread(n, j).expand(shape).reshape(cells, rows) for j, n in enumerate(numbers))
    weights = functools.reduce(torch.mul, [spread(w, j) for j, (_, w) in enumerate(axes)])
    weights = weights.expand(shape).reshape(cells, rows)
    lines = tuple(x.flatten() for x, _ in axes)
    return CellTerm(name, residual, lines, at, weights, normal, {}, tuple(shape[:d]), tuple(shape[d:]))


def gauss_axis(
    grid: Tensor, size: int, shift: float = 0.0
) -> tuple[Float[Tensor, "intervals m"], Float[Tensor, "intervals m"]]:
    """Points of every interval, and weights that sum to 1 over the axis."""
    m = max(LEAST, math.ceil(OVERSAMPLING * size / (len(grid) - 1)))
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(m))
    h = grid.diff()[:, None]
    points = grid[:-1, None] + h * ((nodes + 1) / 2 + shift / m).clamp(0, 1)
    return points, h * weights / 2 / (grid[-1] - grid[0])
