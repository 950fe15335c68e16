"""The terms of an additive model as panels that `edgewise.viz.term_panels` draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm

from edgewise.tables.additive.additive_model import AdditiveModel
from edgewise.tables.additive.additive_terms import Term
from edgewise.tables.additive.axes import Axis, LevelAxis
from edgewise.tables.additive.inputs import Column
from edgewise.tables.additive.term_bands import require_covariance, term_band
from edgewise.viz.term_panels import TermPanel

TICKS = 400


def panels_of(
    model: AdditiveModel, columns: Sequence[Column], *, level: float = 0.9, simultaneous: bool = True, output: int = 0
) -> list[TermPanel]:
    """A panel per term: a curve with its band, levels with intervals, or a map.

    Args:
        model: fitted, with its covariance.
        columns: rows that show where the terms are used.
        level: of bands and intervals.
        simultaneous: bands of whole curves and of all levels at once.
        output: of a model with several.
    """
    options = {"level": level, "simultaneous": simultaneous, "output": output}
    return [_panel(model, n, columns, options) for n in range(len(model.terms))]


def _panel(model: AdditiveModel, number: int, columns: Sequence[Column], options: dict) -> TermPanel:
    term = model.terms[number]
    seen = [part.read(columns) for part in term.inputs]
    labels = tuple(part.name for part in term.inputs)
    if len(term.axes) == 2:
        return _map(term, seen, labels, options["output"])
    band = term_band(model, term.name, **options)
    missing = _missing(model, number, options) if term.axes[0].missing else None
    axis, kind = term.axes[0], "curve"
    rows = seen[0]
    if isinstance(axis, LevelAxis):
        kind, counts = "levels", axis.codes(rows)
        shown = [int((counts == k).sum()) for k in range(axis.functions)]
    else:
        known = rows[~np.isnan(rows)]
        shown = known[:: max(1, len(known) // TICKS)].tolist()
    return TermPanel(term.name, kind, labels, band.arguments[0], band.values, band.low, band.high, shown, missing)


def _missing(model: AdditiveModel, number: int, options: dict) -> tuple[float, float, float]:
    """The value of missing cells, and the ends of its own interval."""
    term, where, output = model.terms[number], model.slices()[number], options["output"]
    value = float(term.coef[output].ravel()[-1])
    sd = float(np.sqrt(max(require_covariance(model)[output, where, where][-1, -1], 0.0)))
    half = float(norm.ppf((1 + options["level"]) / 2)) * sd
    return value, value - half, value + half


def _map(term: Term, seen: list[np.ndarray], labels: tuple[str, ...], output: int) -> TermPanel:
    sides = [axis.span(40) for axis in term.axes]
    first, second = (axis.matrix(side) for axis, side in zip(term.axes, sides, strict=True))
    values = first @ term.coef[output] @ second.T.toarray()
    places = [_places(axis, rows) for axis, rows in zip(term.axes, seen, strict=True)]
    known = np.isfinite(places[0]) & np.isfinite(places[1])
    points = np.stack(places, axis=1)[known][:TICKS].tolist()
    return TermPanel(term.name, "surface", labels, [list(side) for side in sides], values.tolist(), seen=points)


def _places(axis: Axis, rows: np.ndarray) -> np.ndarray:
    """Numbers as they are, of levels their place; NaN where there is none."""
    if isinstance(axis, LevelAxis):
        codes = axis.codes(rows)
        return np.where((codes >= 0) & (codes < axis.functions), codes, np.nan)
    return rows
