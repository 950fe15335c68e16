"""Generalised additive models for classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from edgewise.display import listener_of
from edgewise.tables.additive import AdditiveModel, Family
from edgewise.tables.additive.deviance import kept_rows
from edgewise.tables.additive.fit_additive import fit_additive
from edgewise.tables.additive.row_sums import joined, own_rows
from edgewise.tables.additive.stored_columns import with_stored
from edgewise.tables.estimators.additive import AdditiveEstimator
from edgewise.tables.estimators.additive_methods import AdditiveMethods


class KANAdditiveClassifier(ClassifierMixin, AdditiveEstimator):
    r"""A generalised additive model for classes: terms as those of `KANAdditive`, smoothed by evidence.

    Two classes have one output, the log-odds of the second one, $\log\frac{p}{1-p} = b + \sum_t f_t(x)$. More classes
    have a score each, $p_k = e^{\eta_k} / \sum_l e^{\eta_l}$, of which only differences matter.

    Args:
        intervals: pieces of every curve; "auto" takes more of them for more rows.
        degree: degree of the splines.
        smoothness: "auto" for the strengths of greatest evidence, or one strength for all curves as in `KANAdditive`.
        interactions: how many pairs of columns have a surface: "auto", a number, or a list of pairs of names.
        shapes: "increasing", "decreasing", "convex" or "concave" by the name of a column, for two classes.
        cyclic: the two ends of the period by the name of a column.
        class_weight: None, "balanced" or a dictionary, as in scikit-learn.
        progress: show what is being done.

    Attributes:
        classes_: the labels.
        additive_: the `AdditiveModel`: intercept, terms, covariance; a value that JSON can hold.
        model_: the `KAN` of one layer from the user's units to log-odds or scores, if all terms are curves of numbers
            without missing cells; else `additive_`.
        smoothness_: the strengths by term and part, or the one that was given.
        spreads_: the standard deviation of every term over the training rows.
        rows_: at most 2,000 training rows, for `summary` and `plot`.
        samples_: rows of the training data that show where the curves are used, if `model_` is a network.
    """

    def __init__(
        self,
        intervals: int | str = "auto",
        *,
        degree: int = 3,
        smoothness: float | str = "auto",
        interactions: int | str | Sequence[tuple[str, str]] = 0,
        shapes: Mapping[str, str] | None = None,
        cyclic: Mapping[str, tuple[float, float]] | None = None,
        class_weight: str | dict[Any, float] | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__(
            intervals,
            degree=degree,
            smoothness=smoothness,
            interactions=interactions,
            shapes=shapes,
            cyclic=cyclic,
            progress=progress,
        )
        self.class_weight = class_weight

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        like: AdditiveMethods | AdditiveModel | None = None,
    ) -> KANAdditiveClassifier:
        """Fit the terms.

        Args:
            X: an array of numbers, a frame, or a dataset of pyarrow, as in `KANAdditive.fit`.
            y: the labels, (rows,), or the name of their column in a dataset.
            sample_weight: of the rows, or the name of their column in a dataset.
            like: a fitted estimator whose knots, periods and levels are taken, so that `merge` can join the two.
        """
        X, y, sample_weight = with_stored(X, y, sample_weight)
        columns = self._columns(X, reset=True)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        y = column_or_1d(y, warn=True)
        check_consistent_length(columns[0].values, y)
        check_classification_targets(y)
        weights = self._weights(sample_weight, len(y))
        self.classes_ = np.unique(joined(np.unique(y)))
        labels = np.searchsorted(self.classes_, y)
        seen = np.unique(joined(np.unique(labels[weights > 0])))
        if len(seen) < 2:
            raise ValueError(
                f"the target has one class ({self.classes_[seen[0]]!r}) in all rows of positive weight; "
                "a classifier needs at least two classes"
            )
        by_class = compute_sample_weight(self.class_weight, joined(y))[own_rows(len(y))]
        weights = self._weights(weights * by_class, len(y))
        count = len(self.classes_)
        if count == 2:
            family, targets, outputs = Family("binomial"), labels[:, None].astype(float), [str(self.classes_[1])]
            names = [f"log-odds of {outputs[0]}"]
        else:
            family, targets = Family("multinomial"), np.eye(count)[labels]
            names = [f"score of {label}" for label in self.classes_]
        with listener_of(self.progress) as tell:
            model = fit_additive(columns, targets, weights, self._settings(family, like), outputs=names, tell=tell)
        self._set_additive(model, kept_rows(columns, targets, weights, None))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """The log-odds of the second class, (rows,); or the scores, (rows, classes)."""
        check_is_fitted(self)
        eta = self.additive_.link(self._columns(X, reset=False))
        return eta[:, 0] if len(self.classes_) == 2 else eta

    def predict_proba(self, X: Any) -> Float[np.ndarray, "rows classes"]:
        """The probability of every class, in the order of `classes_`."""
        scores = self.decision_function(X)
        p = self.additive_.family.mean(scores)
        return np.stack([1 - p, p], axis=1) if p.ndim == 1 else p

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of every row."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)]
