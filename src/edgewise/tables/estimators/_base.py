"""The base of the estimators: input checks, scaling, and the methods of a fitted network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage]
    check_is_fitted,
    validate_data,
)
from torch import Tensor

from edgewise.expressions import Formula
from edgewise.nn import DEFAULT_LIBRARY, KAN, Affine, Library
from edgewise.symbolic import formula, symbolify
from edgewise.tables.encode import Encoding
from edgewise.tables.estimators.far_rows import of_network, warn_of_far_rows
from edgewise.tables.estimators.frame_inputs import mixed_table, new_inputs, training_inputs
from edgewise.tracing import edge_scores, trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT_SAMPLES = 2000


class KANEstimator(BaseEstimator):
    """The common part of the estimators."""

    model_: KAN
    samples_: Tensor
    n_features_in_: int
    encoding_: Encoding | None = None

    def formula(self, *, library: Library = DEFAULT_LIBRARY, min_r2: float = 0.0) -> Formula:
        """The network as a formula of the features: every curve becomes the function that explains it best.

        `estimator.formula().check(estimator.model_, x)` measures how far the two differ.

        Args:
            library: functions to try.
            min_r2: raise `ValueError` for a curve of which no function explains this share of the variance.
        """
        check_is_fitted(self)
        symbolic, _ = symbolify(self.model_, self.samples_, library=library, min_r2=min_r2)
        return formula(symbolic)

    def plot(self, **options: Any) -> Figure:
        """The network diagram; options as in `edgewise.viz.plot`."""
        from edgewise.viz import plot

        check_is_fitted(self)
        return plot(self.model_, self.samples_, **options)

    @property
    def feature_importances_(self) -> Float[np.ndarray, " features"]:
        """The share of every feature in the variation of the outputs, by the attribution scores of the edges; sum 1."""
        check_is_fitted(self)
        scores = next(iter(edge_scores(trace(self.model_, self.samples_)).values())).sum(1)
        encoding = self.encoding_
        if encoding is not None:
            places = torch.tensor([int(feature.column) for feature in encoding.features])
            scores = torch.zeros(self.n_features_in_, dtype=scores.dtype).index_add(0, places, scores)
        return (scores / scores.sum().clamp_min(torch.finfo(scores.dtype).tiny)).numpy()

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns of the training table, else x1, x2, ..."""
        names = getattr(self, "feature_names_in_", None)
        return tuple(f"x{j + 1}" for j in range(self.n_features_in_)) if names is None else tuple(map(str, names))

    def _set_model(self, layers: Sequence[Any], units: Affine, outputs: Affine | None, names: Sequence[str]) -> None:
        encoding = self.encoding_
        own = self.column_names if encoding is None else tuple(encoding.names)
        self.model_ = KAN.assemble(
            layers, input_affine=units, output_affine=outputs, input_names=own, output_names=names
        )

    def _keep_samples(self, x: Tensor, weights: Tensor) -> None:
        used = weights.nonzero()[:, 0]
        self.samples_ = x[used[:: max(1, -(-len(used) // KEPT_SAMPLES))]].clone()

    def _forward(self, x: Any) -> Float[Tensor, "rows out"]:
        check_is_fitted(self)
        encoding = self.encoding_
        if encoding is None:
            x = validate_data(self, x, reset=False, dtype=np.float64)
        else:
            x = new_inputs(self, x, self.column_names, encoding)
        warn_of_far_rows(of_network(self.model_, x))
        with torch.no_grad():
            return torch.cat([self.model_(part) for part in torch.tensor(x).split(65_536)])


def checked(
    estimator: KANEstimator, X: Any, y: Any, sample_weight: Any, *, several: bool = False, mixed: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and weights of a regression as float64 tensors; of `several` targets (rows, targets).

    With `mixed`, texts, dates and missing cells are encoded, and `encoding_` of the estimator says how.
    """
    options: dict[str, Any] = {"y_numeric": True, "multi_output": several}
    table = mixed_table(X) if mixed else None
    if table is None:
        X, y = validate_data(estimator, X, y, dtype=np.float64, ensure_min_samples=2, **options)
    else:
        y = validate_data(estimator, "no_validation", y, **options)
        validate_data(estimator, X, skip_check_array=True)
        check_consistent_length(X, y)
    y = np.asarray(y if several and np.ndim(y) == 2 else column_or_1d(y, warn=True), float)
    weights = positive_weights(sample_weight, X if table is None else y)
    estimator.encoding_ = None
    if table is not None:
        estimator.encoding_, X = training_inputs(table, estimator.column_names, y, 0, weights)
    return torch.tensor(X), torch.tensor(y), torch.tensor(weights)


def positive_weights(sample_weight: Any, X: Any) -> Float[np.ndarray, " rows"]:
    """The weights of the rows; an error where they are all zero."""
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.sum() > 0:
        raise ValueError("sample_weight is zero in every row; at least one row needs a non-zero weight")
    return weights


def target_name(y: Any) -> str:
    """The name of a series, else y."""
    return str(getattr(y, "name", None) or "y")


def target_names(y: Any, count: int) -> list[str]:
    """The names of the columns of a frame, of a series, else y or y1, y2, ..."""
    columns = getattr(y, "columns", None)
    if columns is not None:
        return [str(column) for column in columns]
    return [target_name(y)] if count == 1 else [f"y{i + 1}" for i in range(count)]
