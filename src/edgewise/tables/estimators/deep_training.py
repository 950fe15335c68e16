"""How the deep estimators train: on inputs in [-1, 1], against simpler models where nothing but a network is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.nn import KAN
from edgewise.nn.kan import Width
from edgewise.optim import Loss
from edgewise.penalties import Penalty
from edgewise.tables.simplest import Fit, Trial, compare, row_losses, simple_fits, simplest
from edgewise.training import Auto, FirstOrder, FitResult, LevenbergMarquardt, State, fit
from edgewise.training.methods import STEPS, Method
from edgewise.training.result import Record
from edgewise.training.samples import Samples
from edgewise.training.search_recipe import POLISH, hold_out
from edgewise.training.second_order import MOST_PARAMETERS, least_parameters

if TYPE_CHECKING:
    from edgewise.callbacks import Callback

MIN_ROWS_TO_HOLD_OUT, HELD_OUT_SHARE = 500, 0.1
SMALL_STEPS = 10


@dataclass
class DeepTraining:
    """The settings of a deep estimator, and the history of the last network that they trained.

    Args:
        hidden, basis, optimizer, steps, batch_size, penalties, validation, simplest, progress: as in `KANRegressor`.
        loss: of the outputs.
        outputs: their number.
        seed: of all randomness.
    """

    hidden: Sequence[Width]
    basis: Basis | None
    optimizer: str
    steps: int | None
    batch_size: int | None
    penalties: Sequence[Penalty]
    validation: float | str | None
    simplest: bool
    progress: bool
    loss: Loss
    outputs: int
    seed: int
    history: list[Record] = field(default_factory=list)

    def train(self, samples: Samples) -> tuple[str, KAN, Sequence[Trial]]:
        """The kind of the model, the model, and how all kinds did on held-out rows; none where there is one only."""
        if not self._compares:
            return "network", self._network(samples), []
        fits = simple_fits(samples, self.loss, self.outputs)
        if not fits:
            return "network", self._network(samples), []
        if len(samples) < MIN_ROWS_TO_HOLD_OUT:
            return simplest({**fits, "network": self._network}, samples, self.loss, self.seed)
        return self._by_one_part(fits, samples)

    @property
    def _terms(self) -> bool:
        return self.batch_size is not None or len(self.penalties) > 0

    @property
    def _curved(self) -> bool:
        return self.loss.slope is not None and self.loss.factor is not None

    @property
    def _compares(self) -> bool:
        plain = self.optimizer == "auto" and not self._terms and self.validation == "auto" and self._curved
        return self.simplest and len(self.hidden) > 0 and plain

    def _by_one_part(self, fits: dict[str, Fit], samples: Samples) -> tuple[str, KAN, Sequence[Trial]]:
        """Compared on the rows that the search for the network holds out as well, which favours it.

        Rows that the search has not seen either are fewer for all three, and miss networks that are better: measured on
        600 rows of a product of two inputs among eight, that cost more accuracy than it gained on a linear truth.
        """
        rest, held = hold_out(samples, self.seed)
        seen: list[KAN] = []
        network = self._network(samples if self._searches(self._model(samples)) else rest, held, seen)
        models = {name: make(rest) for name, make in fits.items()} | {"network": seen[-1] if seen else network}
        values = {name: row_losses(model, held, self.loss) for name, model in models.items()}
        chosen, found = compare(values, held.weights)
        return chosen, network if chosen == "network" else fits[chosen](samples), found

    def _model(self, samples: Samples) -> KAN:
        return KAN(
            [samples.x.shape[1], *self.hidden, self.outputs],
            self.basis or BSpline(3, 3),
            residual=None,
            generator=torch.Generator().manual_seed(self.seed),
            dtype=torch.float64,
        )

    def _searches(self, model: KAN) -> bool:
        """Whether `fit` searches, and so holds out rows itself, none of the outermost, and ends with all of them."""
        auto = self.optimizer == "auto" and not self._terms and self._curved
        return auto and least_parameters(model) <= MOST_PARAMETERS

    def _network(self, samples: Samples, held: Samples | None = None, seen: list[KAN] | None = None) -> KAN:
        """The trained network; `seen` gets those of the search before they see the rows that it holds out."""
        model, few = self._model(samples), False
        validation: Any = self.validation
        if validation == "auto":
            many = len(samples) >= MIN_ROWS_TO_HOLD_OUT
            validation = (HELD_OUT_SHARE if held is None else _parts(held)) if many else None
        # Too few rows to hold some out: one start, smoothing by evidence, and few steps where the loss has no minimum.
        few = validation is None and self.optimizer in ("auto", "lm") and not self._terms
        steps = SMALL_STEPS if self.steps is None and few and not self.loss.units else self.steps
        method = self._method(model, steps, few)
        if few:
            validation = _parts(samples)
        elif self.validation == "auto" and self._searches(model):
            validation = None
        watch: list[Callback] = [] if seen is None else [lambda state: _watched(state, seen)]
        options: dict[str, Any] = {"loss": self.loss, "seed": self.seed, "progress": self.progress}
        result: FitResult = fit(model, _parts(samples), method, validation=validation, callbacks=watch, **options)
        self.history = result.history
        assert isinstance(result.model, KAN)
        return result.model

    def _method(self, model: KAN, steps: int | None, few: bool) -> Method:
        """The method of `fit` that the arguments ask for; with few rows from one start, smoothed by evidence."""
        name = self.optimizer
        if name == "auto" and not self._terms and self._curved:
            smoothing = True if few and least_parameters(model) <= MOST_PARAMETERS else None
            return Auto(starts=0, extend=False, steps=steps, smoothing=smoothing) if few else Auto(steps=steps)
        if name == "lm" and not self._terms:
            return LevenbergMarquardt(steps=STEPS if steps is None else steps, smoothing=True if few else None)
        if name == "lm":
            raise ValueError("optimizer='lm' takes neither batch_size nor penalties; use optimizer='adam' or 'lbfgs'")
        if name == "auto":
            name = "lbfgs" if self.batch_size is None else "adam"
        return FirstOrder(name, steps=steps, batch_size=self.batch_size, penalties=self.penalties)


def repeated(x: Tensor, y: Tensor, weights: Tensor) -> Samples:
    """Rows with whole weights are repeated, as scikit-learn defines weights; else rows of weight 0 are left out."""
    if bool((weights == weights.round()).all()) and float(weights.sum()) <= 10 * len(weights):
        rows = torch.arange(len(x)).repeat_interleave(weights.long())
        return Samples(x[rows], y[rows])
    used = weights > 0
    return Samples(x[used], y[used], weights[used])


def _parts(samples: Samples) -> tuple[Tensor, ...]:
    return tuple(part for part in samples.batch() if part is not None)


def _watched(state: State, seen: list[KAN]) -> None:
    if state.record.get("stage") != POLISH and isinstance(state.model, KAN):
        seen[:] = [state.model]
