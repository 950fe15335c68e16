"""Solve a problem by collocation: Gauss-Newton on the residuals, coarse grids first, several starts.

The recipe, every part of it measured: search with few intervals and few points over several starts; continue the best;
fit the grids of all layers to what they see, with some room, then refine; draw fresh points before every round, half of
them where the residual is large; weigh conditions by the size of their Jacobian; keep the round that is best at points
that were not trained on.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn import KANLinear
from edgewise.optim.least_squares import levenberg_marquardt
from edgewise.pde.adaptive import adapted_term
from edgewise.pde.causal import causal_term, check_causal
from edgewise.pde.energy import Energy, check_energy
from edgewise.pde.errors import ProblemError
from edgewise.pde.first_networks import MARGIN, ROUGHNESS, checked_model, redrawn
from edgewise.pde.grading import check_grading, grade_, graded_terms
from edgewise.pde.least_squares import Collocation
from edgewise.pde.problem import Problem, Term
from edgewise.pde.solution import Solution, Stage, relative_error
from edgewise.pde.windows import cut, joined, moved
from edgewise.progress import Budget
from edgewise.surgery import adapt_grid_, refine

logger = logging.getLogger(__name__)

GAUSS_NEWTON_MOST, LBFGS_MOST = 4000, 40_000  # parameters up to which each is the choice of "auto"
SEARCH = "search"  # how the names of its rounds begin
UNRESOLVED = 0.05  # relative distance of the last two states from which on a message warns
OPTIMIZERS = ("auto", "gauss-newton", "self-scaled-bfgs", "lbfgs", "adam")


@dataclass(frozen=True)
class Settings:
    """How `solve` goes about it; see there."""

    optimizer: str = "auto"
    starts: int = 4
    steps: int = 60
    rounds: int = 1
    intervals: Sequence[int] = (5, 10)
    points: int | None = None
    boundary_points: int | None = None
    sampling: str = "sobol"
    adaptive: float = 0.5
    seconds: float = math.inf
    balance: float = 300.0
    grading: float = 0.0
    causal: float = 0.0


def solve(
    problem: Problem,
    model: nn.Module | Sequence[int] | None = None,
    *,
    optimizer: str = "auto",
    starts: int = 4,
    steps: int = 60,
    rounds: int = 1,
    intervals: Sequence[int] = (5, 10),
    points: int | None = None,
    boundary_points: int | None = None,
    sampling: str = "sobol",
    adaptive: float = 0.5,
    balance: float = 300.0,
    grading: float = 0.0,
    causal: float = 0.0,
    windows: int | Sequence[float] = 1,
    seconds: float = math.inf,
    seed: int = 0,
    progress: Callable[[Stage], None] | None = None,
) -> Solution:
    """The fields that satisfy a problem, as a network.

    Args:
        problem: equation, domain and conditions.
        model: a `KAN`, or an MLP of linear layers and smooth activations, or the hidden widths of a KAN of splines of
            degree 5; it is left as it was. Its outputs are the fields, its inputs the coordinates or the features.
        optimizer: "gauss-newton" (damped, exact Jacobian), "self-scaled-bfgs" (from gradients, a matrix of all
            parameters squared), "lbfgs", "adam", or "auto": the first, third or last by the number of parameters.
        starts: how many initial values compete.
        steps: iterations in every round.
        rounds: rounds at every resolution.
        intervals: the resolutions of the grids after the search, which uses that of the model.
        points: points of the equation in every round; by default 1000, or 3 for every parameter.
        boundary_points: points of every condition; by default a fifth of `points`.
        sampling: "sobol" or "uniform".
        adaptive: the share of the points that is drawn where the residual is large.
        balance: the greatest weight that a condition is given; its own `weight` goes first.
        grading: how far the grids of the coordinates gather where the fields are steep: 0 for even grids, towards 1 for
            equal changes of the fields between grid points, as a shock needs.
        causal: how far late times wait for early ones: the equation counts from 1 at the start of time down to
            exp(-causal) at its end, by how much of its residual lies before.
        windows: cut time into this many pieces, or at these times; they are solved one after the other.
        seconds: stop soon after this time.
        seed: of points and initial values.
        progress: called after every round.
    """
    if optimizer not in OPTIMIZERS:
        raise ProblemError(f"unknown optimizer {optimizer!r}; choose one of {', '.join(OPTIMIZERS)}")
    if starts < 1 or rounds < 1 or (isinstance(windows, int) and windows < 1):
        raise ProblemError(f"starts, rounds and windows must be at least 1, got {starts}, {rounds} and {windows}")
    generator = torch.Generator().manual_seed(seed)
    model = checked_model(problem, model, generator)
    check_grading(problem, model, grading)
    check_causal(problem, causal)
    check_energy(problem)
    settings = Settings(
        optimizer,
        starts,
        steps,
        rounds,
        tuple(intervals),
        points,
        boundary_points,
        sampling,
        adaptive,
        seconds,
        balance,
        grading,
        causal,
    )
    started = time.monotonic()
    solutions: list[Solution] = []
    for part in cut(problem, windows, solutions):
        start = model if not solutions else moved(solutions[-1].model, solutions[-1].problem, part)
        solutions.append(
            _Solver(part, settings, generator, progress, len(solutions), started).run(start, first=not solutions)
        )
    return joined(problem, solutions)


class _Solver:
    """One window of time: stages of rounds, the best of which is kept."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        generator: torch.Generator,
        progress: Callable[[Stage], None] | None,
        window: int = 0,
        started: float | None = None,
    ) -> None:
        self.problem, self.settings, self.generator, self.progress = problem, settings, generator, progress
        self.window = window
        self.started = time.monotonic() if started is None else started
        self.history: list[Stage] = []
        self.best: tuple[float, nn.Module, dict[str, float]] | None = None

    def run(self, model: nn.Module, *, first: bool) -> Solution:
        s = self.settings
        unknowns = dict(self.problem.unknowns)
        if first:
            model, unknowns = self._search(model, unknowns, s.starts)
        finer = [n for n in s.intervals if n > _resolution(model)] if _refinable(model) else []
        stages = finer or [None]
        coarser: nn.Module | None = None
        for n in stages:
            if self._late() and self.best is not None:
                break
            if n is not None:
                coarser, model = model, refine(model, n)
            for nth in range(s.rounds):
                coarser = model if n is None and nth > 0 else coarser
                model, unknowns = self._round(model, unknowns, s.steps, f"{_resolution(model)} intervals")
                if self._late():
                    break
            assert self.best is not None
            if not math.isfinite(self.history[-1].validation) or self.history[-1].validation > 10 * self.best[0]:
                break
        assert self.best is not None
        last = model
        loss, model, unknowns = self.best
        diverged = not math.isfinite(loss)
        message = "time is up" if self._late() else "all stages done"
        if diverged:
            message = "diverged: the loss is not finite from any start; look at the model and the coefficients"
        estimate = None if coarser is None or diverged else self._distance(coarser, last)
        if estimate is not None and estimate > UNRESOLVED:
            message += f", but the last two states still differ by {estimate:.0%}: more steps, a finer grid or windows"
        return Solution(self.problem, (model,), (), unknowns, tuple(self.history), not diverged, message, estimate)

    def _search(self, model: nn.Module, unknowns: dict[str, float], starts: int) -> tuple[nn.Module, dict[str, float]]:
        """A few steps from every start on few points, more from the better half, until one is left."""
        s = self.settings
        runs = [(math.inf, start, unknowns) for start in self._starts(model, starts)]
        steps = max(5, s.steps // 4)
        while True:
            results = []
            for _, start, values in runs:
                fitted, found = self._round(start, values, steps, f"{SEARCH}, {len(runs)} starts")
                results.append((self.history[-1].validation, fitted, found))
            results.sort(key=lambda run: run[0] if math.isfinite(run[0]) else math.inf)
            if len(results) == 1 or self._late():
                return results[0][1:]
            runs, steps = results[: math.ceil(len(results) / 2)], 2 * steps

    def _starts(self, model: nn.Module, starts: int) -> list[nn.Module]:
        """The model as it is, and copies drawn anew, rough and smooth."""
        x = self.problem.inputs_of(self.problem.points(500, self.generator))
        levels = itertools.islice(itertools.cycle(ROUGHNESS), starts - 1)
        return [model, *(redrawn(model, x, level, self.generator) for level in levels)]

    def _round(
        self, model: nn.Module, unknowns: dict[str, float], steps: int, name: str
    ) -> tuple[nn.Module, dict[str, float]]:
        """Fresh points, fitted grids, steps of the optimiser, validation; the model is left as it was."""
        s = self.settings
        model = copy.deepcopy(model)
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        points = s.points or max(1000, 3 * parameters)
        terms = self._terms(model, points, s.boundary_points or max(points // 5, 50))
        if s.adaptive > 0 and self.history:
            share, graded = s.adaptive, s.grading > 0
            terms[0] = adapted_term(self.problem, model, unknowns, terms[0], share, self.generator, graded=graded)
        seen = torch.cat([term.points.flatten(0, 1) for term in terms])
        if _refinable(model) and bool(torch.isfinite(self.problem.evaluate(model, seen)).all()):
            adapt_grid_(model, self.problem.inputs_of(seen), margin=MARGIN)
            if s.grading > 0 and self.history:
                grade_(model, self.problem, s.grading, self.generator)
        if s.causal > 0:
            terms[0] = causal_term(self.problem, model, unknowns, terms[0], s.causal)
        fitting = Collocation(self.problem, model, terms)
        fitting.balance(fitting.numbers(unknowns), most=s.balance)
        numbers = fitting.numbers(unknowns)
        if self.problem.energy is not None and name.startswith(SEARCH):
            numbers = Energy(self.problem, model, points).minimize(numbers, steps)
        numbers, done = self._minimize(fitting, numbers, steps, parameters)
        unknowns = fitting.write(numbers)
        loss = float(fitting.losses(numbers))
        fresh = self._terms(model, min(points, 2000), 200)
        weighted = [dataclasses.replace(f, weight=t.weight) for f, t in zip(fresh, fitting.terms, strict=True)]
        checking = Collocation(self.problem, model, weighted)
        validation, squares = float(checking.losses(numbers)), checking.mean_squares(numbers)
        residuals = {term: math.sqrt(square) for term, square in squares.items()}
        stage = Stage(name, parameters, done, loss, validation, residuals, time.monotonic() - self.started, self.window)
        self.history.append(stage)
        logger.info("%s: loss %.2e, at fresh points %.2e", name, loss, validation)
        if self.progress is not None:
            self.progress(stage)
        if self.best is None or not validation >= self.best[0]:
            self.best = validation if math.isfinite(validation) else math.inf, model, unknowns
        return model, unknowns

    def _terms(self, model: nn.Module, points: int, boundary_points: int) -> list[Term]:
        """Fresh points, half of them where the grid has gathered."""
        terms = self.problem.terms(points, boundary_points, self.generator, method=self.settings.sampling)
        return graded_terms(model, self.problem, terms) if self.settings.grading > 0 else terms

    def _minimize(self, fitting: Collocation, numbers: Tensor, steps: int, parameters: int) -> tuple[Tensor, int]:
        method = self.settings.optimizer
        if method == "auto":
            sizes = ((GAUSS_NEWTON_MOST, "gauss-newton"), (LBFGS_MOST, "lbfgs"), (math.inf, "adam"))
            method = next(name for most, name in sizes if parameters <= most)
        if not bool(torch.isfinite(fitting.losses(numbers)).all()):
            return numbers, 0
        if method == "gauss-newton":
            budget = Budget(max(0.0, self.started + self.settings.seconds - time.monotonic()))
            end = levenberg_marquardt(fitting, numbers, steps, patience=15, budget=budget)
            return end.theta, end.steps
        if method == "self-scaled-bfgs":
            return fitting.self_scaled_bfgs(numbers, steps), steps
        return fitting.first_order(numbers, steps, method), steps

    @torch.no_grad()
    def _distance(self, coarser: nn.Module, model: nn.Module) -> float:
        x = self.problem.domain.sample(2000, self.generator)
        return relative_error(self.problem.evaluate(coarser, x), self.problem.evaluate(model, x))

    def _late(self) -> bool:
        return time.monotonic() - self.started > self.settings.seconds


def _refinable(model: nn.Module) -> bool:
    layers = [m for m in model.modules() if isinstance(m, KANLinear)]
    return bool(layers) and all(isinstance(layer.basis, BSpline) and layer.adapter is None for layer in layers)


def _resolution(model: nn.Module) -> int:
    bases = [m.basis for m in model.modules() if isinstance(m, KANLinear)]
    return max((b.intervals for b in bases if isinstance(b, BSpline)), default=0)
