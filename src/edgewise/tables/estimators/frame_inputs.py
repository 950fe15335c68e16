"""Tables of numbers, texts, categories, truth values and dates as inputs of an estimator, with missing cells.

Arrays and frames of numbers without missing cells are taken as they are. All others go through an `Encoding`:

- a missing number is the mean of its column beside an input that tells where it is, and so a level that is learnt; in a
  column that had no missing cell in training it is the mean alone, and a warning says so;
- a text of at most `MAX_INDICATORS` levels is one indicator per level, a missing text being a level, and of two levels
  one indicator: there a third level in a new table is an error, elsewhere it has no indicator;
- a text of more levels is the shrunk mean of the target by level (`edgewise.tables.level_codes`), out of fold for the
  training rows;
- a date is its year and its place in year, week and day.

The columns of the encoding are the places 0, 1, 2, ... of those of the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from edgewise.tables.cells import DataFrame, TableError, is_numeric, texts_of
from edgewise.tables.date_parts import PARTS, date_part, dates_of
from edgewise.tables.encode import EMPTY, Encoding, Feature
from edgewise.tables.estimators.warned import warn_user
from edgewise.tables.prepare import MAX_INDICATORS

DATES = ("datetime", "datetime64", "date")
_REMEDY = "leave such rows out"


def mixed_table(X: Any) -> DataFrame | None:
    """The table with columns called by their places; None for numbers without missing cells."""
    if isinstance(X, list | np.ndarray):
        values = np.asarray(X)
        plain = values.ndim != 2 or values.dtype.kind != "f" or not np.isnan(values).any()
        return None if plain else _finite(_table(values))
    if not hasattr(X, "columns") or not hasattr(X, "shape"):
        return None
    frame = _table(X)
    numeric = all(is_numeric(column) for _, column in frame.items())
    return None if numeric and not frame.isna().to_numpy().any() else _finite(frame)


def training_inputs(
    table: DataFrame, names: Sequence[str], target: np.ndarray, classes: int, weights: np.ndarray | None
) -> tuple[Encoding, np.ndarray]:
    """How this table is encoded, and its inputs.

    Args:
        table: as `mixed_table` gives it.
        names: of the columns.
        target: (rows,) or (rows, targets), class numbers where there are `classes`.
        classes: their number; 0 for a regression.
        weights: of the rows.
    """
    several = target.shape[1] if target.ndim == 2 else 0
    outcomes = list(range(1, classes)) if classes else list(range(several)) or [None]
    features = [feature for j, name in enumerate(names) for feature in _features(table[str(j)], str(j), name, outcomes)]
    encoding = Encoding(tuple(features), "y", "classification" if classes else "regression")
    levels = {f.column: texts_of(table[f.column], EMPTY) for f in features if f.codes is not None}
    encoding, own = encoding.coded(levels, target, 0, weights)
    inputs = encoding.inputs(table)
    for n, values in own.items():
        inputs[:, n] = values
    return encoding, inputs


def new_inputs(estimator: BaseEstimator, X: Any, names: Sequence[str], encoding: Encoding) -> np.ndarray:
    """The inputs of new rows.

    Args:
        estimator: fitted.
        X: the table.
        names: of its columns.
        encoding: of the training table.

    Raises:
        ValueError: a cell cannot be read, or is none of the two texts that training saw.
    """
    validate_data(estimator, X, reset=False, skip_check_array=True)
    frame = _table(X)
    told = {feature.column for feature in encoding.features if feature.gap or feature.is_text}
    gaps = {column: int(frame[column].isna().sum()) for column in frame.columns if column not in told}
    warn_of_new_gaps({names[int(column)]: count for column, count in gaps.items() if count}, "the mean of training is")
    try:
        return encoding.inputs(frame)
    except TableError as error:
        words = re.sub(r"column '(\d+)'", lambda found: f"column {names[int(found[1])]!r}", str(error))
        raise ValueError(
            re.sub(r"(leave such rows out) with --missing drop|use --missing drop", _REMEDY, words)
        ) from None


def warn_of_new_gaps(gaps: Mapping[str, int], what: str) -> None:
    """Warn of columns with missing cells now and none in training, with their number by name."""
    if gaps:
        columns = ", ".join(f"{name!r} ({count})" for name, count in gaps.items())
        warn_user(
            f"cells are missing in columns that had none missing in training: {columns}; {what} taken for them, and "
            "nothing was learnt about such rows"
        )


def _table(X: Any) -> DataFrame:
    import pandas as pd

    frame = X if isinstance(X, pd.DataFrame) else X.to_pandas() if hasattr(X, "to_pandas") else pd.DataFrame(X)
    return frame.set_axis([str(j) for j in range(frame.shape[1])], axis="columns")


def _finite(frame: DataFrame) -> DataFrame:
    """The table; `ValueError` for infinite cells."""
    for place, column in frame.items():
        if is_numeric(column) and np.isinf(column.to_numpy(float, na_value=np.nan)).any():
            raise ValueError(f"X contains infinity in column {place}; correct it, or make the cell missing (NaN)")
    return frame


def _features(column: Any, place: str, name: str, outcomes: Sequence[int | None]) -> list[Feature]:
    import pandas as pd

    gaps = column.isna().to_numpy()
    if is_numeric(column):
        values = column.to_numpy(float, na_value=np.nan)
        return _numbers(Feature(name, place), values, gaps)
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) in DATES:
        dates = dates_of(column)
        parts = [Feature(f"{name} ({part})", place, part=part) for part in PARTS]
        read = [(feature, date_part(dates, feature.part)) for feature in parts]
        found = [_numbers(f, v, gaps)[0] for f, v in read if not gaps.all() and np.ptp(v[~gaps]) > 1e-9]
        return [*found, *[Feature(f"{name} is empty", place, gap=True, part="year")] * bool(gaps.any())]
    counts = Counter(texts_of(column, EMPTY))
    if len(counts) > MAX_INDICATORS:
        marks = [""] if outcomes == [None] or len(outcomes) == 1 else [f" {n}" for n in outcomes]
        return [
            Feature(f"{name} (mean{mark})", place, codes=(), outcome=outcome)
            for mark, outcome in zip(marks, outcomes, strict=True)
        ]
    levels = sorted(counts)
    if len(levels) == 2:  # a level that is neither is an error: the indicator of the second would take it for the first
        return [Feature(f"{name}={levels[1]}", place, levels[1], levels[0])]
    return [Feature(f"{name}={level}", place, level) for level in levels]


def _numbers(feature: Feature, values: np.ndarray, gaps: np.ndarray) -> list[Feature]:
    """A number, with an input that tells where it is missing if it ever is."""
    fill = float(values[~gaps].mean()) if not gaps.all() else 0.0
    if not gaps.any():
        return [replace(feature, fill=fill)]
    gap = Feature(f"{feature.name} is empty", feature.column, gap=True, part=feature.part)
    return [replace(feature, fill=fill), gap]
