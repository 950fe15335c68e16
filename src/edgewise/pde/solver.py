"""Solve a problem by collocation: several starts on coarse grids, then refinement of the best, at fresh points.

The recipe, every part of it measured: search with few intervals and few points over several starts; continue the best;
fit the grids of all layers to their inputs, with some room, then refine; draw fresh points before every round, half of
them where the residual is large; weight conditions by the size of their Jacobian; keep the round that is best at points
that were not trained on. Which argument of `solve` chooses what: see `edgewise.pde.solve_methods`.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from torch import Tensor, nn

from edgewise._arguments import settings_are_in
from edgewise.bases import BSpline
from edgewise.display import shows_progress
from edgewise.nn import Affine, KANLinear, Surface
from edgewise.pde.collocation import Collocation, adapted_term, causal_term
from edgewise.pde.collocation_loss import CollocationLoss
from edgewise.pde.energy import Energy, check_energy
from edgewise.pde.grading import grade_
from edgewise.pde.identified import with_standard_errors
from edgewise.pde.initial_networks import MARGIN, ROUGHNESS, checked_model, redrawn
from edgewise.pde.operators import ProblemError
from edgewise.pde.own_scale import OwnUnits, own_units, relative_residuals
from edgewise.pde.posedness import doubts
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.pde.solution import Solution, Stage, relative_error
from edgewise.pde.solve_methods import AdamDescent, GaussNewton, QuasiNewton, SolveMethod, Surfaces, as_method
from edgewise.pde.surface_solve import solve_on_surface
from edgewise.pde.windows import cut, joined, moved, window_ends
from edgewise.progress import Budget, Event, Listener, TimeIsOver
from edgewise.surgery import adapt_grid_, refine

logger = logging.getLogger(__name__)

SEARCH = "search"  # how the names of its rounds begin
INTERVALS = (5, 10)  # resolutions after the search, by default
SEARCH_STEPS = 5  # at least so many in its first rounds
CHECK_POINTS, CHECK_BOUNDARY_POINTS = 2000, 200  # fresh points of a validation, at most
GRID_POINTS, GRID_VALUES = 20_000, 2_000_000  # to which grids are fitted, at most: points, and inputs of a layer
LATE_VALUES = 400_000  # the same for a validation after the time limit
UNRESOLVED = 0.05  # relative distance of the last two states from which on a message warns
UNSOLVED = 0.05  # the same for a residual relative to its terms
SILENCE = 2.0  # seconds within a round after which it reports


@shows_progress
@settings_are_in(lambda: (GaussNewton, QuasiNewton, AdamDescent, Collocation))
def solve(
    problem: Problem,
    model: nn.Module | Sequence[int] | None = None,
    method: str | SolveMethod | Surfaces = "auto",
    *,
    collocation: Collocation | None = None,
    windows: int | Sequence[float] = 1,
    seconds: float = math.inf,
    seed: int = 0,
    progress: bool | Listener | None = None,
) -> Solution:
    r"""Find the fields that satisfy a problem, as a network that minimises the mean squared residuals.

    Args:
        problem: equation, domain and conditions.
        model: a `KAN`, or an MLP of linear layers and smooth activations, or the hidden widths of a KAN of splines of
            degree 5; it is not changed. Its outputs are the fields, its inputs the coordinates or the features.
        method: how the loss is minimised: `GaussNewton`, `QuasiNewton`, `AdamDescent`, or `BySize`, which chooses among
            them; or a name for their defaults: "gauss-newton", "self-scaled-bfgs", "lbfgs", "adam", "auto". `Surfaces`
            ("surface") makes its own model, one spline of all coordinates, and its own points and windows; `model` may
            be such a surface, of a similar problem, to begin with.
        collocation: what the loss is: the points and the weights of the residuals.
        windows: cut time into this many windows, or at these times; they are solved one after the other, each from the
            network of the one before.
        seconds: time limit in seconds of wall time; the best network so far is returned.
        seed: of points and initial parameters.
        progress: True to show it; or called with an `Event` after every round.

    Raises:
        ProblemError: an argument is out of its range or does not apply to the problem or the model.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    if not isinstance(problem, Problem):
        raise ProblemError(f"solve takes a Problem, got {problem!r}; `edgewise solve FILE` reads one from a file")
    if not isinstance(seconds, Real) or not float(seconds) >= 0:
        raise ProblemError(f"seconds must be at least 0, got {seconds!r}")
    method, generator, budget = as_method(method), torch.Generator().manual_seed(seed), Budget(seconds)
    if isinstance(method, Surfaces):
        start = _start_alone(model, collocation)
        return solve_on_surface(problem, method, start, windows=windows, budget=budget, progress=progress)
    collocation = collocation or Collocation()
    check_energy(problem)
    ends, free = window_ends(problem, windows), doubts(problem)
    units = own_units(problem)
    model = checked_model(problem, model, generator, Affine(units.outputs, units.levels))
    _check_intervals(model, method.intervals)
    collocation.check(problem, model)
    stages = max(1, len(_finer(model, method.intervals))) + len(ends)
    if not all(p.requires_grad for p in model.parameters()):
        method = dataclasses.replace(method, starts=1)  # new starts would replace what is frozen
    planned = _search_rounds(method.starts) + method.rounds * stages
    run = _Run(method, collocation, generator, budget, planned, progress, free)
    solutions: list[Solution] = []
    for part in cut(problem, ends, solutions):
        start = model if not solutions else moved(solutions[-1].model, solutions[-1].problem, part)
        of_part = own_units(part) if ends else units
        solutions.append(_Window(part, run, of_part, len(solutions)).solve(start, first=not solutions))
    return run.identified(joined(problem, ends, solutions))


def _start_alone(model: object, collocation: Collocation | None) -> Surface | None:
    """The surface to begin with, if one is given; `ProblemError` for what a surface chooses itself."""
    if collocation is not None:
        raise ProblemError("collocation: a surface chooses its own; leave it out, or choose another method")
    if model is not None and not isinstance(model, Surface):
        raise ProblemError(
            "model: a surface is its own model; leave it out, give the surface of a similar problem to begin with "
            "(`solution.model`), or choose another method"
        )
    return model


@dataclass
class _Run:
    """What all windows of a solve share."""

    method: SolveMethod
    collocation: Collocation
    generator: torch.Generator
    budget: Budget
    planned: int  # rounds, if none is left out
    progress: Listener | None
    doubts: tuple[str, ...] = ()
    done: int = 0
    stopped: bool = False  # by Ctrl-C
    told: float = 0.0  # when the last report was

    @property
    def over(self) -> bool:
        """True once nothing new is to begin."""
        return self.stopped or self.budget.over

    def identified(self, solution: Solution) -> Solution:
        """The solution with its unknowns under the equation as a constraint, and their standard errors."""
        if self.over or not solution.converged or len(solution.models) > 1:
            return solution
        parameters = sum(p.numel() for p in solution.model.parameters() if p.requires_grad)
        counts = self.collocation.counts(parameters)
        try:
            return with_standard_errors(solution, *counts, self.generator, self.budget)
        except KeyboardInterrupt:
            self.stopped = True
            return solution

    def report(self, stage: Stage) -> None:
        """Log a round and call the listener."""
        self.done += 1
        text = f"loss {stage.loss:.1e}, at fresh points {stage.validation:.1e}"
        logger.info("%s: %s", stage.name, text)
        self._tell(stage.name, self.done, text)

    def watch(self, name: str, loss: CollocationLoss, steps: int) -> None:
        """Call the listener within a round, if it has heard nothing for a while."""
        if self.budget.spent > self.told + SILENCE:
            best = f"loss {loss.best[0]:.1e}" if loss.best is not None else ""
            self._tell(name, self.done + min(1.0, loss.steps / max(1, steps)), best)

    def _tell(self, name: str, done: float, text: str) -> None:
        self.told = self.budget.spent
        if self.progress is not None:
            self.progress(Event(name, max(min(1.0, done / self.planned), self.budget.fraction), text))


@dataclass
class _State:
    """A network with the unknowns, and its loss at fresh points."""

    model: nn.Module
    unknowns: dict[str, float]
    validation: float = math.inf


class _Window:
    """The solve of one window of time: rounds at increasing resolution, the best of which is returned."""

    def __init__(self, problem: Problem, run: _Run, units: OwnUnits, window: int) -> None:
        self.problem, self.run, self.units, self.window = problem, run, units, window
        self.history: list[Stage] = []
        self.best: _State | None = None

    def solve(self, model: nn.Module, *, first: bool) -> Solution:
        """Search (in the first window), then refine; the result of the best round, also after Ctrl-C."""
        states: tuple[nn.Module | None, nn.Module] = (None, model)
        try:
            states = self._solve(_State(model, dict(self.problem.unknowns)), first)
        except KeyboardInterrupt:
            self.run.stopped = True
            if self.best is None:
                raise
        return self._solution(*states)

    def _solve(self, state: _State, first: bool) -> tuple[nn.Module | None, nn.Module]:
        """The rounds; the last but one network to compare with, if any, and the last."""
        if first:
            state = self._search(state)
        coarser: nn.Module | None = None
        for n in _finer(state.model, self.run.method.intervals) or [None]:
            if self.run.over and self.best is not None:
                break
            if n is not None:
                coarser, state = state.model, dataclasses.replace(state, model=refine(state.model, n))
            for nth in range(self.run.method.rounds):
                coarser = state.model if n is None and nth > 0 else coarser
                state = self._round(state, self.run.method.steps, f"{_resolution(state.model)} intervals")
                if self.run.over:
                    break
            assert self.best is not None
            if not math.isfinite(state.validation) or state.validation > 10 * self.best.validation:
                break
        return coarser, state.model

    def _solution(self, coarser: nn.Module | None, last: nn.Module) -> Solution:
        """The best state, with how the solve ended and how far the last two states are apart."""
        assert self.best is not None
        best, history = self.best, tuple(self.history)
        if not math.isfinite(best.validation):
            message = "diverged: the loss is not finite from any start; check the model and the coefficients"
            return Solution(self.problem, (best.model,), (), best.unknowns, history, False, message, None)
        off = relative_residuals(self.problem, best.model, best.unknowns)
        large = [f"{name} is off by {size:.0%} of its terms" for name, size in off.items() if not size <= UNSOLVED]
        told = [f"{', '.join(large)}: more steps, a finer grid, or conditions that agree"] if large else []
        moved_on = history[-1].steps > 0
        estimate = self._distance(coarser, last) if coarser is not None and moved_on else None
        if estimate is not None and estimate > UNRESOLVED:
            told.append(f"the last two states still differ by {estimate:.0%}: more steps, a finer grid or windows")
        told += self.run.doubts
        ended = "all stages done" if not large else "not solved"
        ended = "stopped by Ctrl-C" if self.run.stopped else "time is up" if self.run.budget.over else ended
        return Solution(
            self.problem,
            (best.model,),
            (),
            best.unknowns,
            history,
            True,
            (": " if ended == "not solved" else ", but ").join([ended, "; ".join(told)] if told else [ended]),
            estimate,
            off,
            tuple(told),
        )

    def _search(self, state: _State) -> _State:
        """A few steps from every start on few points, more from the better half, until one is left."""
        states = [dataclasses.replace(state, model=model) for model in self._starts(state.model)]
        steps = max(SEARCH_STEPS, self.run.method.steps // 4)
        while True:
            name = f"{SEARCH}, {len(states)} start{'s' * (len(states) > 1)}"
            begun: list[_State] = []
            while len(begun) < len(states) and not (begun and self.run.over):
                begun.append(self._round(states[len(begun)], steps, name))
            states = begun
            states.sort(key=lambda s: s.validation if math.isfinite(s.validation) else math.inf)
            if len(states) == 1 or self.run.over:
                return states[0]
            states, steps = states[: math.ceil(len(states) / 2)], 2 * steps

    def _starts(self, model: nn.Module) -> list[nn.Module]:
        """The model as it is, and copies with new initial parameters, rough and smooth."""
        x = self.problem.inputs_of(self.problem.points(500, self.run.generator))
        levels = itertools.islice(itertools.cycle(ROUGHNESS), self.run.method.starts - 1)
        return [model, *(redrawn(model, x, level, self.run.generator) for level in levels)]

    def _round(self, state: _State, steps: int, name: str) -> _State:
        """Fresh points, fitted grids, steps of the method, validation; the state given is not changed."""
        model = copy.deepcopy(state.model)
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        points, boundary_points = self.run.collocation.counts(parameters)
        if self.run.over:
            points, boundary_points = min(points, CHECK_POINTS), min(boundary_points, CHECK_BOUNDARY_POINTS)
        terms = self._terms(model, state.unknowns, points, boundary_points)
        loss = CollocationLoss(self.problem, model, terms)
        loss.balance(loss.theta(state.unknowns), most=self.run.collocation.largest_weight)
        theta, done = loss.theta(state.unknowns), 0
        loss.budget, loss.watch = self.run.budget, partial(self.run.watch, name, loss, steps)
        try:
            if self.problem.energy is not None and name.startswith(SEARCH):
                theta = Energy(self.problem, model, points).minimize(theta, steps, self.run.budget)
            if bool(torch.isfinite(loss.losses(theta)).all()):
                theta, done = self.run.method.minimize(loss, theta, steps, self.run.budget)
        except (TimeIsOver, KeyboardInterrupt) as ended:
            self.run.stopped |= isinstance(ended, KeyboardInterrupt)
            theta, done = theta if loss.best is None else loss.best[1], loss.steps
        unknowns = loss.write(theta)
        validation, residuals = self._validation(loss, theta, points)
        end = self._end(loss, theta, validation)
        seconds = self.run.budget.spent
        self.history.append(Stage(name, parameters, done, end, validation, residuals, seconds, self.window))
        result = _State(model, unknowns, validation)
        if self.best is None or not validation >= self.best.validation:
            self.best = dataclasses.replace(result, validation=validation if math.isfinite(validation) else math.inf)
        self.run.report(self.history[-1])
        return result

    def _end(self, loss: CollocationLoss, theta: Tensor, validation: float) -> float:
        """The loss of the last parameters; after the time limit the one that is known, or the validation."""
        if self.run.over and loss.best is not None and torch.equal(loss.best[1], theta):
            return loss.best[0]
        try:
            return float(loss.losses(theta))
        except TimeIsOver:
            return validation

    def _terms(
        self, model: nn.Module, unknowns: dict[str, float], points: int, boundary_points: int
    ) -> list[ResidualTerm]:
        """The terms of a round, after which the grids of the model fit them."""
        collocation, generator = self.run.collocation, self.run.generator
        graded = collocation.grading > 0
        terms = self.units.of(collocation.draw(self.problem, model, points, boundary_points, generator))
        if collocation.adaptive > 0 and self.history:
            share = collocation.adaptive
            terms[0] = adapted_term(
                self.problem, model, unknowns, terms[0], share, generator, graded=graded, budget=self.run.budget
            )
        x = torch.cat([term.points.flatten(0, 1) for term in terms])
        x = x[:: math.ceil(len(x) / min(GRID_POINTS, max(100, GRID_VALUES // _widest(model))))]
        with torch.no_grad():
            finite = _refinable(model) and bool(self.problem.evaluate(model, x[::10]).isfinite().all())
        if finite:
            adapt_grid_(model, self.problem.inputs_of(x), margin=MARGIN)
            if graded and self.history:
                grade_(model, self.problem, collocation.grading, generator)
        if collocation.causal > 0 and not self.run.over:
            terms[0] = causal_term(self.problem, model, unknowns, terms[0], collocation.causal)
        return terms

    def _validation(self, loss: CollocationLoss, theta: Tensor, points: int) -> tuple[float, dict[str, float]]:
        """The loss at fresh points with the same weights, and the root mean square of every term there."""
        counts = min(points, CHECK_POINTS), CHECK_BOUNDARY_POINTS
        if self.run.over:
            counts = min(counts[0], max(100, LATE_VALUES // _widest(loss.model))), counts[1]
        fresh = self.run.collocation.draw(self.problem, loss.model, *counts, self.run.generator)
        weighted = [
            dataclasses.replace(f, weight=t.weight, unit=t.unit) for f, t in zip(fresh, loss.terms, strict=True)
        ]
        check = CollocationLoss(self.problem, loss.model, weighted)
        validation, squares = float(check.losses(theta)), check.mean_squares(theta)
        return validation, {term: math.sqrt(square) for term, square in squares.items()}

    @torch.no_grad()
    def _distance(self, coarser: nn.Module, model: nn.Module) -> float:
        x = self.problem.domain.sample(2000, self.run.generator)
        return relative_error(self.problem.evaluate(coarser, x), self.problem.evaluate(model, x))


def _check_intervals(model: nn.Module, intervals: Sequence[int] | None) -> None:
    """Raise `ProblemError` for intervals that do not refine this model."""
    if intervals and not _refinable(model):
        raise ProblemError("intervals refine the grids of a KAN of splines; leave them out for this model")
    if intervals and min(intervals) <= _resolution(model):
        raise ProblemError(f"intervals must be more than the {_resolution(model)} of the model, got {intervals}")


def _finer(model: nn.Module, intervals: Sequence[int] | None) -> list[int]:
    """The resolutions that are finer than that of the model; none for one that has diverged."""
    if not _refinable(model) or not all(bool(p.isfinite().all()) for p in model.parameters()):
        return []
    return [n for n in (INTERVALS if intervals is None else intervals) if n > _resolution(model)]


def _search_rounds(starts: int) -> int:
    """The rounds of a search that halves the starts until one is left."""
    return starts if starts == 1 else starts + _search_rounds(math.ceil(starts / 2))


def _widest(model: nn.Module) -> int:
    """The most inputs of a layer of curves."""
    return max((m.in_features for m in model.modules() if isinstance(m, KANLinear)), default=1)


def _refinable(model: nn.Module) -> bool:
    layers = [m for m in model.modules() if isinstance(m, KANLinear)]
    return bool(layers) and all(isinstance(layer.basis, BSpline) and layer.adapter is None for layer in layers)


def _resolution(model: nn.Module) -> int:
    bases = [m.basis for m in model.modules() if isinstance(m, KANLinear)]
    return max((b.intervals for b in bases if isinstance(b, BSpline)), default=0)
