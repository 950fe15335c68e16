"""Fit networks of any widths as a regressor and a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage]
    check_is_fitted,
    validate_data,
)
from torch import Tensor

from edgewise.bases import Basis
from edgewise.nn import Affine
from edgewise.nn.kan import Width
from edgewise.optim import Loss, get_loss
from edgewise.penalties import Penalty
from edgewise.tables.estimators._base import KANEstimator, checked, target_names
from edgewise.tables.estimators._stored_network import with_torch, without_torch
from edgewise.tables.estimators.deep_training import DeepTraining, repeated
from edgewise.tables.estimators.frame_inputs import mixed_table, training_inputs
from edgewise.tables.estimators.targets import explained, in_units, per_exposure, require_rate, survival_times
from edgewise.tables.simplest import forward, units_of


class _DeepEstimator(KANEstimator):
    """A network of any widths, trained by `edgewise.training`."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = True
        return tags

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
        return without_torch(state)

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(with_torch(state))

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
        simplest: bool = True,
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
        self.simplest = simplest
        self.random_state = random_state
        self.progress = progress

    def _train(
        self,
        x: Tensor,
        y: Tensor,
        weights: Tensor,
        *,
        loss: Loss,
        outputs: int,
        scale: Affine | None,
        names: Sequence[str],
    ) -> None:
        """Train on targets y in the units of the loss; `scale` maps the outputs to the user's units."""
        units = units_of(x, weights)
        job = DeepTraining(
            hidden=self.hidden,
            basis=self.basis,
            optimizer=self.optimizer,
            steps=self.steps,
            batch_size=self.batch_size,
            penalties=self.penalties,
            validation=self.validation,
            simplest=self.simplest,
            progress=self.progress,
            loss=loss,
            outputs=outputs,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )
        self.chosen_, model, self.trials_ = job.train(repeated(units(x), y, weights))
        self.history_ = job.history
        self._set_model(list(model.layers), units, scale, names)
        self._keep_samples(x, weights)


class KANRegressor(RegressorMixin, _DeepEstimator):
    r"""A Kolmogorov-Arnold network for amounts, counts, quantiles and survival times, of one target or several.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> model = KANRegressor(hidden=(2,), random_state=0).fit(x, np.exp(np.sin(3 * x[:, 0]) + x[:, 1] ** 2))
    >>> bool(model.score(x, np.exp(np.sin(3 * x[:, 0]) + x[:, 1] ** 2)) > 0.99)
    True

    A network is returned where held-out rows ask for one: a linear or an additive model (a network of one layer) within
    one standard error of it replaces it; see `edgewise.tables.simplest`.

    Args:
        hidden: nodes of the hidden layers as in `KAN`, such as (5,) or ((3, 2),); () is one layer of curves.
        loss: "mse", "huber", "quantile(0.9)", "expectile(0.9)", "poisson", "gamma", "tweedie(1.5)", "bce" for shares,
            "cox", or a value such as `edgewise.optim.tweedie(1.5)`; see `edgewise.optim.losses`.
        basis: the functions on the edges; `BSpline(3, 3)` by default.
        optimizer: as in `fit`.
        steps: as in `fit`.
        batch_size: rows per step; all by default.
        penalties: terms added to the loss, such as `edgewise.Sparsity(1e-3)`.
        validation: share of the rows held out to choose by, which are never trained on. "auto": below 500 rows none,
            else the search of optimizer "auto" holds out a fifth and ends with all rows, and other optimisers a tenth.
        simplest: False trains the network that `hidden` describes, whatever simpler models do. They are tried only with
            optimizer "auto", without batches, penalties or a share for validation.
        random_state: seed of the initial values and of the order of rows.
        progress: show a progress bar.

    Attributes:
        model_: the trained `KAN`, from the user's units to the target, or to the logarithm of its mean where the link
            of the loss is log.
        chosen_: "linear", "additive" or "network".
        trials_: how these three did on held-out rows; empty where only the network was trained.
        samples_: rows of the training data that show where the curves are used.
        history_: one record per evaluation of the last network that was trained.
    """

    def __init__(
        self,
        hidden: Sequence[Width] = (5,),
        *,
        loss: str | Loss = "mse",
        basis: Basis | None = None,
        optimizer: str = "auto",
        steps: int | None = None,
        batch_size: int | None = None,
        penalties: Sequence[Penalty] = (),
        validation: float | str | None = "auto",
        simplest: bool = True,
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
            simplest=simplest,
            random_state=random_state,
            progress=progress,
        )
        self.loss = loss

    def fit(self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None) -> KANRegressor:
        r"""Train on rows X, targets y and weights of the rows.

        Args:
            X: (rows, features): numbers, or a frame with texts, categories, dates and missing cells, which are encoded
                as `edgewise.tables.estimators.frame_inputs` says; `encoding_` is the result, None for mere numbers.
            y: (rows,) or (rows, targets); with "cox" a structured array of (event, time), or times that are negative
                where the event was not seen.
            sample_weight: one value >= 0 per row.
            exposure: E of every row where the mean is $E\,e^f$ (time at risk, area, ...); its logarithm is the offset.
        """
        loss = self._loss()
        if loss.joint:
            y = survival_times(y)
        x, target, weights = checked(self, X, y, sample_weight, several=not loss.joint, mixed=True)
        self._flat = target.ndim == 1
        target = target[:, None] if self._flat else target
        found = in_units(target, weights, loss, self._exposure(exposure, len(x)))
        self._train(
            x,
            found.y,
            found.weights,
            loss=found.loss,
            outputs=target.shape[1],
            scale=found.units,
            names=target_names(y, target.shape[1]),
        )
        if loss.joint:
            self._centre(x, weights)
        return self

    def predict(self, X: Any, exposure: Any = None) -> np.ndarray:
        """The prediction for every row on the scale of the target; with "cox" the hazard relative to the mean row."""
        check_is_fitted(self)
        loss = self._loss()
        mean = loss.mean(self._forward(X))
        time = self._exposure(exposure, len(mean))
        if time is not None:
            require_rate(loss)
        mean = mean if time is None else mean * time[:, None]
        return (mean[:, 0] if self._flat else mean).numpy()

    def score(self, X: Any, y: Any, sample_weight: Any = None, exposure: Any = None) -> float:
        """R2; of other losses the share of the loss of a constant that is explained, of "cox" the concordance."""
        loss = self._loss()
        if loss.name == "mse":
            return super().score(X, y, sample_weight)
        f = self._forward(X)
        y = torch.as_tensor(survival_times(y) if loss.joint else np.asarray(y, float)).view(f.shape)
        weights = torch.ones(len(f)).double() if sample_weight is None else torch.tensor(sample_weight).double()
        return explained(loss, f, *per_exposure(y, weights, loss, self._exposure(exposure, len(f))))

    def _loss(self) -> Loss:
        loss = get_loss(self.loss)
        if loss.labels:
            raise ValueError(f"the loss {loss.name!r} is for classes; use KANClassifier")
        return loss

    def _exposure(self, exposure: Any, rows: int) -> Tensor | None:
        if exposure is None:
            return None
        found = torch.as_tensor(np.asarray(exposure, float))
        if found.shape != (rows,) or not bool(((found > 0) & found.isfinite()).all()):
            raise ValueError(f"exposure must be {rows} finite values above 0, got shape {tuple(found.shape)}")
        return found

    def _centre(self, x: Tensor, weights: Tensor) -> None:
        """The mean output over the training rows is 0: a constant means nothing to a relative hazard."""
        with torch.no_grad():
            shift = (weights / weights.sum()) @ forward(self.model_, x)
            self.model_.output_affine = Affine(torch.ones_like(shift), -shift)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


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
        simplest: False trains the network that `hidden` describes; by default a linear or an additive model within one
            standard error on held-out rows replaces it, as in `KANRegressor`.
        random_state: seed of the initial values and of the order of rows.
        progress: show a progress bar.

    Attributes:
        classes_: the labels.
        model_: the trained `KAN`; from the user's units to log-odds or scores.
        chosen_: "linear", "additive" or "network".
        trials_: how these three did on held-out rows; empty where only the network was trained.
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
        simplest: bool = True,
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
            simplest=simplest,
            random_state=random_state,
            progress=progress,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> KANClassifier:
        """Train on rows X, which may be a frame as in `KANRegressor`, labels y and weights of the rows."""
        table = mixed_table(X)
        if table is None:
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        else:
            validate_data(self, X, y, skip_check_array=True)
            check_consistent_length(X, y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(np.unique(labels[weights > 0])) < 2:
            raise ValueError(
                f"the target has one class ({self.classes_[labels[weights > 0][0]]!r}) in all rows of positive weight; "
                "a classifier needs at least two classes"
            )
        self.encoding_ = None
        if table is not None:
            self.encoding_, X = training_inputs(table, self.column_names, labels, len(self.classes_), weights)
        weights = weights * compute_sample_weight(self.class_weight, y)
        target = torch.tensor(labels)
        binary = len(self.classes_) == 2
        self._train(
            torch.tensor(X),
            target.double()[:, None] if binary else target,
            torch.tensor(weights),
            loss=get_loss("bce" if binary else "cross_entropy"),
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
