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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn import KAN, Affine, KANLinear
from edgewise.optim.levenberg_marquardt import LevenbergMarquardt
from edgewise.optim.network import Numbers
from edgewise.pde.conditions import Condition
from edgewise.pde.domains import Box, Domain, Slab
from edgewise.pde.errors import ProblemError
from edgewise.pde.least_squares import Collocation
from edgewise.pde.operators import TIME, Scope
from edgewise.pde.problem import Problem, Term
from edgewise.pde.solution import Solution, Stage
from edgewise.surgery import adapt_grid_, refine

logger = logging.getLogger(__name__)

GAUSS_NEWTON_MOST, LBFGS_MOST = 4000, 40_000  # parameters up to which each is the choice of "auto"
OPTIMIZERS = ("auto", "gauss-newton", "lbfgs", "adam")
MARGIN = 0.05  # room beyond the range that a layer sees: an end interval of a spline moves freely where data end

# Noise on the curves of a start, relative to the slope of their lines. On a Helmholtz equation with four waves in a
# direction, 0 and 0.3 ended on a plateau (relative error 0.7 to 0.8) where 1 and 3 reached 5e-5 in the same steps.
ROUGHNESS = (1.0, 0.3, 3.0)


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
    windows: int = 1,
    seconds: float = math.inf,
    seed: int = 0,
    progress: Callable[[Stage], None] | None = None,
) -> Solution:
    """The fields that satisfy a problem, as a network.

    Args:
        problem: equation, domain and conditions.
        model: a `KAN`, or an MLP of linear layers and smooth activations, or the hidden widths of a KAN of splines of
            degree 5; it is left as it was. Its outputs are the fields, its inputs the coordinates or the features.
        optimizer: "gauss-newton" (damped, exact Jacobian), "lbfgs", "adam", or "auto": by the number of parameters.
        starts: how many initial values compete.
        steps: iterations in every round.
        rounds: rounds at every resolution.
        intervals: the resolutions of the grids after the search, which uses that of the model.
        points: points of the equation in every round; by default 1000, or 3 for every parameter.
        boundary_points: points of every condition; by default a fifth of `points`.
        sampling: "sobol" or "uniform".
        adaptive: the share of the points that is drawn where the residual is large.
        balance: the greatest weight that a condition is given; its own `weight` goes first.
        windows: cut time into this many pieces, solved one after the other.
        seconds: stop soon after this time.
        seed: of points and initial values.
        progress: called after every round.
    """
    if optimizer not in OPTIMIZERS:
        raise ProblemError(f"unknown optimizer {optimizer!r}; choose one of {', '.join(OPTIMIZERS)}")
    if starts < 1 or windows < 1 or rounds < 1:
        raise ProblemError(f"starts, rounds and windows must be at least 1, got {starts}, {rounds} and {windows}")
    generator = torch.Generator().manual_seed(seed)
    model = _checked_model(problem, model, generator)
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
    )
    solutions: list[Solution] = []
    for part in _windows(problem, windows, solutions):
        start = model if not solutions else _moved(solutions[-1].model, solutions[-1].problem, part)
        solutions.append(_Solver(part, settings, generator, progress, len(solutions)).run(start, first=not solutions))
    return _joined(problem, solutions)


class _Solver:
    """One window of time: stages of rounds, the best of which is kept."""

    def __init__(
        self,
        problem: Problem,
        settings: Settings,
        generator: torch.Generator,
        progress: Callable[[Stage], None] | None,
        window: int = 0,
    ) -> None:
        self.problem, self.settings, self.generator, self.progress = problem, settings, generator, progress
        self.window = window
        self.started = time.monotonic()
        self.history: list[Stage] = []
        self.best: tuple[float, nn.Module, dict[str, float]] | None = None
        self.weights: list[float | None] | None = None

    def run(self, model: nn.Module, *, first: bool) -> Solution:
        s = self.settings
        unknowns = dict(self.problem.unknowns)
        model, unknowns = self._search(model, unknowns, s.starts if first else 1)
        finer = [n for n in s.intervals if n > _resolution(model)] if _refinable(model) else []
        stages = finer or [None]
        coarser: nn.Module | None = None
        for n in stages:
            if self._late():
                break
            if n is not None:
                coarser, model = model, refine(model, n)
            for _ in range(s.rounds):
                model, unknowns = self._round(model, unknowns, s.steps, f"{_resolution(model)} intervals")
                if self._late():
                    break
            assert self.best is not None
            if not math.isfinite(self.history[-1].validation) or self.history[-1].validation > 10 * self.best[0]:
                break
        assert self.best is not None
        loss, model, unknowns = self.best
        diverged = not math.isfinite(loss)
        message = "time is up" if self._late() else "all stages done"
        if diverged:
            message = "diverged: the loss is not finite from any start; look at the model and the coefficients"
        estimate = None if coarser is None or diverged else self._distance(coarser, model)
        return Solution(self.problem, (model,), (), unknowns, tuple(self.history), not diverged, message, estimate)

    def _search(self, model: nn.Module, unknowns: dict[str, float], starts: int) -> tuple[nn.Module, dict[str, float]]:
        """A few steps from every start on few points, more from the better half, until one is left."""
        s = self.settings
        runs = [(math.inf, start, unknowns) for start in self._starts(model, starts)]
        steps = max(5, s.steps // 4)
        while True:
            results = []
            for _, start, values in runs:
                fitted, found = self._round(start, values, steps, f"search, {len(runs)} starts")
                results.append((self.history[-1].validation, fitted, found))
            results.sort(key=lambda run: run[0] if math.isfinite(run[0]) else math.inf)
            if len(results) == 1 or self._late():
                return results[0][1:]
            runs, steps = results[: math.ceil(len(results) / 2)], 2 * steps

    def _starts(self, model: nn.Module, starts: int) -> list[nn.Module]:
        """The model as it is, and copies drawn anew, rough and smooth."""
        x = self.problem.inputs_of(self.problem.points(500, self.generator))
        levels = itertools.islice(itertools.cycle(ROUGHNESS), starts - 1)
        return [model, *(_redrawn(model, x, level, self.generator) for level in levels)]

    def _round(
        self, model: nn.Module, unknowns: dict[str, float], steps: int, name: str
    ) -> tuple[nn.Module, dict[str, float]]:
        """Fresh points, fitted grids, steps of the optimiser, validation; the model is left as it was."""
        s = self.settings
        model = copy.deepcopy(model)
        parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
        points = s.points or max(1000, 3 * parameters)
        terms = self.problem.terms(points, s.boundary_points or max(points // 5, 50), self.generator, method=s.sampling)
        if s.adaptive > 0 and self.history:
            terms[0] = self._adapted(model, unknowns, terms[0])
        seen = torch.cat([term.points.flatten(0, 1) for term in terms])
        if _refinable(model) and bool(torch.isfinite(self.problem.evaluate(model, seen)).all()):
            adapt_grid_(model, self.problem.inputs_of(seen), margin=MARGIN)
        fitting = Collocation(self.problem, model, terms)
        fitting.balance(fitting.numbers(unknowns), most=s.balance)
        numbers, done = self._minimize(fitting, fitting.numbers(unknowns), steps, parameters)
        unknowns = fitting.write(numbers)
        loss = float(fitting.losses(numbers))
        fresh = self.problem.terms(min(points, 2000), 200, self.generator, method=s.sampling)
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

    def _minimize(self, fitting: Collocation, numbers: Numbers, steps: int, parameters: int) -> tuple[Numbers, int]:
        method = self.settings.optimizer
        if method == "auto":
            sizes = ((GAUSS_NEWTON_MOST, "gauss-newton"), (LBFGS_MOST, "lbfgs"), (math.inf, "adam"))
            method = next(name for most, name in sizes if parameters <= most)
        if not bool(torch.isfinite(fitting.losses(numbers)).all()):
            return numbers, 0
        if method == "gauss-newton":
            deadline = self.started + self.settings.seconds
            end = LevenbergMarquardt(patience=15).minimize(fitting, numbers, steps, deadline=deadline)
            return end.numbers, end.steps
        return fitting.first_order(numbers, steps, method), steps

    def _adapted(self, model: nn.Module, unknowns: dict[str, float], term: Term) -> Term:
        """The points of a term, a share of them replaced by points drawn in proportion to the squared residual."""
        n = round(self.settings.adaptive * term.points.shape[1])
        pool = self.problem.domain.sample(5 * term.points.shape[1], self.generator, "uniform")
        values = {name: torch.tensor(v) for name, v in unknowns.items()}
        with torch.no_grad():
            r = self.problem.residuals(model, dataclasses.replace(term, points=pool[None]), values)
        size = r.square().sum(0)
        if n == 0 or not bool(torch.isfinite(size).all()) or not bool((size > 0).any()):
            return term
        # A tenth of the mean keeps quiet places in the draw.
        drawn = torch.multinomial(size + 0.1 * size.mean(), n, generator=self.generator)
        return dataclasses.replace(term, points=torch.cat([term.points[0, n:], pool[drawn]])[None])

    @torch.no_grad()
    def _distance(self, coarser: nn.Module, model: nn.Module) -> float:
        x = self.problem.domain.sample(2000, self.generator)
        fine = self.problem.evaluate(model, x)
        return float((self.problem.evaluate(coarser, x) - fine).norm() / fine.norm())

    def _late(self) -> bool:
        return time.monotonic() - self.started > self.settings.seconds


def default_model(
    problem: Problem, hidden: Sequence[int] = (10,), degree: int = 5, intervals: int = 3, *, generator: torch.Generator
) -> KAN:
    """A KAN of splines with the inputs and outputs that the problem needs."""
    # The end polynomial keeps second derivatives beyond the grid, so that the search converges (losses 5 to 200 times
    # lower on a Poisson equation); through two hidden layers its powers explode (losses of 1e40).
    basis = BSpline(intervals, degree, extrapolation="polynomial" if len(hidden) == 1 else "linear")
    widths = [problem.inputs, *hidden, len(problem.fields)]
    return KAN(widths, basis, residual=None, generator=generator, dtype=torch.float64)


def _checked_model(problem: Problem, model: nn.Module | Sequence[int] | None, generator: torch.Generator) -> nn.Module:
    """A copy in float64 that takes the coordinates in their units."""
    if not isinstance(model, nn.Module):
        model = default_model(problem, (10,) if model is None else model, generator=generator)
    model = copy.deepcopy(model).double()
    low, high = problem.input_bounds().T
    units = Affine(2 / (high - low), -(high + low) / (high - low))
    if isinstance(model, KAN):
        if model.in_features != problem.inputs or model.out_features != len(problem.fields):
            raise ProblemError(
                f"the model is {model.in_features} -> {model.out_features}, the problem needs {problem.inputs} inputs "
                f"and {len(problem.fields)} outputs ({', '.join(problem.fields)})"
            )
        if model.input_affine is None:
            model.input_affine = units
        return model
    model = nn.Sequential(units, model)
    probe = torch.zeros(1, problem.inputs, dtype=torch.float64)
    try:
        outputs = model(probe).shape[-1]
    except RuntimeError as error:
        raise ProblemError(f"the model does not take {problem.inputs} inputs: {error}") from error
    if outputs != len(problem.fields):
        raise ProblemError(f"the model has {outputs} outputs, the problem {len(problem.fields)} fields")
    return model


@torch.no_grad()
def _redrawn(model: nn.Module, x: Tensor, roughness: float, generator: torch.Generator) -> nn.Module:
    """A copy with new initial values, layer by layer on the range that its inputs have for x.

    `roughness` is noise on the coefficients of a curve relative to the slope of its line, beside the tenth of
    `KANLinear.reset_parameters`: smooth solutions are found from lines, oscillating ones from noise.
    """
    model = copy.deepcopy(model)

    def redraw(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(layer, KANLinear):
            layer.grid.copy_(layer.basis.fit_grid(inputs[0], layer.grid, margin=MARGIN))
            layer.reset_parameters(generator)
            noise = torch.randn(layer.coef.shape, generator=generator, dtype=torch.float64)
            layer.coef.add_(noise, alpha=roughness * layer.in_features**-0.5)
        elif isinstance(layer, nn.Linear):
            bound = math.sqrt(6 / (layer.in_features + layer.out_features)) * (1 + 2 * roughness)
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)

    handles = [m.register_forward_pre_hook(redraw) for m in model.modules() if isinstance(m, KANLinear | nn.Linear)]
    model(x)
    for handle in handles:
        handle.remove()
    return model


def _refinable(model: nn.Module) -> bool:
    layers = [m for m in model.modules() if isinstance(m, KANLinear)]
    return bool(layers) and all(isinstance(layer.basis, BSpline) and layer.adapter is None for layer in layers)


def _resolution(model: nn.Module) -> int:
    bases = [m.basis for m in model.modules() if isinstance(m, KANLinear)]
    return max((b.intervals for b in bases if isinstance(b, BSpline)), default=0)


def _windows(problem: Problem, windows: int, done: list[Solution]) -> Iterator[Problem]:
    """The problem in every window of time, each starting from what the one before it has reached (see `done`)."""
    if windows == 1:
        yield problem
        return
    starts = [c for c in problem.conditions if c.on == f"{TIME}-"]
    if TIME not in problem.domain.coordinates or not starts:
        raise ProblemError("windows cut time: the domain needs a coordinate `t` and an `initial` condition")
    if problem.ansatz is not None and TIME in problem.ansatz.__code__.co_varnames:
        raise ProblemError("windows need a soft initial condition; this ansatz depends on t")
    begin, end = problem.domain.bounds[problem.domain.coordinates.index(TIME)]
    edges = torch.linspace(begin, end, windows + 1, dtype=torch.float64).tolist()
    for n in range(windows):
        conditions = problem.conditions if n == 0 else [_continued(c, done[-1]) for c in problem.conditions]
        domain = _between(problem.domain, edges[n], edges[n + 1])
        unknowns = problem.unknowns if n == 0 else done[-1].unknowns
        yield dataclasses.replace(problem, domain=domain, conditions=conditions, unknowns=unknowns)


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


def _moved(model: nn.Module, old: Problem, new: Problem) -> nn.Module:
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


def _joined(problem: Problem, parts: list[Solution]) -> Solution:
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
