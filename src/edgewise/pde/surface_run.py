r"""Hold what the windows of a surface share, and judge a surface by its residuals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import Surface
from edgewise.pde.operators import TIME
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Stage
from edgewise.pde.solve_methods import Surfaces
from edgewise.pde.surface_equations import SurfaceEquations, Weighted
from edgewise.pde.surface_points import CellTerm, periodic_axes
from edgewise.pde.surface_sizes import order_of, roughness, sensitivities, unit
from edgewise.progress import Budget, Event, Listener


@dataclass
class SurfaceRun:
    """What all windows of a solve share."""

    problem: Problem
    method: Surfaces
    budget: Budget
    progress: Listener | None
    over: float | None
    unknowns: dict[str, float]
    stages: list[Stage] = field(default_factory=list)
    models: list[Surface] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    estimate: float = 0.0
    relative: dict[str, float] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    size: float = 0.0

    def coarsest(self) -> Surface:
        """A surface of zeros on the grids at first."""
        periodic, degree = periodic_axes(self.problem), self.method.degree
        counts = [
            max(self.method.intervals, degree + 1) if j in periodic else self.method.intervals
            for j in range(len(self.problem.domain.bounds))
        ]
        grids = [
            torch.linspace(a, b, n + 1, dtype=torch.float64)
            for (a, b), n in zip(self.problem.domain.bounds, counts, strict=True)
        ]
        return Surface(grids, len(self.problem.fields), degree=degree, periodic=periodic)

    def weighted(self, surface: Surface, term: CellTerm) -> Weighted:
        """The term in units of the error that it stands for."""
        found = sensitivities(self.problem, surface, term, self.unknowns)
        over = self.over if term.name == "equation" else None
        return Weighted(term, torch.tensor([unit(self.problem, s, over) ** -2.0 for s in found], dtype=torch.float64))

    def equations(self, surface: Surface, terms: list[CellTerm], free: Tensor | None = None) -> SurfaceEquations:
        """The least-squares problem of some terms."""
        weighted = [self.weighted(surface, term) for term in terms]
        return SurfaceEquations(self.problem, surface, weighted, free=free, unknowns=self.unknowns, budget=self.budget)

    def noted(self, surface: Surface, found: Judged, steps: int) -> None:
        """Record a solve on one grid, and tell the listener."""
        name = f"{' x '.join(str(len(g) - 1) for g in surface.grids)} intervals"
        parameters, loss, window = surface.coef.numel(), found.error**2, len(self.models)
        self.stages.append(Stage(name, parameters, steps, loss, loss, found.plain, self.budget.spent, window))
        if self.progress is not None:
            done = self.done(surface)
            self.progress(Event(name, max(done, self.budget.fraction), f"estimated error {found.error:.1e}"))

    def done(self, surface: Surface) -> float:
        """The share of the time of the problem that is behind."""
        if not self.models:
            return 0.0
        axis = self.problem.domain.coordinates.index(TIME)
        begin, end = self.problem.domain.bounds[axis]
        return (float(surface.grids[axis][0]) - begin) / (end - begin)


@dataclass(frozen=True)
class Judged:
    """What the residuals of a surface say.

    Attributes:
        error: the estimated relative error.
        cells: for every axis, the share of every interval in what its grid adds to the error; squares are added.
        orders: for every axis, the order of convergence of the residual.
        relative: of every term, its residual over what it is a sum of.
        plain: the root mean square of the residuals of every term.
    """

    error: float
    cells: tuple[Float[Tensor, " intervals"], ...]
    orders: tuple[int, ...]
    relative: dict[str, float]
    plain: dict[str, float]


def judged(run: SurfaceRun, surface: Surface, equations: SurfaceEquations) -> Judged:
    """What the residuals say."""
    size = max(run.size, size_of(surface))
    axes, cells = range(surface.variables), [torch.zeros(len(g) - 1, dtype=torch.float64) for g in surface.grids]
    error, relative, plain, orders = 0.0, {}, {}, [1] * len(axes)
    for weighted in equations.terms:
        term, factor = weighted.term, weighted.factor
        r = equations.residuals(term)
        squares = r.square()
        known = sensitivities(run.problem, surface, term, run.unknowns)
        mean = (term.weights * squares).flatten(1).sum(1).sqrt()
        usual = [max(s.terms, unit(run.problem, s, None) * size) for s in known]  # a condition may be all zeros
        ratios = [float(m) / n for m, n in zip(mean, usual, strict=True)]
        name = term.name.split(", ")[0]
        relative[name] = max(relative.get(name, 0.0), *ratios)
        plain[name] = max(plain.get(name, 0.0), float(mean.max()))
        weights = factor[:, None, None] * term.weights / size**2
        error += float((weights * squares).sum())
        for j in axes:
            if term.grid and term.grid[j] == len(cells[j]):
                cells[j] += roughness(r, weights, term, j)
                orders[j] = max(orders[j], *(order_of(run.problem, s, j) for s in known))
    rates = tuple(surface.degree + 1 - m for m in orders)
    return Judged(math.sqrt(error), tuple(c.sqrt() for c in cells), rates, relative, plain)


def size_of(surface: Surface) -> float:
    """The root mean square of the coefficients: about that of the fields."""
    return float(surface.coef.detach().square().mean().sqrt()) or 1.0
