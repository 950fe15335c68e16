"""What people do with a fitted additive estimator: bands, intervals, trends."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from edgewise.tables.additive import AdditiveModel
from edgewise.tables.additive.added_pairs import with_pair
from edgewise.tables.additive.additive_summary import AdditiveSummary, summarised
from edgewise.tables.additive.deviance import KeptRows, deviance_explained
from edgewise.tables.additive.drawn_terms import panels_of
from edgewise.tables.additive.intervals import (
    conformal_interval,
    conformal_scores,
    link_sd,
    mean_slope,
    posterior_interval,
    training_residuals,
)
from edgewise.tables.additive.merging import merged, merged_rows
from edgewise.tables.additive.term_bands import TermBand, Trend, term_band, trends
from edgewise.tables.additive.term_editing import Edit, clipped, smoothed, with_values, without_term

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class AdditiveMethods:
    """The methods that ask a fitted additive model, of regressors and classifiers."""

    additive_: AdditiveModel
    rows_: KeptRows

    def summary(self) -> AdditiveSummary:
        """Every term with its size, degrees of freedom and approximate p-value, and the deviance explained.

        The test is in `edgewise.tables.additive.additive_summary`. `print` shows it on 25 lines at most.
        """
        check_is_fitted(self)
        return summarised(self.additive_, self.rows_)

    def plot(self, *, theme: str = "light", **options: Any) -> Figure:
        """All terms on one page: see `edgewise.tables.additive.drawn_terms`.

        Curves have bands and ticks where rows are, levels bars with intervals and their number of rows, surfaces are
        maps; missing cells are red. Curves and levels share their height. `edgewise.viz.plot` draws the network of a
        model of curves.

        Args:
            theme: "light" or "dark".
            options: `level`, `simultaneous` (bands of whole curves, the default) and `output`, of the bands.
        """
        from edgewise.viz.term_panels import draw_panels

        check_is_fitted(self)
        panels = panels_of(self.additive_, self.rows_.columns, **options)
        name = self.additive_.outputs[options.get("output", 0)]
        return draw_panels(panels, theme=theme, title=f"{name}: what every term adds")

    def band(
        self, term: str, *, level: float = 0.9, simultaneous: bool = False, order: int = 0, **options: Any
    ) -> TermBand:
        """A term on the link scale, or a derivative of it, with its band; options as those of `term_band`.

        Args:
            term: its name.
            level: the probability of the band.
            simultaneous: the probability is that of all arguments at once, not of each.
            order: of the derivative.
            options: `output`, `at`, `points` and `seed` of `edgewise.tables.additive.term_bands.term_band`.
        """
        check_is_fitted(self)
        return term_band(self.additive_, term, level=level, simultaneous=simultaneous, order=order, **options)

    def trends(self, *, level: float = 0.9, output: int = 0) -> list[Trend]:
        """Where curves rise or fall, as far as the data tell: see `edgewise.tables.additive.term_bands.trends`.

        The statements about one term are right at once with the probability `level`.
        """
        check_is_fitted(self)
        names = [term.name for term in self.additive_.terms]
        return [trend for name in names for trend in trends(self.additive_, name, level=level, output=output)]

    def set_values(self, term: str, on: tuple[float, float], value: float) -> Edit:
        """The curve has this value of the link scale on an interval: see `term_editing.with_values`."""
        return self._edited(term, f"set to {value:g} on {on}", with_values(self.additive_, term, on, value))

    def clip_term(self, term: str, low: float, high: float) -> Edit:
        """The curve stays between two values of the link scale between its knots."""
        return self._edited(term, f"clipped to [{low:g}, {high:g}]", clipped(self.additive_, term, low, high))

    def smooth_term(self, term: str, factor: float) -> Edit:
        """The strength of a curve against bending times a factor: see `edgewise.tables.additive.term_editing`."""
        return self._edited(term, f"smoothed {factor:g} times more", smoothed(self.additive_, term, factor))

    def remove_term(self, term: str) -> Edit:
        """The model without a term; the others stay as they are."""
        return self._edited(term, "removed", without_term(self.additive_, term))

    def add_pair(self, first: str, second: str) -> Edit:
        """A surface of two inputs beside the terms, which stay: see `edgewise.tables.additive.added_pairs`."""
        model = with_pair(self.additive_, self.rows_, first, second)
        return self._edited(model.terms[-1].name, "added", model)

    def merge(self, other: Any) -> Any:
        """One estimator of two that were fitted to different rows on the same knots: `tables.additive.merging`.

        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(-1, 1, (400, 2))
        >>> y = np.sin(3 * x[:, 0]) + 0.1 * rng.normal(size=400)
        >>> from edgewise.tables.estimators import KANAdditive
        >>> here = KANAdditive().fit(x[:200], y[:200])
        >>> there = KANAdditive().fit(x[200:], y[200:], like=here)
        >>> both = here.merge(there)
        >>> both.rows_.total
        400

        Args:
            other: fitted with `like=` this estimator, or this one like it.
        """
        check_is_fitted(self)
        check_is_fitted(other)
        if not np.array_equal(getattr(self, "classes_", []), getattr(other, "classes_", [])):
            raise ValueError("the estimators know different classes; fit both to rows of all classes")
        estimator: Any = copy.copy(self)
        model = merged(self.additive_, other.additive_, (self.rows_.total, other.rows_.total))
        estimator._set_additive(model, merged_rows(self.rows_, other.rows_))
        return estimator

    def _edited(self, term: str, what: str, model: AdditiveModel) -> Edit:
        """A new estimator with this model, beside the change of the deviance explained."""
        estimator: Any = copy.copy(self)
        estimator._set_additive(model, self.rows_)
        scores = [deviance_explained(m, self.rows_) for m in (self.additive_, model)]
        return Edit(estimator, term, what, *scores)


class AdditiveIntervals(AdditiveMethods):
    """The intervals of an additive regressor."""

    _several: bool

    def predict_interval(
        self,
        X: Any,
        *,
        level: float = 0.9,
        conformal: bool = False,
        offset: Any = None,
        exposure: Any = None,
    ) -> np.ndarray:
        """The two ends of an interval for a new outcome of every row, (rows, 2) or (rows, outputs, 2).

        The equations and sources are in `edgewise.tables.additive.intervals`.

        Args:
            X: the table.
            level: the probability that the interval holds the outcome.
            conformal: from the errors of the rows that `calibrate` saw, which needs no assumption on the noise; else
                from the posterior and the noise of the family (gaussian, poisson or gamma) or of the residuals.
            offset: as of `predict`.
            exposure: likewise.

        Raises:
            ValueError: the family has no noise, or `calibrate` was not called or saw too few rows for the level.
        """
        eta, sd = self._link_and_sd(X, offset, exposure)
        if conformal:
            scores = getattr(self, "conformal_scores_", None)
            if scores is None:
                raise ValueError("conformal=True needs `calibrate(X, y)` first, with rows that the fit has not seen")
            ends = conformal_interval(self.additive_, eta, sd, scores, level)
        else:
            residuals = training_residuals(self.additive_, self.rows_)
            ends = posterior_interval(self.additive_, eta, sd, level, residuals, self.rows_.weights)
        found = np.stack(ends, axis=-1)
        return found if self._several else found[:, 0]

    def calibrate(self, X: Any, y: Any, *, offset: Any = None, exposure: Any = None) -> Any:
        """Keep the errors of rows that the fit has not seen, for `predict_interval(..., conformal=True)`.

        `conformal_scores_` are the sorted scores, (rows, outputs); a later `fit` forgets them. Rows that the fit has
        seen have smaller errors than new ones, and make the intervals too short.

        Args:
            X: a table, at least 9 rows for the level 0.9 and 19 for 0.95.
            y: its outcomes.
            offset: as of `fit`.
            exposure: likewise.
        """
        if self.additive_.family.name == "cox":
            raise ValueError("outcomes that are censored have no intervals here; choose another family than 'cox'")
        eta, sd = self._link_and_sd(X, offset, exposure)
        kind: Any = np.float64
        outcomes = np.asarray(check_array(y, ensure_2d=False, dtype=kind, input_name="y")).reshape(len(eta), -1)
        check_consistent_length(eta, outcomes)
        if outcomes.shape != eta.shape:
            raise ValueError(f"y needs {eta.shape[1]} outcomes per row, got {outcomes.shape[1]}")
        self.conformal_scores_ = conformal_scores(self.additive_, eta, sd, outcomes)
        return self

    def _mean_sd(self, X: Any, offset: Any, exposure: Any) -> np.ndarray:
        """The posterior standard deviation of the expected outcome, to first order."""
        eta, sd = self._link_and_sd(X, offset, exposure)
        found = abs(mean_slope(self.additive_, eta)) * sd
        return found if self._several else found[:, 0]

    def _link_and_sd(self, X: Any, offset: Any, exposure: Any) -> tuple[np.ndarray, np.ndarray]:
        check_is_fitted(self)
        estimator: Any = self
        columns = estimator._columns(X, reset=False)
        eta = self.additive_.link(columns)
        added = estimator._offset(self.additive_.family, len(eta), offset, exposure)
        return (eta if added is None else eta + added[:, None]), link_sd(self.additive_, columns)
