"""Encode the columns of a table as numbers: decided once on the training table and repeated on new ones.

A number is used as it is. A text becomes one indicator per level, named `column=level`. What cannot be used is
an error that names the rows, or a warning that names the column.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgewise.tables.cells import (
    DataFrame,
    TableError,
    is_numeric,
    label_of,
    listed,
    mostly_numeric,
    numbers_of,
    refuse_rows,
    require_columns,
    require_finite,
)

TaskKind = Literal["regression", "classification"]

MIN_ROWS = 10
MAX_LEVELS = 20
MAX_CLASSES = 50


@dataclass(frozen=True)
class Feature:
    """One input of the network: a numeric column, or the indicator of one level of a text column."""

    column: str
    level: str | None = None

    @property
    def name(self) -> str:
        return self.column if self.level is None else f"{self.column}={self.level}"


@dataclass(frozen=True)
class Encoding:
    """How the columns of a table become inputs and an outcome.

    Args:
        features: the inputs in order.
        target: the column to predict.
        task: regression, or classification into `classes`.
        classes: the labels; empty for regression.
        values: for a regression on few whole numbers, the values present, to which a prediction is rounded; else empty.
    """

    features: tuple[Feature, ...]
    target: str
    task: TaskKind
    classes: tuple[str | int | float | bool, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    def inputs(self, frame: DataFrame) -> np.ndarray:
        """The features of every row, float64 of shape (rows, features); `TableError` where one cannot be read."""
        require_columns(frame, {feature.column for feature in self.features})
        columns: dict[str, np.ndarray] = {}
        for feature in self.features:
            if feature.level is None:
                columns[feature.name] = require_finite(numbers_of(frame[feature.column]), feature.column)
            else:
                texts = frame[feature.column]
                refuse_rows(texts.isna().to_numpy(), feature.column, "is empty")
                columns[feature.name] = (texts.astype(str) == feature.level).to_numpy(float)
        return np.column_stack(list(columns.values()))

    def outcome(self, frame: DataFrame) -> np.ndarray:
        """The target of every row: floats for regression, class indices for classification."""
        require_columns(frame, {self.target})
        column = frame[self.target]
        refuse_rows(column.isna().to_numpy(), self.target, "is empty")
        if self.task == "regression":
            return require_finite(numbers_of(column), self.target)
        index = {label: n for n, label in enumerate(self.classes)}
        found = [index.get(label_of(value), -1) for value in column]
        refuse_rows(np.array(found) < 0, self.target, "is none of the known classes")
        return np.array(found)

    def unknown_levels(self, frame: DataFrame) -> dict[str, list[str]]:
        """Texts of a new table that the training table did not have; all their indicators are zero."""
        known: dict[str, set[str]] = {}
        for feature in self.features:
            if feature.level is not None:
                known.setdefault(feature.column, set()).add(feature.level)
        found = {name: set(frame[name].dropna().astype(str)) - levels for name, levels in known.items()}
        # A column with one indicator has a second level that needs none.
        return {name: sorted(new) for name, new in found.items() if new and len(known[name]) > 1}

    def round(self, prediction: np.ndarray) -> np.ndarray:
        """Each prediction moved to the nearest of `values`; unchanged where there are none."""
        if not self.values:
            return prediction
        values = np.asarray(self.values)
        return values[np.abs(prediction[:, None] - values).argmin(1)]

    def keep(self, indices: Iterable[int]) -> Encoding:
        """The encoding with these features alone."""
        return dataclasses.replace(self, features=tuple(self.features[i] for i in indices))

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Encoding:
        return cls(
            features=tuple(Feature(**feature) for feature in fields["features"]),
            target=fields["target"],
            task=fields["task"],
            classes=tuple(fields["classes"]),
            values=tuple(fields["values"]),
        )


@dataclass(frozen=True)
class Prepared:
    """An encoded table: inputs (rows, features), outcome (rows,), and warnings for the reader."""

    encoding: Encoding
    inputs: np.ndarray
    outcome: np.ndarray
    frame: DataFrame
    warnings: tuple[str, ...]


def prepare(
    frame: DataFrame,
    target: str,
    task: Literal["auto", "regression", "classification"] = "auto",
    *,
    inputs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
) -> Prepared:
    """Decide how the columns are encoded, and encode them.

    Args:
        frame: the table, one row per sample.
        target: the column to predict.
        task: "auto" takes texts, truth values, two values and codes 0..K-1 or 1..K for classes, other numbers for
            amounts. Amounts on few whole numbers are predicted as amounts and rounded.
        inputs: the columns to use; all but the target by default.
        exclude: columns to leave out.
        missing: what to do with rows that have an empty cell: refuse them by name, or leave them out.
    """
    require_columns(frame, [target, *inputs, *exclude])
    warnings: list[str] = []
    columns = [name for name in (inputs or frame.columns) if name != target and name not in set(exclude)]
    if not columns:
        raise TableError(f"the table has no column except the target {target!r}; add the columns to predict it from")
    frame = frame.reset_index(drop=True)
    if missing == "drop":
        frame = _without_gaps(frame, [*columns, target], warnings)
    if len(frame) < MIN_ROWS:
        raise TableError(f"the table has {len(frame)} row{'s' * (len(frame) != 1)}; at least {MIN_ROWS} are needed")
    encoding = _encode_target(frame, target, task, warnings)
    features = [feature for name in columns for feature in _encode_column(frame[name], warnings)]
    if not features:
        raise TableError(f"no column can serve as an input: {'; '.join(warnings)}")
    encoding = dataclasses.replace(encoding, features=tuple(features))
    matrix = encoding.inputs(frame)
    kept = _informative(matrix, encoding.names, warnings)
    if not kept:
        raise TableError(f"no column can serve as an input: {'; '.join(warnings)}")
    if len(kept) > len(frame):
        warnings.append(
            f"more inputs ({len(kept)}) than rows ({len(frame)}): the result may not hold on new rows; "
            "choose columns with --inputs or add rows"
        )
    return Prepared(encoding.keep(kept), matrix[:, kept], encoding.outcome(frame), frame, tuple(warnings))


def _encode_target(frame: DataFrame, target: str, task: str, warnings: list[str]) -> Encoding:
    column = frame[target]
    refuse_rows(column.isna().to_numpy(), target, "is empty", "fill it, or leave such rows out with --missing drop")
    distinct = column.unique()
    if len(distinct) == 1:
        raise TableError(f"the target {target!r} is {distinct[0]!r} in every row: there is nothing to learn")
    numeric = is_numeric(column) or (task != "classification" and mostly_numeric(column))
    if task == "regression" or (task == "auto" and numeric):
        values = np.unique(require_finite(numbers_of(column), target))
        whole = bool((values == values.round()).all())
        codes = whole and len(values) <= MAX_LEVELS and values[0] in (0, 1) and bool((np.diff(values) == 1).all())
        if task == "regression" or not (codes or len(values) == 2):
            few = whole and len(values) <= MAX_CLASSES
            if task == "auto" and few:
                warnings.append(
                    f"{target!r} holds {len(values)} whole numbers that are not codes 0..K-1 or 1..K: predicted as an "
                    "amount and rounded to the nearest of them (--task classification takes them for labels)"
                )
            return Encoding((), target, "regression", values=tuple(values.tolist()) if few else ())
    classes = sorted({label_of(value) for value in distinct}, key=lambda label: (isinstance(label, str), label))
    if len(classes) > MAX_CLASSES:
        raise TableError(
            f"the target {target!r} has {len(classes)} different values, such as {listed(map(repr, classes))}; "
            f"a classification takes at most {MAX_CLASSES} classes, a regression takes numbers"
        )
    rare = [label for label, count in column.map(label_of).value_counts().items() if count < 5]
    if rare:
        warnings.append(f"classes of {target!r} with fewer than 5 rows: {listed(map(str, rare))}")
    return Encoding((), target, "classification", classes=tuple(classes))


def _encode_column(column: Any, warnings: list[str]) -> list[Feature]:
    """The features of one column; none, with a warning, where it cannot be used."""
    import pandas as pd

    name = str(column.name)
    if name.startswith("Unnamed:") and is_numeric(column) and (column.diff().iloc[1:] == 1).all():
        warnings.append("the column without a name counts the rows: left out")
        return []
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        warnings.append(f"{name!r} holds dates: left out; turn it into numbers (year, hour, ...) to use it")
        return []
    if is_numeric(column):
        return [Feature(name)]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(str).where(column.notna())
    elif mostly_numeric(column):
        numbers_of(column)  # raises and names the rows, unless every text is a number
        return [Feature(name)]
    return _encode_texts(column, name, warnings)


def _encode_texts(column: Any, name: str, warnings: list[str]) -> list[Feature]:
    """One indicator per common level; none for texts that only name the rows."""
    refuse_rows(column.isna().to_numpy(), name, "is empty", "fill it, or leave such rows out with --missing drop")
    counts = column.astype(str).value_counts()
    if len(counts) > len(column) / 2 and len(counts) > MAX_LEVELS:
        warnings.append(f"{name!r} has {len(counts)} different texts in {len(column)} rows: left out as a name of rows")
        return []
    if len(counts) <= 2:  # the second level is where the indicator of the first is zero
        return [Feature(name, counts.index[-1])]
    common = counts[counts >= max(2, len(column) / 1000)].index[:MAX_LEVELS]
    if len(common) < len(counts):
        warnings.append(f"{name!r} has {len(counts)} levels: indicators for the {len(common)} common ones only")
    return [Feature(name, level) for level in sorted(common)]


def _informative(matrix: np.ndarray, names: list[str], warnings: list[str]) -> list[int]:
    """The columns that are neither constant nor equal to an earlier one."""
    kept: list[int] = []
    seen: dict[bytes, str] = {}
    for n, name in enumerate(names):
        values = np.ascontiguousarray(matrix[:, n])
        twin = seen.setdefault(values.tobytes(), name)
        if values.min() == values.max():
            warnings.append(f"{name!r} is {values[0]:g} in every row: left out")
        elif twin != name:
            warnings.append(f"{name!r} equals {twin!r} in every row: left out")
        else:
            kept.append(n)
    return kept


def _without_gaps(frame: DataFrame, columns: list[str], warnings: list[str]) -> DataFrame:
    whole = frame[columns].replace([np.inf, -np.inf], np.nan).notna().all(axis=1)
    if not whole.all():
        warnings.append(f"{int((~whole).sum())} of {len(frame)} rows have an empty or infinite cell: left out")
    return frame[whole].reset_index(drop=True)
