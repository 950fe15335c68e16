"""Fit networks of any widths as a regressor and a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage]
    check_is_fitted,
    validate_data,
)
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.nn import KAN, Affine
from edgewise.nn.kan import Width
from edgewise.penalties import Penalty
from edgewise.tables.estimators._base import KANEstimator, checked, target_name, units_of
from edgewise.training import Auto, FirstOrder, LevenbergMarquardt, fit
from edgewise.training.methods import STEPS, Method
from edgewise.training.second_order import MOST_PARAMETERS, least_parameters

MIN_ROWS_TO_HOLD_OUT, HELD_OUT_SHARE = 500, 0.1
SMALL_STEPS = 10


class _DeepEstimator(KANEstimator):
    """A network of any widths, trained by `edgewise.training`."""

    def __init__(
        self,
        hidden: Sequence[Width] = (5,),
        *,
        basis: Basis | None = None,
        optimizer: str = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        penalties: Sequence[Penalty] = (),
        validation: float | str | None = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        self.hidden = hidden
        self.basis = basis
        self.optimizer = optimizer
        self.steps = steps
        self.batch_size = batch_size
        self.penalties = penalties
        self.validation = validation
        self.random_state = random_state
        self.progress = progress

    def _train(
        self,
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        *,
        loss: str,
        outputs: int,
        scale: Affine | None,
        names: Sequence[str],
    ) -> None:
        """Train on targets y in the units of the loss; `scale` maps the outputs to the user's units."""
        units = units_of(x, weights)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        model = KAN(
            [x.shape[1], *self.hidden, outputs],
            self.basis or BSpline(3, 3),
            residual=None,
            generator=torch.Generator().manual_seed(seed),
            dtype=torch.float64,
        )
        data = _repeated(units(x), y, weights)
        held = self.validation
        if held == "auto":
            held = HELD_OUT_SHARE if len(data[0]) >= MIN_ROWS_TO_HOLD_OUT else None
        # Too few rows to hold some out: one start, smoothing by evidence, and few steps where the loss has no minimum.
        few = held is None and self.optimizer in ("auto", "lm") and self.batch_size is None and not self.penalties
        steps = SMALL_STEPS if self.steps is None and few and loss != "mse" else self.steps
        method = self._method(model, steps, few)
        if self.validation == "auto" and isinstance(method, Auto) and least_parameters(model) <= MOST_PARAMETERS:
            held = None  # the search holds rows out itself, none of the outermost, and ends with all of them
        result = fit(
            model,
            data,
            method,
            loss=loss,
            validation=data if few else held,
            seed=seed,
            progress=self.progress,
        )
        self.history_ = result.history
        assert isinstance(result.model, KAN)
        self._set_model(list(result.model.layers), units, scale, names)
        self._keep_samples(x, weights)

    def _method(self, model: KAN, steps: int | None, few: bool) -> Method:
        """The method of `fit` that the arguments ask for; with few rows from one start, smoothed by evidence."""
        name, terms = self.optimizer, self.batch_size is not None or len(self.penalties) > 0
        if name == "auto" and not terms:
            smoothing = True if few and least_parameters(model) <= MOST_PARAMETERS else None
            return Auto(starts=0, extend=False, steps=steps, smoothing=smoothing) if few else Auto(steps=steps)
        if name == "lm" and not terms:
            return LevenbergMarquardt(steps=STEPS if steps is None else steps, smoothing=True if few else None)
        if name == "lm":
            raise ValueError("optimizer='lm' takes neither batch_size nor penalties; use optimizer='adam' or 'lbfgs'")
        if name == "auto":
            name = "lbfgs" if self.batch_size is None else "adam"
        return FirstOrder(name, steps=steps, batch_size=self.batch_size, penalties=self.penalties)


class KANRegressor(RegressorMixin, _DeepEstimator):
    """A Kolmogorov-Arnold network with one real output.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> model = KANRegressor(hidden=(2,), random_state=0).fit(x, np.exp(np.sin(3 * x[:, 0]) + x[:, 1] ** 2))
    >>> bool(model.score(x, np.exp(np.sin(3 * x[:, 0]) + x[:, 1] ** 2)) > 0.99)
    True

    Args:
        hidden: nodes of the hidden layers as in `KAN`, such as (5,) or ((3, 2),); () is one layer of curves.
        basis: the functions on the edges; `BSpline(3, 3)` by default.
        optimizer: as in `fit`.
        steps: as in `fit`.
        batch_size: rows per step; all by default.
        penalties: terms added to the loss, such as `edgewise.Sparsity(1e-3)`.
        validation: share of the rows held out to choose by, which are never trained on. "auto": below 500 rows none,
            else the search of optimizer "auto" holds out a fifth and ends with all rows, and other optimisers a tenth.
        random_state: seed of the initial values and of the order of rows.
        progress: show a progress bar.

    Attributes:
        model_: the trained `KAN`; in the user's units.
        samples_: rows of the training data that show where the curves are used.
        history_: one record per evaluation.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANRegressor:
        """Train on rows X, targets y and weights of the rows."""
        x, target, weights = checked(self, X, y, sample_weight)
        mean = (weights * target).sum() / weights.sum()
        spread = ((weights * (target - mean) ** 2).sum() / weights.sum()).sqrt()
        spread = torch.where(spread > 0, spread, 1.0)
        self._train(
            x,
            ((target - mean) / spread)[:, None],
            weights,
            loss="mse",
            outputs=1,
            scale=Affine(spread[None], mean[None]),
            names=[target_name(y)],
        )
        return self

    def predict(self, X: Any) -> Float[np.ndarray, " rows"]:
        """The prediction for every row."""
        return self._forward(X)[:, 0].numpy()


class KANClassifier(ClassifierMixin, _DeepEstimator):
    """A Kolmogorov-Arnold network for classes: one log-odds output for two classes, else one score per class.

    Args:
        hidden: nodes of the hidden layers as in `KAN`; () is one layer of curves.
        basis: the functions on the edges; `BSpline(3, 3)` by default.
        optimizer: as in `fit`.
        steps: as in `fit`.
        batch_size: rows per step; all by default.
        penalties: terms added to the loss, such as `edgewise.Sparsity(1e-3)`.
        class_weight: None, "balanced" or a dictionary, as in scikit-learn.
        validation: share of the rows held out to choose by, which are never trained on. "auto": below 500 rows none,
            else the search of optimizer "auto" holds out a fifth and ends with all rows, and other optimisers a tenth.
        random_state: seed of the initial values and of the order of rows.
        progress: show a progress bar.

    Attributes:
        classes_: the labels.
        model_: the trained `KAN`; from the user's units to log-odds or scores.
        samples_: rows of the training data that show where the curves are used.
        history_: one record per evaluation.
    """

    def __init__(
        self,
        hidden: Sequence[Width] = (5,),
        *,
        basis: Basis | None = None,
        optimizer: str = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        penalties: Sequence[Penalty] = (),
        class_weight: str | dict[Any, float] | None = None,
        validation: float | str | None = "auto",
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__(
            hidden,
            basis=basis,
            optimizer=optimizer,
            steps=steps,
            batch_size=batch_size,
            penalties=penalties,
            validation=validation,
            random_state=random_state,
            progress=progress,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANClassifier:
        """Train on rows X, labels y and weights of the rows."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(np.unique(labels[weights > 0])) < 2:
            raise ValueError(
                f"the target has one class ({self.classes_[labels[weights > 0][0]]!r}) in all rows of positive weight; "
                "a classifier needs at least two classes"
            )
        weights = weights * compute_sample_weight(self.class_weight, y)
        target = torch.tensor(labels)
        binary = len(self.classes_) == 2
        self._train(
            torch.tensor(X),
            target.double()[:, None] if binary else target,
            torch.tensor(weights),
            loss="bce" if binary else "cross_entropy",
            outputs=1 if binary else len(self.classes_),
            scale=None,
            names=[f"log-odds of {self.classes_[1]}"] if binary else [f"score of {label}" for label in self.classes_],
        )
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "rows classes"]:
        """The probability of every class, in the order of `classes_`."""
        check_is_fitted(self)
        scores = self._forward(X)
        if len(self.classes_) == 2:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores.softmax(-1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of every row."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]


def _repeated(x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with whole weights are repeated, as scikit-learn defines weights; else rows of weight 0 are left out."""
    if bool((weights == weights.round()).all()) and float(weights.sum()) <= 10 * len(weights):
        rows = torch.arange(len(x)).repeat_interleave(weights.long())
        return x[rows], y[rows], torch.ones(len(rows), dtype=torch.float64)
    used = weights > 0
    return x[used], y[used], weights[used]
