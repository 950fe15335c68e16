"""Generalised additive models as estimators: curves, levels and surfaces, smoothed by evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import (
    _check_sample_weight,  # pyright: ignore[reportPrivateUsage]
    check_array,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from edgewise.display import listener_of
from edgewise.expressions import Formula
from edgewise.nn import KAN
from edgewise.tables.additive import AdditiveModel, Axis, Column, Family, additive_model_from_json
from edgewise.tables.additive.additive_model import new_gaps
from edgewise.tables.additive.as_network import network_of
from edgewise.tables.additive.axis_choice import TermSettings
from edgewise.tables.additive.deviance import KeptRows, kept_rows
from edgewise.tables.additive.fit_additive import AdditiveSettings, fit_additive
from edgewise.tables.additive.inputs import is_frame
from edgewise.tables.additive.row_sums import summed
from edgewise.tables.additive.stored_columns import StoredTable, is_dataset, with_stored
from edgewise.tables.additive.survival import concordance, signed_times
from edgewise.tables.estimators._base import KANEstimator, target_name
from edgewise.tables.estimators.additive_methods import AdditiveIntervals, AdditiveMethods
from edgewise.tables.estimators.far_rows import of_additive, warn_of_far_rows
from edgewise.tables.estimators.frame_inputs import warn_of_new_gaps

MAX_DEGREE = 9  # of `BSpline`


class AdditiveEstimator(AdditiveMethods, KANEstimator):
    """The common part of the additive regressor and classifier."""

    additive_: AdditiveModel

    def __init__(
        self,
        intervals: int | str = "auto",
        *,
        degree: int = 3,
        smoothness: float | str = "auto",
        interactions: int | str | Sequence[tuple[str, str]] = 0,
        shapes: Mapping[str, str] | None = None,
        cyclic: Mapping[str, tuple[float, float]] | None = None,
        progress: bool = False,
    ) -> None:
        self.intervals = intervals
        self.degree = degree
        self.smoothness = smoothness
        self.interactions = interactions
        self.shapes = shapes
        self.cyclic = cyclic
        self.progress = progress

    def contributions(self, X: Any) -> np.ndarray:
        """What every term adds to the link scale, (rows, terms), or (rows, terms, outputs) where there are several."""
        check_is_fitted(self)
        found = self.additive_.contributions(self._columns(X, reset=False))
        return found[:, :, 0] if len(self.additive_.outputs) == 1 else found

    def curve(self, feature: int | str, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
        r"""The curve $\phi_j$ of one feature over the range of the training data: its arguments and its values.

        Levels have their names as arguments. Of several outputs the values have one column each.
        """
        check_is_fitted(self)
        names = [term.name for term in self.additive_.terms]
        numbers = dict(enumerate(self.column_names))
        name = numbers.get(int(feature), "") if isinstance(feature, int | np.integer) else feature
        if name not in names:
            raise ValueError(f"there is no feature {feature!r}; the features are {', '.join(names)}")
        term: Any = self.additive_.terms[names.index(name)]
        if len(term.axes) > 1:
            raise ValueError(f"{name!r} is a surface; `additive_` has its coefficients")
        arguments = term.axes[0].span(points)
        values = term.axes[0].matrix(arguments) @ term.coef.T
        return arguments, values[:, 0] if values.shape[1] == 1 else values

    def formula(self, **options: Any) -> Formula:
        """The curves as a formula; options as those of `KANRegressor.formula`."""
        self._require_network("formula")
        return super().formula(**options)

    @property
    def feature_importances_(self) -> Float[np.ndarray, " features"]:
        """The share of every column in the deviations of the contributions; a surface counts half for each; sum 1."""
        check_is_fitted(self)
        found = np.zeros(self.n_features_in_)
        for term, spread in zip(self.additive_.terms, self.spreads_, strict=True):
            for part in term.inputs:
                found[part.position] += spread / len(term.inputs)
        return found / max(found.sum(), 1e-300)

    def _require_network(self, what: str) -> None:
        check_is_fitted(self)
        if not isinstance(self.model_, KAN):
            raise ValueError(
                f"{what} needs a model of curves alone, without levels, missing cells, cyclic terms or surfaces; "
                "`curve` and `additive_` describe every term of this one"
            )

    def _columns(self, X: Any, *, reset: bool) -> list[Column]:
        """The checked columns of a table, named as those of training."""
        from edgewise.tables.additive.inputs import read_columns

        if isinstance(X, StoredTable) or is_dataset(X):
            return self._stored(X, reset=reset)
        frame = is_frame(X)
        if frame:
            validate_data(self, X, reset=reset, skip_check_array=True)
            rows, width = tuple(X.shape)
            if rows < 1 + reset or width == 0:
                raise ValueError(f"the table has {rows} rows and {width} columns; it needs {1 + reset} and 1 at least")
        else:
            X = validate_data(
                self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=1 + reset
            )
        columns = read_columns(X, None if reset else [kind for _, kind in self.additive_.columns])
        if not frame:
            columns = [Column(name, c.kind, c.values) for name, c in zip(self.column_names, columns, strict=True)]
        if not reset:
            self._warn_of(columns)
        return columns

    def _warn_of(self, columns: list[Column]) -> None:
        warn_of_new_gaps(new_gaps(self.additive_, columns), "the mean effect of the column is")
        warn_of_far_rows(of_additive(self.additive_, columns))

    def _stored(self, X: Any, *, reset: bool) -> list[Column]:
        """The columns of a dataset, by the names of training."""
        if reset:
            self.n_features_in_, self.feature_names_in_ = len(X.names), np.array(X.names, object)
            return X.columns()
        table = StoredTable(X.dataset if isinstance(X, StoredTable) else X, self.column_names)
        columns = table.columns([kind for _, kind in self.additive_.columns])
        self._warn_of(columns)
        return columns

    def _settings(self, family: Family, like: Any = None) -> AdditiveSettings:
        strength: Any = self.smoothness
        if strength != "auto" and not (isinstance(strength, Real) and float(strength) >= 0):
            raise ValueError(f"smoothness must be 'auto' or a number >= 0, got {self.smoothness!r}")
        if self.intervals != "auto" and not (isinstance(self.intervals, Integral) and int(self.intervals) > 0):
            raise ValueError(f"intervals must be 'auto' or a positive integer, got {self.intervals!r}")
        if not (isinstance(self.degree, Integral) and 0 <= int(self.degree) <= MAX_DEGREE):
            raise ValueError(f"degree must be an integer from 0 to {MAX_DEGREE}, got {self.degree!r}")
        if isinstance(self.interactions, Real) and not isinstance(self.interactions, Integral):
            raise ValueError(
                f"interactions must be a whole number, 'auto' or a list of pairs, got {self.interactions!r}"
            )
        terms = TermSettings(
            intervals=None if self.intervals == "auto" else int(self.intervals),
            degree=int(self.degree),
            plain=bool(strength != "auto"),
            shapes=dict(self.shapes or {}),
            cyclic=dict(self.cyclic or {}),
            known={} if like is None else known_axes(like),
        )
        return AdditiveSettings(family, terms, None if strength == "auto" else float(strength), self.interactions)

    def _weights(self, sample_weight: Any, rows: int) -> np.ndarray:
        """Whole weights count rows; others are scaled to a mean of 1, for the evidence counts rows."""
        weights = _check_sample_weight(sample_weight, np.zeros(rows), dtype=np.float64, ensure_non_negative=True)
        size = summed(float(weights.sum()))
        if not size > 0:
            raise ValueError("sample_weight is zero in every row; at least one row needs a non-zero weight")
        whole = not summed(float((weights != weights.round()).sum()))
        return weights if whole else weights * (summed(float((weights > 0).sum())) / size)

    def _set_additive(self, model: AdditiveModel, rows: KeptRows) -> None:
        self.additive_ = model
        self.rows_ = rows
        self.__dict__.pop("conformal_scores_", None)
        network = network_of(model)
        self.model_ = model if network is None else network  # pyright: ignore[reportAttributeAccessIssue]
        self.spreads_ = model.contributions(list(rows.columns)).std(0).mean(-1)
        if network is not None:
            self.samples_ = torch.from_numpy(np.stack([c.values for c in rows.columns], axis=1))
        strengths = {term.name: dict(term.strengths) for term in model.terms}
        self.smoothness_ = strengths if self.smoothness == "auto" else float(self.smoothness)

    def __getstate__(self) -> Any:
        """The state without torch: JSON text and arrays, which skops and joblib keep."""
        state: dict[str, Any] = {**super().__getstate__()}  # pyright: ignore[reportGeneralTypeIssues, reportCallIssue]
        model = state.pop("additive_", None)
        if model is not None:
            del state["model_"]
            state["samples_"] = state["samples_"].numpy() if "samples_" in state else None
            state["additive_json"] = json.dumps(model.to_json(covariance=False))
            state["covariance"], state["strength_covariance"] = model.covariance, model.strength_covariance
        return state

    def __setstate__(self, state: Any) -> None:
        state = dict(state)
        text, covariance = state.pop("additive_json", None), state.pop("covariance", None)
        more = state.pop("strength_covariance", None)
        samples = state.pop("samples_", None)
        super().__setstate__(state)
        if text is not None:
            known = additive_model_from_json(json.loads(text))
            self.additive_ = replace(known, covariance=covariance, strength_covariance=more)
            network = network_of(self.additive_)
            self.model_ = self.additive_ if network is None else network  # pyright: ignore[reportAttributeAccessIssue]
        if samples is not None:
            self.samples_ = torch.from_numpy(samples)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags


class KANAdditive(RegressorMixin, AdditiveIntervals, AdditiveEstimator):
    r"""A generalised additive model, $g(\operatorname{E} y) = b + \sum_t f_t(x)$, with terms smoothed by evidence.

    A column of numbers is a curve (B-splines on quantile knots), a column of texts or of a category one level each,
    shrunk to their mean, a date its year (a curve), season (cyclic), weekday (levels) and hour (cyclic). A missing cell
    has a level of its own in every term where training had one; else it adds 0, as a level that training did not see,
    and a warning says so. Each term has smoothing strengths of its own, those of greatest restricted likelihood: a term
    that the data do not ask for becomes a straight line, whose slope is shrunk like those of all terms together.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-1, 1, (300, 3))
    >>> model = KANAdditive().fit(x, np.sin(3 * x[:, 0]) + x[:, 1] ** 2 + 0.1 * rng.normal(size=300))
    >>> bool(model.score(x, np.sin(3 * x[:, 0]) + x[:, 1] ** 2) > 0.99)
    True

    Args:
        intervals: pieces of every curve; "auto" takes more of them for more rows.
        degree: degree of the splines.
        smoothness: "auto" for the strengths of greatest evidence; or one strength $\lambda$ in units of the data for
            all curves, with which the coefficients minimise
            $\sum_n w_n (y_n - f(x_n))^2 + \lambda \sum_j (|D_2 c_j|^2 + |D_1 c_j|^2 / 20)$ with differences D.
        interactions: how many pairs of columns have a surface beside their curves: "auto" tries the pairs that explain
            most of the residuals and keeps those that the evidence asks for; or a list of pairs of names.
        shapes: "increasing", "decreasing", "convex" or "concave" by the name of a column.
        cyclic: the two ends of the period by the name of a column.
        family: of the outcome, a name or an `edgewise.tables.additive.Family`.
        progress: show what is being done.

    Attributes:
        additive_: the `AdditiveModel`: intercept, terms, covariance; a value that JSON can hold.
        model_: the `KAN` of one layer in the user's units, on the link scale, if all terms are curves of numbers
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
        family: str | Family = "gaussian",
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
        self.family = family

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        offset: Any = None,
        exposure: Any = None,
        like: AdditiveMethods | AdditiveModel | None = None,
    ) -> KANAdditive:
        """Fit the terms.

        Of a `pyarrow.dataset.Dataset` (a folder of Parquet files) one column at a time is read, and what is kept of a
        row is two bytes per column: 10 million rows of 20 columns fit in 2 GiB. The other arguments may then be names
        of its columns, which are no inputs. `edgewise.tables.additive.over_processes` shares rows among processes.

        Args:
            X: an array of numbers, a frame of pandas or polars, or a dataset of pyarrow; cells may be missing.
            y: the targets, (rows,) or (rows, outputs).
            sample_weight: of the rows; whole numbers count rows.
            offset: what is added to the link scale of every row.
            exposure: what the mean is proportional to, for a family with a log link: its logarithm is an offset.
            like: a fitted estimator whose knots, periods and levels are taken, so that `merge` can join the two.
        """
        X, y, sample_weight, offset, exposure = with_stored(X, y, sample_weight, offset, exposure)
        columns = self._columns(X, reset=True)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        family = self.family if isinstance(self.family, Family) else Family(self.family)
        targets = signed_times(y) if family.name == "cox" else _numbers(y, "y")
        check_consistent_length(columns[0].values, targets)
        if targets.ndim == 2 and targets.shape[1] == 1:
            from sklearn.utils import column_or_1d

            targets = column_or_1d(targets, warn=True)
        self._several = targets.ndim == 2
        targets = targets.reshape(len(targets), -1)
        weights = self._weights(sample_weight, len(targets))
        for column in targets.T:
            family.require_targets(column[weights > 0])
        names = [str(c) for c in y.columns] if self._several and hasattr(y, "columns") else None
        outputs = names or ([f"y{i + 1}" for i in range(targets.shape[1])] if self._several else [target_name(y)])
        added = self._offset(family, len(targets), offset, exposure)
        with listener_of(self.progress) as tell:
            settings = self._settings(family, like)
            model = fit_additive(columns, targets, weights, settings, outputs=outputs, offset=added, tell=tell)
        self._set_additive(model, kept_rows(columns, targets, weights, added))
        return self

    def predict(self, X: Any, *, return_std: bool = False, offset: Any = None, exposure: Any = None) -> Any:
        """The expected outcome of every row, (rows,) or (rows, outputs); of the family `cox` the relative hazard.

        With `return_std` the posterior standard deviation of the expected outcome beside it, without the noise.
        """
        check_is_fitted(self)
        eta = self.additive_.link(self._columns(X, reset=False))
        added = self._offset(self.additive_.family, len(eta), offset, exposure)
        if added is not None:
            eta = eta + added[:, None]
        mean = self.additive_.family.mean(eta)
        mean = mean if self._several else mean[:, 0]
        return (mean, self._mean_sd(X, offset, exposure)) if return_std else mean

    def score(self, X: Any, y: Any, sample_weight: Any = None, *, offset: Any = None, exposure: Any = None) -> float:
        """The share of the variance that is explained, $R^2$; of the family `cox` the concordance of Harrell."""
        predicted = self.predict(X, offset=offset, exposure=exposure)
        if self.additive_.family.name == "cox":
            return concordance(signed_times(y), predicted)
        return float(r2_score(y, predicted, sample_weight=sample_weight))

    def _offset(self, family: Family, rows: int, offset: Any, exposure: Any) -> np.ndarray | None:
        """The sum of the offset and the logarithm of the exposure."""
        total = None
        if offset is not None:
            total = _numbers(offset, "offset").reshape(-1)
        if exposure is not None:
            if not family.log_link:
                raise ValueError(f"the family {family.name!r} has no log link, so that an exposure means nothing")
            amount = _numbers(exposure, "exposure").reshape(-1)
            if not (amount > 0).all():
                raise ValueError("exposure must be above 0 in every row; leave the other rows out")
            total = np.log(amount) + (0.0 if total is None else total)
        if total is not None and len(total) != rows:
            raise ValueError(f"offset and exposure need one number per row: {rows}, got {len(total)}")
        return total

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = True
        return tags


def _numbers(values: Any, name: str) -> np.ndarray:
    """A copy of an array of finite numbers."""
    kind: Any = np.float64
    return np.array(check_array(values, ensure_2d=False, dtype=kind, input_name=name))


def known_axes(like: AdditiveMethods | AdditiveModel) -> dict[str, Axis]:
    """The axes of the curves and levels of a fitted model by the names of its terms."""
    model = like if isinstance(like, AdditiveModel) else like.additive_
    return {term.name: term.axes[0] for term in model.terms if len(term.axes) == 1}
