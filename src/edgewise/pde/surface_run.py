r"""Hold what the windows of a surface share, and judge a surface by its residuals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import Surface
from edgewise.pde.operators import TIME
from edgewise.pde.problem import Problem
from edgewise.pde.solution import Stage
from edgewise.pde.solve_methods import Surfaces
from edgewise.pde.surface_equations import SurfaceEquations, Weighted
from edgewise.pde.surface_identified import DATA, Determined, is_data
from edgewise.pde.surface_points import CellTerm, periodic_axes
from edgewise.pde.surface_sizes import boundary_factor, highest_order, roughness, sensitivities, unit
from edgewise.progress import Budget, Event, Listener

TINY = 1e-100  # a unit of residuals, at least: far from a solution a slope may vanish


@dataclass(frozen=True)
class Sums:
    """Integrals over what is solved: of the squared error, as estimated, and of the squared fields."""

    error: float
    fields: float

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.error + other.error, self.fields + other.fields)

    @property
    def relative(self) -> float:
        """The relative L2 error; 0 where all is 0."""
        return math.sqrt(self.error / self.fields) if self.fields > 0 else math.sqrt(self.error)


@dataclass
class SurfaceRun:
    """What all windows of a solve share."""

    problem: Problem
    method: Surfaces
    budget: Budget
    progress: Listener | None
    over: float | None
    unknowns: dict[str, float]
    start: Surface | None = None
    stages: list[Stage] = field(default_factory=list)
    models: list[Surface] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    settled: bool = True
    covered: float = 0.0  # the share of the time that is solved
    sums: Sums = field(default_factory=lambda: Sums(0.0, 0.0))
    relative: dict[str, float] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    determined: Determined | None = None
    size: float = 0.0

    def coarsest(self) -> Surface:
        """What is solved at first: a copy of the surface to begin with, or zeros on coarse grids."""
        if self.start is not None:
            return self.start.on(self.start.grids, degree=self.method.degree)
        periodic, axes = periodic_axes(self.problem), range(len(self.problem.domain.bounds))
        order = max(highest_order(self.problem, j) for j in axes)
        degree, intervals = self.method.start(len(axes), order)
        counts = [max(intervals, degree + 2) if j in periodic else intervals for j in axes]
        grids = [
            torch.linspace(a, b, n + 1, dtype=torch.float64)
            for (a, b), n in zip(self.problem.domain.bounds, counts, strict=True)
        ]
        return Surface(grids, len(self.problem.fields), degree=degree, periodic=periodic)

    def weighted(self, surface: Surface, term: CellTerm) -> Weighted:
        """The term in units of the error that it stands for."""
        found = sensitivities(self.problem, surface, term, self.unknowns)
        over = self.over if term.name == "equation" else None
        units = torch.tensor([unit(self.problem, s, over) for s in found], dtype=torch.float64)
        factor = 1.0 if term.name == "equation" else boundary_factor(self.problem, surface, term)
        weighted = Weighted(term, factor * units.clamp(min=TINY) ** -2)
        if self.unknowns and is_data(weighted):
            return replace(weighted, factor=DATA * weighted.factor)
        return weighted

    def equations(
        self, surface: Surface, terms: list[CellTerm], unknowns: dict[str, float] | None = None
    ) -> SurfaceEquations:
        """The least-squares problem of some terms, over the unknowns of the run or over others."""
        weighted = [self.weighted(surface, term) for term in terms]
        unknowns = self.unknowns if unknowns is None else unknowns
        return SurfaceEquations(self.problem, surface, weighted, unknowns=unknowns, budget=self.budget)

    def noted(self, surface: Surface, found: Judged, steps: int) -> None:
        """Record a solve on one grid, and tell the listener."""
        name = f"{' x '.join(str(len(g) - 1) for g in surface.grids)} intervals"
        parameters, loss, window = surface.coef.numel(), found.residual**2, len(self.models)
        self.stages.append(Stage(name, parameters, steps, loss, loss, found.plain, self.budget.spent, window))
        if self.progress is not None:
            done = self.done(surface)
            self.progress(Event(name, max(done, self.budget.fraction), f"residual {found.residual:.1e}"))

    def accept(self, surface: Surface, found: Judged, sums: Sums, share: float, *, settled: bool) -> None:
        """Keep a window, which is this share of the whole time."""
        self.models.append(surface)
        self.size = max(self.size, size_of(surface))
        self.sums, self.covered, self.settled = self.sums + sums, self.covered + share, self.settled and settled
        for name, value in found.relative.items():
            self.relative[name] = max(self.relative.get(name, 0.0), value)

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
        residual: of all terms together, in units of the relative error that it stands for at most.
        cells: for every axis, the share of every interval in what its grid adds to the residual; squares are added.
        relative: of every term, its residual over what it is a sum of.
        plain: the root mean square of the residuals of every term.
    """

    residual: float
    cells: tuple[Float[Tensor, " intervals"], ...]
    relative: dict[str, float]
    plain: dict[str, float]


def judged(run: SurfaceRun, surface: Surface, equations: SurfaceEquations) -> Judged:
    """What the residuals say."""
    size = max(run.size, size_of(surface))
    axes, cells = range(surface.variables), [torch.zeros(len(g) - 1, dtype=torch.float64) for g in surface.grids]
    error, relative, plain = 0.0, {}, {}
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
    return Judged(math.sqrt(error), tuple(c.sqrt() for c in cells), relative, plain)


def size_of(surface: Surface) -> float:
    """The root mean square of the coefficients: about that of the fields."""
    return float(surface.coef.detach().square().mean().sqrt()) or 1.0
