r"""The recipe of `optimizer="auto"`: a search over starts, then higher degrees and finer grids, by Levenberg-Marquardt.

1. Scale the data; hold a part out to choose by.
2. Many starts, every edge a random line, on three intervals; after a few steps the better part goes on, and again
   (successive halving).
3. Refit every hidden grid to the present range of its inputs every few steps.
4. From the winner, raise the degree, then the number of intervals, while the error held out falls and the samples
   allow it.
5. At every rung try to smooth, with the strength of greatest evidence; the error held out decides.
6. Polish the chosen network on all samples.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.fit.callbacks import Callback, State
from edgewise.fit.data import Samples
from edgewise.fit.progress import Progress
from edgewise.fit.result import FitResult
from edgewise.fit.starts import FAR_REACH, OCCUPIED, REACH, random_lines, track
from edgewise.fit.units import Units
from edgewise.nn import KAN, KANLinear
from edgewise.optim import Loss
from edgewise.optim.jacobian import Problem
from edgewise.optim.levenberg_marquardt import LevenbergMarquardt
from edgewise.optim.network import Network, Numbers
from edgewise.optim.smoothing import Smoothing

_log = logging.getLogger(__name__)

SEARCH_SAMPLES = 600
SEARCH_WORK = 1e10  # multiplications of the first round of the search: about a second
RUNG_WORK = 2.5e11  # of one rung of the extension
STARTS = 32
SPARE = 1 / 3  # parameters per sample, without smoothing
SPARE_SMOOTH = 0.95  # parameters per sample, with smoothing
CLEAN = 1e-3  # relative error held out below which there is no noise to fit
CLEAN_ORDER = 4  # the derivative that smoothing penalises where there is no noise
UNLEARNT = 0.25  # relative loss held out above which the next grid begins anew, and four may bring nothing
FEW = 10
KEPT_DAMPING = 1e-4  # damping carried into a new stage, at most
USUAL_STAGES = 16
WORTH_IT = 0.8  # a network without smoothing must have this share of the error of the smooth one
EXACT = 1e-15  # relative error below which nothing is left to gain

MARGIN = 2.0  # expected gaps between the outermost sample and the end of its range


@dataclass(frozen=True)
class Recipe:
    """The choices of the recipe; see `fit`."""

    starts: int | None = None
    extend: bool = True
    degrees: tuple[int, ...] = (3, 5, 7, 9)
    smoothing: bool | float | None = None
    max_parameters: int | None = None
    rungs: int | None = None
    steps: int = 40
    seconds: float = math.inf
    seed: int = 0


@dataclass
class Candidate:
    """S networks on their way: their numbers, damping and smoothing."""

    network: Network
    numbers: Numbers
    damping: Tensor | None = None
    prior: Smoothing | None = None
    gram: Tensor | None = None

    def take(self, index: Tensor) -> Candidate:
        """Some of the starts."""
        return dataclasses.replace(
            self,
            numbers=self.numbers[index],
            damping=None if self.damping is None else self.damping[index],
            prior=None if self.prior is None else self.prior[index],
            gram=None,
        )


@dataclass
class Choice:
    """The best network so far by the loss held out."""

    candidate: Candidate
    basis: Basis | None
    value: float
    error: float


@dataclass
class _Run:
    """One run of the recipe: its data in the network's units, and what it found."""

    recipe: Recipe
    model: KAN
    units: Units
    train: Samples
    held: Samples
    loss: Loss
    callbacks: Sequence[Callback]
    progress: Progress
    raw_held: Samples
    box: Tensor
    start: float = field(default_factory=time.monotonic)
    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    best: Choice | None = None
    stopped: str = "finished"
    clean: bool = False  # a network came so near that there is no noise

    @property
    def deadline(self) -> float:
        return self.start + self.recipe.seconds

    @property
    def noiseless(self) -> float:
        """The loss held out below which there is no noise to fit."""
        spread = float(self.held.y.var(0, correction=0).mean()) if self.loss.units else 1.0
        return CLEAN**2 * (spread or 1.0)

    @property
    def late(self) -> bool:
        return time.monotonic() > self.deadline

    @property
    def fraction(self) -> float:
        """How far the run is, by time where that is limited, else by the usual number of stages."""
        if math.isfinite(self.recipe.seconds):
            return min(1.0, (time.monotonic() - self.start) / max(self.recipe.seconds, 1e-9))
        return min(0.99, len(self.history) / USUAL_STAGES)

    @property
    def final_basis(self) -> Basis | None:
        """The basis that the result must have; None where it is free."""
        given = _first_layer(self.model).basis
        return None if (self.recipe.extend and isinstance(given, BSpline)) or self.recipe.starts == 0 else given

    def samples(self, count: int) -> Samples:
        """The first training samples; their order is random."""
        return self.train if count >= len(self.train) else self.train[:count]


def auto(
    model: KAN,
    train: Samples,
    held: Samples | None,
    loss: Loss,
    recipe: Recipe,
    callbacks: Sequence[Callback],
    progress: Progress,
) -> FitResult:
    """Run the recipe on a float64 model and data; `held` None holds a part of `train` out and polishes on all."""
    warm = recipe.starts == 0
    if warm:
        units = Units.of_model(model)
    else:
        units = Units.of_data(train.x, train.y, model.out_features, scale_outputs=loss.units)
    part, chosen_by = _hold_out(train, recipe.seed) if held is None else (train, held)
    scaled = [_scaled(samples, units, loss) for samples in (part, chosen_by, train)]
    run = _Run(
        recipe, model, units, scaled[0], scaled[1], loss, callbacks, progress, chosen_by, _box(scaled[2].x, recipe.seed)
    )
    try:
        if warm:
            at = _descend_from_given(run)
            if recipe.extend:
                _extend(run, at)
        else:
            _extend(run, _search(run))
        if held is None and run.stopped == "finished" and recipe.rungs is None:
            _polish(run, scaled[2])
    except KeyboardInterrupt:
        run.stopped = "interrupted"
    if run.best is None:
        if run.stopped == "interrupted":
            raise KeyboardInterrupt("fit was interrupted before its first stage ended")
        raise ValueError(f"no start has a finite {loss.name} loss; check the data, or give the model a wider grid")
    if run.late and run.stopped == "finished":
        run.stopped = "time"
    return _result(run, train, held)


def _search(run: _Run) -> Candidate:
    """Successive halving over random starts; one network is left, on ten intervals."""
    recipe = run.recipe
    basis = BSpline(3, recipe.degrees[0], extrapolation=_extrapolation(run.model))
    network = Network.of(run.model)[0].with_bases([basis] * len(Network.of(run.model)[0].edges), None)
    samples = min(len(run.train), max(SEARCH_SAMPLES, 3 * network.parameters))
    work = 15.0 * samples * network.parameters**2
    starts = recipe.starts or int(min(STARTS, max(2, SEARCH_WORK / work)))
    generator = torch.Generator().manual_seed(recipe.seed)
    numbers = random_lines(network, starts, generator)
    at = Candidate(network, numbers, prior=_first_prior(run, network, starts))
    some = run.samples(samples)
    at = _stage(run, at, some, basis, 15, every=5, name=f"search, {starts} starts")
    at = _halve(run, at, math.ceil(starts * 0.3))
    at = _stage(run, at, some, basis, 30, every=10, name=f"search, {len(at.numbers)} starts")
    at = _halve(run, at, math.ceil(starts / 8))
    for intervals, steps in ((5, 60), (10, 40)):
        finer = basis.resized(intervals)
        if not _affordable(run, at.network, finer, steps, SPARE) or run.late:
            break
        at = _stage(run, at, run.train, finer, steps, every=15, name=f"search, {len(at.numbers)} starts")
        at = _halve(run, at, max(1, len(at.numbers) // 2))
    return _halve(run, at, 1)


def _extend(run: _Run, at: Candidate) -> None:
    """Rung after rung from the searched network, smoothed and not, while the loss held out falls."""
    worse = 0
    spare = SPARE if run.recipe.smoothing is False else SPARE_SMOOTH
    for basis in _rungs(run, at)[: run.recipe.rungs]:
        patience = 4 if _unlearnt(run) else 2
        if run.best is not None and (run.late or run.stopped != "finished" or worse >= patience):
            break  # a given basis is reached even when the time is up: without it there is nothing to return
        if run.final_basis is None and not _affordable(run, at.network, basis, run.recipe.steps, spare):
            break
        before = math.inf if run.best is None else run.best.value
        at = _rung(run, at, basis)
        worse = worse + 1 if run.best is not None and run.best.value >= 0.9 * before else 0
        if run.best is not None and run.best.value < EXACT**2:
            break


def _rung(run: _Run, at: Candidate, basis: Basis) -> Candidate:
    """One basis: with smoothing and without, as asked for; the better one goes on."""
    wanted = run.recipe.smoothing
    name = f"{type(basis).__name__}({getattr(basis, 'intervals', basis.size)}, {getattr(basis, 'degree', '-')})"
    ends: list[Candidate] = []
    if wanted is not False:
        if _unlearnt(run) or (run.clean and at.prior is not None and at.prior.order == 2):
            network = at.network.with_bases([basis] * len(at.network.edges), None)
            at = dataclasses.replace(at, prior=_first_prior(run, network, len(at.numbers)))
        ends.append(_stage(run, at, run.train, basis, run.recipe.steps, every=10, name=f"{name}, smoothed"))
    if (wanted is None or wanted is False) and (not ends or run.clean or _affordable(run, at.network, basis, 1, SPARE)):
        plain = dataclasses.replace(ends[-1] if ends else at, prior=None)
        ends.append(_stage(run, plain, run.train, basis, run.recipe.steps, every=10, name=name))
    values = [float(_held_loss(run, end)[0]) for end in ends]
    end = ends[-1]
    if len(ends) == 2 and not values[1] < WORTH_IT * values[0]:
        end = ends[0]
    return end if end.prior is not None else dataclasses.replace(end, prior=ends[0].prior)


def _first_prior(run: _Run, network: Network, starts: int) -> Smoothing | None:
    """The smoothing asked for; where the data shall decide, one so weak that they can."""
    wanted = run.recipe.smoothing
    if wanted is False:
        return None
    if not isinstance(wanted, bool | None):
        return Smoothing.constant(network, starts, wanted)
    return Smoothing.weak(network, starts, len(run.train), order=CLEAN_ORDER if run.clean else 2)


def _unlearnt(run: _Run) -> bool:
    """So little is explained that smoothing may have hidden all there is: the evidence has a maximum there, too."""
    return run.best is None or (run.loss.units and run.best.value > UNLEARNT)


def _rungs(run: _Run, at: Candidate) -> list[Basis]:
    """The bases to try, in order: higher degrees on the intervals reached, then twice the intervals again and again."""
    given = _first_layer(run.model).basis
    if run.final_basis is not None:
        return [run.final_basis]
    assert isinstance(given, BSpline)
    top = max(run.recipe.degrees)
    reached = at.network.edges[0].basis
    intervals = reached.intervals if isinstance(reached, BSpline) else 10
    base = dataclasses.replace(given, knots="clamped", degree=top, intervals=intervals)
    middle = [d for d in run.recipe.degrees if run.recipe.degrees[0] < d < top]
    first = [dataclasses.replace(base, degree=d) for d in middle]
    return [*first, *(dataclasses.replace(base, intervals=intervals * 2**n) for n in range(8))]


def _descend_from_given(run: _Run) -> Candidate:
    """From the model's own numbers, on its own grids; on finer ones afterwards if the recipe extends.

    Without smoothing where there is no noise to smooth away: from the start if the model comes so near as it is, else
    in a second stage.
    """
    network, numbers = Network.of(run.model)
    at = Candidate(network, numbers, prior=_first_prior(run, network, 1))
    determined = run.recipe.smoothing is None and network.parameters < SPARE_SMOOTH * len(run.train)
    run.clean = bool(_held_loss(run, at)[0] < run.noiseless)
    if not (determined and run.clean):
        at = _stage(run, at, run.train, None, run.recipe.steps, every=10, name="given numbers")
    if not (determined and run.clean) or run.late:
        return at
    plain = dataclasses.replace(at, prior=None)
    plain = _stage(run, plain, run.train, None, run.recipe.steps, every=10, name="given numbers, not smoothed")
    better = bool(_held_loss(run, plain)[0] < WORTH_IT * _held_loss(run, at)[0])
    return dataclasses.replace(plain, prior=at.prior) if better else at


def _stage(
    run: _Run, at: Candidate, samples: Samples, basis: Basis | None, steps: int, *, every: int, name: str
) -> Candidate:
    """Levenberg-Marquardt steps from every start; on `basis` the hidden grids follow every `every` steps."""
    problem_x = run.train.x.T.contiguous()
    count = (
        len(samples) if samples.weights is None else float(samples.weights.sum() ** 2 / samples.weights.square().sum())
    )
    occupied = OCCUPIED if len(at.numbers) == 1 and run.recipe.extend else 0
    smoothing, prior, damping = at.prior is not None, at.prior, at.damping
    network, numbers, gram = at.network, at.numbers, at.gram
    method = LevenbergMarquardt()
    done, losses = 0, numbers.theta.new_full((len(numbers),), math.inf)
    while done < steps:
        if basis is not None:
            network, numbers = track(
                network,
                numbers,
                problem_x,
                basis,
                box=run.box,
                occupied=occupied,
                reach=FAR_REACH if run.clean else REACH,
            )
        prior = None if prior is None else prior.moved(network)
        problem = Problem(network, samples.x, samples.y, samples.weights, run.loss)
        took = min(every, steps - done)
        end = method.minimize(
            problem,
            numbers,
            took,
            damping=None if damping is None else damping.clamp(max=KEPT_DAMPING),
            prior=prior,
            deadline=run.deadline,
        )
        numbers, damping, gram, losses = end.numbers, end.damping, end.gram, end.losses
        if prior is not None:
            prior = prior.updated(numbers, gram, losses, count, not run.loss.units)
        done += took
        run.steps += end.steps
        if run.late or (end.steps < took and done >= 2 * every):
            break
    result = Candidate(network, numbers, damping, prior if smoothing else None, gram)
    _note(run, result, basis, name, losses)
    return result


def _polish(run: _Run, whole: Samples) -> None:
    """The chosen network once more, on all samples."""
    assert run.best is not None
    chosen, run.best = run.best, None
    at = _stage(run, chosen.candidate, whole, chosen.basis, 20, every=20, name="polish on all samples")
    run.best = dataclasses.replace(chosen, candidate=at)


def _halve(run: _Run, at: Candidate, count: int) -> Candidate:
    values = _held_loss(run, at)
    order = torch.where(values.isfinite(), values, torch.inf).argsort(stable=True)
    return at.take(order[:count])


def _held_loss(run: _Run, at: Candidate) -> Tensor:
    return Problem(at.network, run.held.x, run.held.y, run.held.weights, run.loss).losses(at.numbers)


def _note(run: _Run, at: Candidate, basis: Basis | None, name: str, losses: Tensor) -> None:
    """Record a stage, keep its best network if it is the best so far, tell the callbacks and the display."""
    held = _held_loss(run, at)
    n = int(torch.where(held.isfinite(), held, torch.inf).argmin())
    value = float(held[n])
    final = run.final_basis
    better = run.best is None or value < (1 if at.prior is not None else WORTH_IT) * run.best.value
    if math.isfinite(value) and better and final in (None, basis):
        candidate = at.take(torch.tensor([n]))
        run.best = Choice(candidate, basis, value, _loss(_model(run, candidate), run.raw_held, run.loss))
        run.clean = run.clean or value < run.noiseless
    record = {
        "step": run.steps,
        "stage": name,
        "loss": float(losses[n]),
        "validation": value,
        "parameters": at.network.parameters,
    }
    run.history.append(record)
    _log.info("fit: %s: %s", name, record)
    best = value if run.best is None else run.best.value
    run.progress.update(run.fraction, f"{name}, {record['parameters']} parameters", best)
    if run.callbacks:
        seen = State(_model(run, at if run.best is None else run.best.candidate), run.steps, record)
        if any([callback(seen) for callback in run.callbacks]):
            run.stopped = "callback"


def _affordable(run: _Run, network: Network, basis: Basis, steps: int, spare: float) -> bool:
    """There are at most `spare` parameters per sample, no more than asked for, and the work is bounded."""
    parameters = network.with_bases([basis] * len(network.edges), None).parameters
    outputs = run.model.out_features
    count = len(run.train) * (1 if run.loss.labels else outputs)
    work = steps * parameters**2 * (len(run.train) * outputs + parameters / 3)
    most = min(spare * count, math.inf if run.recipe.max_parameters is None else run.recipe.max_parameters)
    return parameters <= most and work <= RUNG_WORK


def _result(run: _Run, train: Samples, held: Samples | None) -> FitResult:
    assert run.best is not None
    model = _model(run, run.best.candidate)
    report: dict[str, Any] = {
        "optimizer": "auto",
        "loss_name": run.loss.name,
        "steps": run.steps,
        "stopped": run.stopped,
        "seconds": time.monotonic() - run.start,
        "seed": run.recipe.seed,
        "loss": _loss(model, train, run.loss),
        "validation": run.best.error if held is None else _loss(model, held, run.loss),
        "parameters": run.best.candidate.network.parameters,
        "basis": _first_layer(model).basis.to_json(),
        "smoothed": run.best.candidate.prior is not None,
        "notes": [],
    }
    return FitResult(model, run.history, report)


def _model(run: _Run, at: Candidate) -> KAN:
    units = run.units
    return at.network.model(at.numbers, 0, run.model, units.input_affine(), units.output_affine())


@torch.no_grad()
def _loss(model: KAN, samples: Samples, loss: Loss) -> float:
    return float(loss(model(samples.x), samples.y, samples.weights))


def _scaled(samples: Samples, units: Units, loss: Loss) -> Samples:
    return Samples(units.inputs(samples.x), samples.y if loss.labels else units.targets(samples.y), samples.weights)


def _box(x: Tensor, seed: int) -> Tensor:
    """Points on corners, edges, faces and the diagonal of the box of the inputs, where a layer may see more.

    The box is wider than the samples by twice the gap that n even draws leave at an end: the last pieces of the curves,
    and not straight lines, answer for inputs there.
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = x.amin(0), x.amax(0)
    gap = MARGIN * (high - low) / len(x)
    low, high = low - gap, high + gap
    t = torch.rand(2000, x.shape[1], generator=generator, dtype=x.dtype)
    side = torch.randint(0, 5, t.shape, generator=generator)
    t = torch.where(side < 2, side.to(t.dtype), t)
    diagonal = torch.linspace(0, 1, 33, dtype=x.dtype)[:, None].expand(-1, x.shape[1])  # far out where inputs are many
    t = torch.cat([t, diagonal])
    return (low + (high - low) * t).T.contiguous()


def _hold_out(samples: Samples, seed: int) -> tuple[Samples, Samples]:
    """A fifth of the samples to choose by; all of them twice where there are too few to split."""
    if len(samples) < FEW:
        return samples, samples
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(samples), generator=generator)
    center = (samples.x.amax(0) + samples.x.amin(0)) / 2
    signs = 2.0 * torch.randint(2, (64, samples.x.shape[1]), generator=generator).to(samples.x.dtype) - 1
    outer = torch.cat([signs, torch.eye(len(center)).to(signs), -torch.eye(len(center)).to(signs)])
    extreme = ((samples.x - center) @ outer.T).argmax(0).unique()
    inner = order[~torch.isin(order, extreme)]
    held = inner[: len(samples) // 5]
    return samples[order[~torch.isin(order, held)]], samples[held]


def _first_layer(model: KAN) -> KANLinear:
    layer = model.layers[0]
    assert isinstance(layer, KANLinear)
    return layer


def _extrapolation(model: KAN) -> Any:
    basis = _first_layer(model).basis
    return basis.extrapolation if isinstance(basis, BSpline) else "linear"
