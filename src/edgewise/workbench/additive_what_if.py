"""What an additive model says of one row: the expected outcome with an interval, and what every term adds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import norm

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.intervals import link_sd, posterior_interval, training_residuals
from edgewise.workbench.additive_steps import AdditiveSession
from edgewise.workbench.document import short
from edgewise.workbench.steps import ActionError, read_number

LEVEL = 0.9
"""Of the intervals."""
MOST_LEVELS = 200
DAY = 86_400_000
"""Milliseconds: dates are days since 1970 on the page."""


def columns_document(session: AdditiveSession) -> list[dict[str, Any]]:
    """What a control needs of every column: the range and the middle of numbers and dates, the levels of texts."""
    return [_column_document(column) for column in session.rows.columns]


def _column_document(column: Column) -> dict[str, Any]:
    document: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.kind == "level":
        counts = Counter(v for v in column.values if v is not None)
        return {**document, "levels": [level for level, _ in counts.most_common(MOST_LEVELS)]}
    values = _days(column.values) if column.kind == "date" else np.asarray(column.values, float)
    seen = values[np.isfinite(values)]
    low, middle, high = np.quantile(seen, [0, 0.5, 1]) if len(seen) else (0.0, 0.0, 0.0)
    whole = bool((seen == np.round(seen)).all())
    return {**document, "low": float(low), "middle": float(middle), "high": float(high), "whole": whole}


def what_if_document(session: AdditiveSession, values: Any) -> dict[str, Any]:
    """The answer for one row; an unknown cell is null.

    The interval is that of a new outcome where the family has a distribution of it, as `predict_interval` says, else
    that of the expected outcome: the posterior of the link scale, two-sided. Of several classes there is none.
    """
    model, columns = session.model, _row(session, values)
    eta = model.link(columns)
    kind, ends = _interval(session, columns, eta)
    means = model.family.mean(eta)
    added = model.contributions(columns)[0] if model.terms else np.zeros((0, eta.shape[1]))
    return {
        "outputs": [short(float(v)) for v in np.atleast_1d(means[0])],
        "interval": kind,
        "low": None if ends is None else [short(float(v)) for v in ends[0][0]],
        "high": None if ends is None else [short(float(v)) for v in ends[1][0]],
        "level": LEVEL,
        "adds": {term.name: short(float(added[n, 0])) for n, term in enumerate(model.terms)},
    }


def _interval(session: AdditiveSession, columns: list[Column], eta: np.ndarray) -> tuple[str, Any]:
    model = session.model
    if model.covariance is None or model.family.name == "multinomial":
        return "", None
    sd = link_sd(model, columns)
    if model.family.name in ("gaussian", "poisson", "gamma"):
        residuals = training_residuals(model, session.rows)
        return "outcome", posterior_interval(model, eta, sd, LEVEL, residuals, session.rows.weights)
    return "mean", _mean_interval(model, eta, sd)


def _mean_interval(model: AdditiveModel, eta: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = float(norm.isf((1 - LEVEL) / 2))
    low, high = (np.asarray(model.family.mean(eta + side * z * sd)) for side in (-1, 1))
    return low, high


def _row(session: AdditiveSession, values: Any) -> list[Column]:
    known = session.rows.columns
    if not isinstance(values, list) or len(values) != len(known):
        raise ActionError(f"x is a list of {len(known)} cells, one per column")
    return [Column(c.name, c.kind, _cell(c, value)) for c, value in zip(known, values, strict=True)]


def _cell(column: Column, value: Any) -> np.ndarray:
    """The values of a column of one row."""
    if column.kind == "level":
        if value is not None and not isinstance(value, str):
            raise ActionError(f"{column.name} is a text")
        return np.array([value, None], object)[:-1]
    if value is None:
        return np.array([np.datetime64("NaT", "ms")]) if column.kind == "date" else np.array([math.nan])
    number = read_number(value, -1e300, 1e300, column.name)
    if column.kind == "number":
        return np.array([number])
    return np.array([np.datetime64(round(read_number(value, -1e6, 1e6, column.name) * DAY), "ms")])


def _days(dates: np.ndarray) -> np.ndarray:
    found = dates.astype("datetime64[ms]").astype(float) / DAY
    found[np.isnat(dates)] = math.nan
    return found


def pair_choices(session: AdditiveSession) -> list[str]:
    """The inputs that a surface can be of: those that the model's terms of one input read."""
    names: Mapping[str, None] = {t.name: None for t in session.model.terms if len(t.inputs) == 1}
    return list(names)
