"""What a run of the recipe knows, and one stage of it: Levenberg-Marquardt steps from several starts at once."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.nn import KAN, KANLinear
from edgewise.optim import Loss
from edgewise.optim.flat import Network, Parameters
from edgewise.optim.jacobian import NetworkLeastSquares
from edgewise.optim.least_squares import levenberg_marquardt
from edgewise.optim.smoothing import Smoothing
from edgewise.progress import Budget
from edgewise.training.callbacks import Callback, State
from edgewise.training.data import Samples
from edgewise.training.initial import FAR_REACH, OCCUPIED, REACH, track
from edgewise.training.progress import Progress
from edgewise.training.result import FitResult
from edgewise.training.scaling import Units

_log = logging.getLogger(__name__)

CLEAN = 1e-3  # relative error held out below which there is no noise to fit
KEPT_DAMPING = 1e-4  # damping carried into a new stage, at most
USUAL_STAGES = 16
WORTH_IT = 0.8  # a network without smoothing must have this share of the error of the smooth one
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
    numbers: Parameters
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
class Run:
    """One run of the recipe: its data in the network's units, and what it found."""

    recipe: Recipe
    model: KAN
    units: Units
    train: Samples
    held: Samples
    loss: Loss
    callbacks: Sequence[Callback]
    progress: Progress
    whole: Samples
    raw_held: Samples
    box: Tensor
    start: float = field(default_factory=time.monotonic)
    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    best: Choice | None = None
    stopped: str = "finished"
    clean: bool = False  # a network came so near that there is no noise

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        model: KAN,
        units: Units,
        loss: Loss,
        callbacks: Sequence[Callback],
        progress: Progress,
        data: tuple[Samples, Samples, Samples],
    ) -> Run:
        """A run on samples in the user's units: to train on, to choose by, and all."""
        train, held, whole = (_scaled(samples, units, loss) for samples in data)
        box = _box(whole.x, recipe.seed)
        return cls(recipe, model, units, train, held, loss, callbacks, progress, whole, data[1], box)

    @property
    def deadline(self) -> float:
        """When the time is up."""
        return self.start + self.recipe.seconds

    @property
    def noiseless(self) -> float:
        """The loss held out below which there is no noise to fit."""
        spread = float(self.held.y.var(0, correction=0).mean()) if self.loss.units else 1.0
        return CLEAN**2 * (spread or 1.0)

    @property
    def late(self) -> bool:
        """Whether it is."""
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
        given = first_layer(self.model).basis
        return None if (self.recipe.extend and isinstance(given, BSpline)) or self.recipe.starts == 0 else given

    def samples(self, count: int) -> Samples:
        """The first training samples; their order is random."""
        return self.train if count >= len(self.train) else self.train[:count]

    def stage(
        self, at: Candidate, samples: Samples, basis: Basis | None, steps: int, *, every: int, name: str
    ) -> Candidate:
        """Levenberg-Marquardt steps from every start; on `basis` the hidden grids follow every `every` steps."""
        problem_x = self.train.x.T.contiguous()
        weights = samples.weights
        count = len(samples) if weights is None else float(weights.sum() ** 2 / weights.square().sum())
        occupied = OCCUPIED if len(at.numbers) == 1 and self.recipe.extend else 0
        smoothing, prior, damping = at.prior is not None, at.prior, at.damping
        network, numbers, gram = at.network, at.numbers, at.gram
        done, losses = 0, numbers.theta.new_full((len(numbers),), math.inf)
        while done < steps:
            if basis is not None:
                network, numbers = track(
                    network,
                    numbers,
                    problem_x,
                    basis,
                    box=self.box,
                    occupied=occupied,
                    reach=FAR_REACH if self.clean else REACH,
                )
            prior = None if prior is None else prior.moved(network)
            problem = NetworkLeastSquares(network, numbers.grids, samples.x, samples.y, samples.weights, self.loss)
            took = min(every, steps - done)
            end = levenberg_marquardt(
                problem,
                numbers.theta,
                took,
                mu=1e-3 if damping is None else damping.clamp(max=KEPT_DAMPING),
                prior=prior,
                budget=Budget(max(0.0, self.deadline - time.monotonic())),
            )
            numbers = Parameters(end.theta, numbers.grids)
            damping, gram, losses = end.mu, end.gram, end.losses
            if prior is not None:
                prior = prior.updated(end.theta, gram, losses, count, not self.loss.units)
            done += took
            self.steps += end.steps
            if self.late or (end.steps < took and done >= 2 * every):
                break
        result = Candidate(network, numbers, damping, prior if smoothing else None, gram)
        self._note(result, basis, name, losses)
        return result

    def halve(self, at: Candidate, count: int) -> Candidate:
        """The best of the starts by the loss held out."""
        values = self.held_loss(at)
        order = torch.where(values.isfinite(), values, torch.inf).argsort(stable=True)
        return at.take(order[:count])

    def held_loss(self, at: Candidate) -> Float[Tensor, " starts"]:
        """The loss of every start at the samples held out, in the network's units."""
        held = NetworkLeastSquares(at.network, at.numbers.grids, self.held.x, self.held.y, self.held.weights, self.loss)
        return held.losses(at.numbers.theta)

    def result(self, train: Samples, held: Samples | None) -> FitResult:
        """The best network, with its losses at samples in the user's units."""
        assert self.best is not None
        model = self._model(self.best.candidate)
        report: dict[str, Any] = {
            "optimizer": "auto",
            "loss_name": self.loss.name,
            "steps": self.steps,
            "stopped": self.stopped,
            "seconds": time.monotonic() - self.start,
            "seed": self.recipe.seed,
            "loss": _loss(model, train, self.loss),
            "validation": self.best.error if held is None else _loss(model, held, self.loss),
            "parameters": self.best.candidate.network.parameters,
            "basis": first_layer(model).basis.to_json(),
            "smoothed": self.best.candidate.prior is not None,
            "notes": [],
        }
        return FitResult(model, self.history, report)

    def _note(self, at: Candidate, basis: Basis | None, name: str, losses: Tensor) -> None:
        """Record a stage, keep its best network if it is the best so far, tell the callbacks and the display."""
        held = self.held_loss(at)
        n = int(torch.where(held.isfinite(), held, torch.inf).argmin())
        value = float(held[n])
        final = self.final_basis
        better = self.best is None or value < (1 if at.prior is not None else WORTH_IT) * self.best.value
        if math.isfinite(value) and better and final in (None, basis):
            candidate = at.take(torch.tensor([n]))
            self.best = Choice(candidate, basis, value, _loss(self._model(candidate), self.raw_held, self.loss))
            self.clean = self.clean or value < self.noiseless
        record = {
            "step": self.steps,
            "stage": name,
            "loss": float(losses[n]),
            "validation": value,
            "parameters": at.network.parameters,
        }
        self.history.append(record)
        _log.info("fit: %s: %s", name, record)
        best = value if self.best is None else self.best.value
        self.progress.update(self.fraction, f"{name}, {record['parameters']} parameters", best)
        if self.callbacks:
            seen = State(self._model(at if self.best is None else self.best.candidate), self.steps, record)
            if any([callback(seen) for callback in self.callbacks]):
                self.stopped = "callback"

    def _model(self, at: Candidate) -> KAN:
        units = self.units
        return at.network.model(at.numbers, 0, self.model, units.input_affine(), units.output_affine())


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


def first_layer(model: KAN) -> KANLinear:
    """The first layer of a network of curves."""
    layer = model.layers[0]
    assert isinstance(layer, KANLinear)
    return layer
