"""Encode the columns of a table as numbers: decided once on the training table, by `prepare`, and repeated on new ones.

A number is used as it is. A text of few levels becomes one indicator per level, named `column=level`, a text of many
the shrunk mean of the target by level (`edgewise.tables.level_codes`). A date becomes its year and its place in year,
week and day (`edgewise.tables.date_parts`). An empty cell is an indicator of its own beside the mean of its column, and
a level of its own among texts. What cannot be used is an error that names the rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from edgewise.stored import read_fields
from edgewise.tables.cells import (
    DataFrame,
    TableError,
    counted,
    label_of,
    listed,
    refuse_rows,
    require_columns,
    require_finite,
    texts_of,
)
from edgewise.tables.column_kinds import Decimal, decimal_of, numbers_of, read_column
from edgewise.tables.date_parts import date_part, dates_of, ordered_dates
from edgewise.tables.level_codes import LevelCodes, fit_codes

TaskKind = Literal["regression", "classification"]
EMPTY = "(empty)"
"""The level of empty cells, where they are kept."""


@dataclass(frozen=True)
class Feature:
    """One input of the network: a column of numbers, or the indicator of one level of a text column, or of empty cells.

    Args:
        name: of the input.
        column: of the table.
        level: whose indicator this is; None for numbers.
        other: the only other level of the column, where this indicator is zero; None where there may be more.
        gap: an indicator of empty cells.
        fill: the number that stands for an empty cell; None where there must be none.
        mark: the percent or currency sign that all numbers of the column have; of dates, see `date_parts.date_order`.
        part: of a date, see `date_parts.PARTS`.
        codes: the numbers of the levels of a text column; () before they are fitted, None where it is no such column.
        outcome: the class whose share the codes are; None where they are means.
    """

    name: str
    column: str
    level: str | None = None
    other: str | None = None
    gap: bool = False
    fill: float | None = None
    mark: str = ""
    part: str = ""
    codes: tuple[tuple[str, float], ...] | None = None
    outcome: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether it reads levels."""
        return self.level is not None or self.codes is not None

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Feature:
        """The feature that `dataclasses.asdict` and JSON described."""
        return read_fields(cls, fields, "an input of a table")


@dataclass(frozen=True)
class Encoding:
    """How the columns of a table become inputs and an outcome.

    Args:
        features: the inputs in order.
        target: the column to predict.
        task: regression, or classification into `classes`.
        classes: the labels; empty for regression.
        values: for a regression on few whole numbers, the values present, to which a prediction is rounded; else empty.
        decimal: the decimal sign of the training table, for new tables where the cells allow both.
    """

    features: tuple[Feature, ...]
    target: str
    task: TaskKind
    classes: tuple[str | int | float | bool, ...] = ()
    values: tuple[float, ...] = ()
    decimal: Decimal = "auto"

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @cached_property
    def levels(self) -> dict[str, list[str]]:
        """The levels of every text column that inputs tell from one another."""
        found: dict[str, list[str]] = {}
        for feature in self.features:
            if feature.level is not None:
                found.setdefault(feature.column, []).extend(filter(None, (feature.level, feature.other)))
        return found

    @property
    def texts(self) -> set[str]:
        """The columns that are read as texts."""
        return {feature.column for feature in self.features if feature.is_text}

    def coded(
        self, texts: Mapping[str, np.ndarray], outcome: np.ndarray, seed: int, weights: np.ndarray | None = None
    ) -> tuple[Encoding, dict[int, np.ndarray]]:
        """With the codes of these training rows, and the numbers of these rows themselves, by feature.

        Args:
            texts: the levels of every row, by column.
            outcome: as `outcome` gives it, or (rows, targets).
            seed: of the folds, in which a row is coded by the others.
            weights: of the rows.
        """
        features, own = list(self.features), {}
        for n, feature in enumerate(features):
            if feature.codes is not None:
                target = outcome if feature.outcome is None else _target_of(outcome, feature.outcome)
                codes, own[n] = fit_codes(texts[feature.column], target.astype(float), seed, weights)
                pairs = tuple(codes.values.items())
                features[n] = dataclasses.replace(feature, codes=pairs, fill=codes.other)
        return dataclasses.replace(self, features=tuple(features)), own

    def inputs(self, frame: DataFrame, decimal: Decimal = "auto") -> np.ndarray:
        """The features of every row, float64 of shape (rows, features); `TableError` where one cannot be read."""
        frame, sign = self._known(frame), self.sign(frame, decimal)
        found = np.empty((len(frame), len(self.features)))
        for name in frame.columns:  # the cells of one column at a time: a large table is in memory once, not thrice
            cells = self._cells(frame[name], sign)
            for n, feature in enumerate(self.features):
                if feature.column == name:
                    found[:, n] = _values(feature, frame[name], cells)
        return found

    def sign(self, frame: DataFrame, given: Decimal = "auto") -> Decimal:
        """The decimal sign of a new table: the one given, else its own, else that of the training table."""
        own = decimal_of(self._known(frame), given)
        return self.decimal if own == "auto" else own

    def usable(self, frame: DataFrame, decimal: Decimal = "auto") -> np.ndarray:
        """True for the rows without an empty, infinite or unknown cell that the features cannot do without."""
        frame, sign = self._known(frame), self.sign(frame, decimal)
        found = np.ones(len(frame), bool)
        for name, column in frame.items():
            cells, bad = texts_of(column, EMPTY), np.zeros(len(column), bool)
            if name in self.texts and name not in self.levels:
                continue
            if name not in self.levels:
                reading = read_column(column, sign)
                known = reading.kind == "number"
                cells = reading.values if known else np.full(len(column), np.nan)
                bad = reading.bad if known else column.notna().to_numpy()
            found &= ~(bad | self._unreadable(str(name), cells))
        return found

    def outcome(self, frame: DataFrame) -> np.ndarray:
        """The target of every row: floats for regression, class indices for classification."""
        require_columns(frame, {self.target})
        column = counted(frame)[self.target]
        refuse_rows(column.isna().to_numpy(), column, "is empty")
        if self.task == "regression":
            return require_finite(numbers_of(column, self.decimal)[0], column)
        index = {label: n for n, label in enumerate(self.classes)}
        found = np.array([index.get(label_of(value), -1) for value in column])
        refuse_rows(found < 0, column, "is none of the known classes")
        return found

    def unknown_levels(self, frame: DataFrame) -> dict[str, list[str]]:
        """Texts of a new table that have no indicator: all indicators of their column are zero."""
        frame = self._known(frame)
        known = {f.column: [level for level, _ in f.codes] for f in self.features if f.codes} | self.levels
        found = {name: set(texts_of(frame[name], EMPTY)) - {*levels, EMPTY} for name, levels in known.items()}
        columns = dict.fromkeys(feature.column for feature in self.features)
        return {name: sorted(found[name]) for name in columns if found.get(name)}

    def round(self, prediction: np.ndarray) -> np.ndarray:
        """Each prediction moved to the nearest of `values`; unchanged where there are none, or it is not finite."""
        if not self.values:
            return prediction
        values = np.asarray(self.values)
        return np.where(np.isfinite(prediction), values[np.abs(prediction[:, None] - values).argmin(1)], prediction)

    def keep(self, indices: Iterable[int]) -> Encoding:
        """The encoding with these features alone."""
        return dataclasses.replace(self, features=tuple(self.features[i] for i in indices))

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Encoding:
        """The encoding that `to_json` described."""
        return read_fields(cls, fields, "the encoding of a table")

    def _known(self, frame: DataFrame) -> DataFrame:
        """The columns that the features read, with rows that can be told."""
        names = dict.fromkeys(feature.column for feature in self.features)
        require_columns(frame, names)
        return counted(frame)[list(names)]

    def _cells(self, column: Any, decimal: Decimal) -> np.ndarray:
        """Numbers as they were read in training, or texts."""
        if column.name in self.levels:
            return self._known_levels(column, texts_of(column, EMPTY))
        if column.name in self.texts:
            return texts_of(column, EMPTY)
        first = next(feature for feature in self.features if feature.column == column.name)
        if first.part:
            return self._dates(column, first)
        mark = first.mark
        values, found = numbers_of(column, decimal, "leave such rows out with --missing drop")
        if found != mark and not np.isnan(values).all():
            new, old = (f"numbers with {sign}" if sign else "plain numbers" for sign in (found, mark))
            raise TableError(f"column {column.name!r} has {new}, the training table had {old}; write them alike")
        return values

    def _dates(self, column: Any, feature: Feature) -> np.ndarray:
        if not feature.mark:  # training had no date such as 05/06/2023, so that nothing tells its day from its month
            unclear = ordered_dates(column)
            refuse_rows(unclear, column, "does not tell the day from the month", "write it as year-month-day")
        dates = dates_of(column, feature.mark)  # type: ignore[arg-type]
        wrong = np.isnat(dates) & column.notna().to_numpy()
        refuse_rows(wrong, column, "is no date", "correct it, or make it an empty cell")
        if not any(f.gap or f.fill is not None for f in self.features if f.column == column.name):
            refuse_rows(np.isnat(dates), column, "is empty", "fill it, or leave such rows out with --missing drop")
        return dates

    def _unreadable(self, name: str, cells: np.ndarray) -> np.ndarray:
        """The rows whose cell of this column no feature can stand for."""
        features = [feature for feature in self.features if feature.column == name]
        if features[0].level is not None:
            known, closed = self.levels[name], any(feature.other is not None for feature in features)
            return np.array([(text == EMPTY or closed) and text not in known for text in cells], bool)
        filled = any(feature.gap or feature.fill is not None for feature in features)
        return np.isinf(cells) | (np.isnan(cells) & (not filled))

    def _known_levels(self, column: Any, cells: np.ndarray) -> np.ndarray:
        """The texts; `TableError` names the rows with one that no feature can stand for."""
        bad = self._unreadable(str(column.name), cells)
        refuse_rows(bad & (cells == EMPTY), column, "is empty", "fill it, or leave such rows out with --missing drop")
        new = listed(dict.fromkeys(map(repr, cells[bad])))
        seen = " and ".join(map(repr, sorted(self.levels[column.name])))
        remedy = "correct it, or leave such rows out with --missing drop"
        refuse_rows(bad, column, f"holds {new}, where training saw {seen} only,", remedy)
        return cells


def _target_of(outcome: np.ndarray, place: int) -> np.ndarray:
    """The share of a class among class numbers, or one of several targets."""
    return outcome[:, place] if outcome.ndim == 2 else outcome == place


def _values(feature: Feature, column: Any, cells: np.ndarray) -> np.ndarray:
    """One input for every row."""
    if feature.level is not None:
        return (cells == feature.level).astype(float)
    if feature.codes is not None:
        return LevelCodes(dict(feature.codes), 0.0 if feature.fill is None else feature.fill)(cells)
    if feature.part:
        cells = date_part(cells, feature.part)
    if feature.gap:
        return (np.isnat(cells) if cells.dtype.kind == "M" else np.isnan(cells)).astype(float)
    return require_finite(cells if feature.fill is None else np.where(np.isnan(cells), feature.fill, cells), column)
