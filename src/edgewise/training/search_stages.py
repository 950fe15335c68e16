"""One search as a value, and one stage of it: Levenberg-Marquardt steps from several starts at once."""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.bases.bspline import Extrapolation
from edgewise.callbacks import State, ended_by
from edgewise.nn import KAN, KANLinear
from edgewise.optim import Loss, Network, NetworkLeastSquares, Parameters, Smoothing, levenberg_marquardt
from edgewise.progress import Budget, Event
from edgewise.training.keep import Best
from edgewise.training.methods import STEPS, Auto
from edgewise.training.result import FitReport, FitResult, Record, Stop
from edgewise.training.samples import Run, Samples
from edgewise.training.search_starts import FAR_REACH, OCCUPIED, REACH, Units, track

_log = logging.getLogger(__name__)

CLEAN = 1e-3  # relative held-out error below which there is no noise to fit
FIRST_DAMPING = 1e-3
KEPT_DAMPING = 1e-4  # damping carried into a new stage, at most
USUAL_STAGES = 16
HOPELESS = 100.0  # held-out losses above so many times the least one are not followed further
WORTH_IT = 0.8  # a network without smoothing must have this share of the error of the smooth one
MARGIN = 2.0  # expected gaps between the outermost sample and the end of its range


@dataclass(frozen=True)
class AdditiveFit:
    """A sum of curves, one per input and output, on `basis`, with its held-out loss in the network's units."""

    basis: BSpline
    network: Network
    parameters: Parameters
    error: float


@dataclass
class Starts:
    """S networks of one structure that are trained at once: their parameters, damping and smoothing.

    `sum` is the sum of curves that a single network equals, where it does.
    """

    network: Network
    parameters: Parameters
    damping: Tensor | None = None
    prior: Smoothing | None = None
    sum: AdditiveFit | None = None

    def take(self, index: Tensor) -> Starts:
        """Some of the starts."""
        return dataclasses.replace(
            self,
            parameters=self.parameters[index],
            damping=None if self.damping is None else self.damping[index],
            prior=None if self.prior is None else self.prior[index],
        )


@dataclass(frozen=True)
class Choice:
    """A network that was the best one; `error` is its held-out loss in the user's units, once that is fixed."""

    starts: Starts
    basis: Basis | None
    error: float | None = None


@dataclass
class Search:
    """One search: what was asked for, its data in the network's units, and what it found.

    Args:
        run: the loss, the callbacks and the seed; its model is in float64.
        method: the settings.
        units: the units of the network.
        data: samples in the user's units: to train on, to choose by, and all.
        budget: the time limit.
        rungs: the number of bases to extend to; None for all.
    """

    run: Run
    method: Auto
    units: Units
    data: tuple[Samples, Samples, Samples]
    budget: Budget
    rungs: int | None = None
    history: list[Record] = field(default_factory=list)
    steps: int = 0
    best: Best[Choice] = field(default_factory=Best[Choice])
    stopped: Stop = "finished"
    clean: bool = False  # a network came so near that there is no noise
    sums: list[AdditiveFit] = field(default_factory=list)  # of curves on finer and finer grids, where they were tried
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.train, self.held, self.whole = (self._scaled(samples) for samples in self.data)
        self.box = _box(self.whole.x, self.run.seed)

    @property
    def model(self) -> KAN:
        """The model that the search was given."""
        assert isinstance(self.run.model, KAN)
        return self.run.model

    @property
    def loss(self) -> Loss:
        """The loss that is minimised."""
        return self.run.loss

    @property
    def count(self) -> int:
        """Steps on every grid."""
        return STEPS if self.method.steps is None else self.method.steps

    @property
    def extrapolation(self) -> Extrapolation:
        """What the curves of the model are outside their grids."""
        basis = first_layer(self.model).basis
        return basis.extrapolation if isinstance(basis, BSpline) else "linear"

    @property
    def noiseless(self) -> float:
        """The held-out loss below which there is no noise to fit."""
        spread = self.variance if self.loss.units else 1.0
        return CLEAN**2 * (spread or 1.0)

    @property
    def variance(self) -> float:
        """That of the held-out targets, in the network's units."""
        return float(self.held.y.double().var(0, correction=0).mean())

    @property
    def least_sum(self) -> float:
        """The held-out loss of the best sum of curves; infinite where none was tried."""
        return min((fit.error for fit in self.sums), default=math.inf)

    @property
    def fraction(self) -> float:
        """How far the search is: by time where that is limited, else by the usual number of stages."""
        if math.isfinite(self.budget.seconds):
            return self.budget.fraction
        return min(0.99, len(self.history) / USUAL_STAGES)

    @property
    def final_basis(self) -> Basis | None:
        """The basis that the result must have; None where it is free."""
        given = first_layer(self.model).basis
        return None if (self.method.extend and isinstance(given, BSpline)) or self.method.starts == 0 else given

    def stage(self, at: Starts, samples: Samples, basis: Basis | None, steps: int, *, every: int, name: str) -> Starts:
        """Levenberg-Marquardt steps from every start; on `basis` the hidden grids follow every `every` steps."""
        weights = samples.weights
        count = len(samples) if weights is None else float(weights.sum() ** 2 / weights.square().sum())
        prior, damping, network, parameters = at.prior, at.damping, at.network, at.parameters
        done, losses = 0, parameters.theta.new_full((len(parameters),), math.inf)
        while done < steps:
            if basis is not None:
                network, parameters = self._tracked(network, parameters, basis)
            prior = None if prior is None else prior.moved(network)
            took = min(every, steps - done)
            end = levenberg_marquardt(
                NetworkLeastSquares(network, parameters.grids, samples.x, samples.y, samples.weights, self.loss),
                parameters.theta,
                took,
                mu=FIRST_DAMPING if damping is None else damping.clamp(max=KEPT_DAMPING),
                prior=prior,
                budget=self.budget,
            )
            parameters, damping, losses = Parameters(end.theta, parameters.grids), end.mu, end.losses
            if prior is not None:
                prior = prior.updated(end.theta, end.gram, losses, count, self.loss.known_noise)
            done += took
            self.steps += end.steps
            result = Starts(network, parameters, damping, prior)
            if self.budget.over or (done >= 2 * every and (end.steps < took or self.is_hopeless(result))):
                break
        result = Starts(network, parameters, damping, prior)
        self.note(result, basis, name, losses)
        return result

    def note(self, at: Starts, basis: Basis | None, name: str, losses: Tensor) -> None:
        """Record a stage, keep its best network if it is the best so far, tell the callbacks and the listener."""
        held = self.held_loss(at)
        n = int(torch.where(held.isfinite(), held, torch.inf).argmin())
        value = float(held[n])
        better = self.best.beaten_by(value, 1 if at.prior is not None else WORTH_IT)
        if math.isfinite(value) and better and self.final_basis in (None, basis):
            self.best.keep(value, Choice(at.take(torch.tensor([n])), basis))
            self.clean = self.clean or value < self.noiseless
        record: Record = {
            "step": self.steps,
            "stage": name,
            "loss": float(losses[n]),
            "validation": value,
            "parameters": at.network.parameters,
        }
        self.history.append(record)
        _log.info("fit: %s: %s", name, record)
        best = value if self.best.state is None else self.best.value
        self.run.tell(Event(f"{name}, {record['parameters']} parameters", self.fraction, f"best {best:.3g}"))
        if self.run.callbacks:
            shown = at if self.best.state is None else self.best.state.starts
            if ended_by(self.run.callbacks, State(self.network_model(shown), self.steps, record)):
                self.stopped = "callback"

    def halve(self, at: Starts, count: int) -> Starts:
        """The best `count` of the starts by the held-out loss."""
        values = self.held_loss(at)
        order = torch.where(values.isfinite(), values, torch.inf).argsort(stable=True)
        return at.take(order[:count])

    def held_loss(self, at: Starts) -> Float[Tensor, " starts"]:
        """The held-out loss of every start, in the network's units."""
        return self.loss_on(self.held, at)

    def loss_on(self, samples: Samples, at: Starts) -> Float[Tensor, " starts"]:
        """The loss of every start on samples in the network's units."""
        problem = NetworkLeastSquares(at.network, at.parameters.grids, samples.x, samples.y, samples.weights, self.loss)
        return problem.losses(at.parameters.theta)

    def share(self, loss: float) -> float:
        """A squared error in the network's units as a root and a share of the spread of the held-out targets."""
        return (loss / self.variance) ** 0.5

    def is_hopeless(self, at: Starts) -> bool:
        """Whether a single network is so far behind the best one that more steps will not bring it there."""
        if self.best.state is None or len(at.parameters) > 1:
            return False
        return not bool(self.held_loss(at)[0] <= HOPELESS * self.best.value)

    def fix_error(self) -> Choice:
        """The best network, with its held-out loss before it sees the held-out samples."""
        assert self.best.state is not None
        choice = self.best.state
        if choice.error is None:
            choice = dataclasses.replace(
                choice, error=_loss(self.network_model(choice.starts), self.data[1], self.loss)
            )
            self.best.keep(self.best.value, choice)
        return choice

    def result(self, train: Samples, held: Samples | None) -> FitResult:
        """The best network, with its losses at samples in the user's units."""
        choice = self.fix_error()
        model = self.network_model(choice.starts)
        report = FitReport(
            method="auto",
            loss_name=self.loss.name,
            steps=self.steps,
            stopped=self.stopped,
            seconds=self.budget.spent,
            seed=self.run.seed,
            loss=_loss(model, train, self.loss),
            parameters=choice.starts.network.parameters,
            validation=choice.error if held is None else _loss(model, held, self.loss),
            basis=first_layer(model).basis,
            smoothed=choice.starts.prior is not None,
            notes=tuple(self.notes),
        )
        return FitResult(model, self.history, report)

    def network_model(self, at: Starts) -> KAN:
        """The first of the starts as a model in the user's units."""
        units = self.units
        return at.network.model(at.parameters, 0, self.model, units.input_affine(), units.output_affine())

    def _tracked(self, network: Network, parameters: Parameters, basis: Basis) -> tuple[Network, Parameters]:
        """All layers on `basis`, the hidden grids over the values that reach them."""
        occupied = OCCUPIED if len(parameters) == 1 and self.method.extend else 0
        reach = FAR_REACH if self.clean else REACH
        return track(
            network, parameters, self.train.x.T.contiguous(), basis, box=self.box, occupied=occupied, reach=reach
        )

    def _scaled(self, samples: Samples) -> Samples:
        """Samples in the network's units."""
        y = samples.y if self.loss.labels else self.units.targets(samples.y)
        return Samples(self.units.inputs(samples.x), y, samples.weights)


@torch.no_grad()
def _loss(model: KAN, samples: Samples, loss: Loss) -> float:
    return float(loss(model(samples.x), samples.y, samples.weights))


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
