"""Decide how the columns of a training table become inputs and an outcome, and tell what was left out."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import numpy as np

from edgewise.tables.cells import (
    DataFrame,
    TableError,
    counted,
    is_numeric,
    label_of,
    listed,
    refuse_rows,
    require_columns,
    require_finite,
    texts_of,
)
from edgewise.tables.column_kinds import MISSING, Decimal, Reading, almost_amounts, decimal_of, numbers_of, read_column
from edgewise.tables.date_parts import PARTS, DateOrder, date_order, date_part, dates_of
from edgewise.tables.encode import EMPTY, Encoding, Feature
from edgewise.tables.far_cells import told
from edgewise.tables.level_codes import LevelCodes

MIN_ROWS = 10
MAX_LEVELS = 20
MAX_INDICATORS = 10
MAX_CLASSES = 50


@dataclass(frozen=True)
class Prepared:
    """An encoded table: inputs (rows, features), outcome (rows,), and warnings for the reader.

    `texts` are the levels of the columns that become numbers only once the training rows are known: `coded`.
    """

    encoding: Encoding
    inputs: np.ndarray
    outcome: np.ndarray
    warnings: tuple[str, ...]
    texts: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def coded(self, training: np.ndarray, seed: int) -> Prepared:
        """With levels of many as numbers that the training rows, given by their places, decide alone."""
        if not self.texts:
            return self
        texts = {name: levels[training] for name, levels in self.texts.items()}
        encoding, own = self.encoding.coded(texts, self.outcome[training], seed)
        inputs = self.inputs.copy()
        for n, values in own.items():
            feature = encoding.features[n]
            assert feature.codes is not None
            assert feature.fill is not None
            inputs[:, n] = LevelCodes(dict(feature.codes), feature.fill)(self.texts[feature.column])
            inputs[training, n] = values
        return dataclasses.replace(self, encoding=encoding, inputs=inputs, texts={})


def prepare(
    frame: DataFrame,
    target: str,
    task: Literal["auto", "regression", "classification"] = "auto",
    *,
    inputs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Literal["error", "drop", "keep"] = "error",
    decimal: Decimal = "auto",
) -> Prepared:
    """Decide how the columns are encoded, and encode them.

    Args:
        frame: the table, one row per sample.
        target: the column to predict.
        task: "auto" takes texts, truth values, two values and codes 0..K-1 or 1..K for classes, other numbers for
            amounts. Amounts on few whole numbers are then predicted as amounts and rounded.
        inputs: the columns to use; all but the target by default.
        exclude: columns to leave out.
        missing: what to do with rows that have an empty cell: refuse them by name, leave them out, or keep them: the
            mean of the column stands for an empty number, and an indicator tells where it does.
        decimal: the decimal sign where the cells allow both.
    """
    require_columns(frame, [target, *inputs, *exclude])
    warnings: list[str] = []
    columns = [name for name in (inputs or frame.columns) if name != target and name not in set(exclude)]
    if not columns:
        raise TableError(f"the table has no column except the target {target!r}; add the columns to predict it from")
    decimal = decimal_of(frame[[*columns, target]], decimal)
    table = _Table(counted(frame)[[*columns, target]], target, decimal, warnings)
    _require_rows(frame)
    table.read(task)
    table.leave_out_rows(missing)
    frame = table.frame
    encoding = _encode_target(frame[target], task, warnings)
    outcomes = _outcomes(encoding)
    features = [
        feature for name in frame.columns if name != target for feature in table.features(name, missing, outcomes)
    ]
    if not features:
        raise TableError(f"no column can serve as an input: {'; '.join(warnings)}")
    encoding = dataclasses.replace(encoding, features=_distinct(features, target), decimal=decimal)
    matrix, outcome = encoding.inputs(frame), encoding.outcome(frame)
    if encoding.task == "regression":
        warnings.extend(told(outcome, frame[target]))
    for n, feature in enumerate(encoding.features):
        if not (feature.is_text or feature.gap or feature.part):
            warnings.extend(told(matrix[:, n], frame[feature.column]))
    many = [n for n, feature in enumerate(encoding.features) if feature.codes is not None]
    levels = {name: texts_of(frame[name], EMPTY) for name in {encoding.features[n].column for n in many}}
    for n in many:  # until the training rows are known the number of the level stands for its mean
        matrix[:, n] = np.unique(levels[encoding.features[n].column].astype(str), return_inverse=True)[1]
    kept = _informative(matrix, encoding.names, warnings)
    if not kept:
        raise TableError(f"no column can serve as an input: {'; '.join(warnings)}")
    if len(kept) > len(frame):
        warnings.append(
            f"more inputs ({len(kept)}) than rows ({len(frame)}): the result may not hold on new rows; "
            "choose columns with --inputs or add rows"
        )
    copies = [n for n in kept if encoding.task == "regression" and np.array_equal(matrix[:, n], outcome)]
    if copies:
        warnings.append(f"{encoding.names[copies[0]]!r} equals the target in every row; --exclude leaves it out")
    marked = (dataclasses.replace(f, mark=table.marks.get(f.column, f.mark)) for f in encoding.keep(kept).features)
    encoding = dataclasses.replace(encoding, features=tuple(marked))
    used = {f.column for f in encoding.features}
    coded = {name: texts for name, texts in levels.items() if name in used}
    matrix = matrix if len(kept) == matrix.shape[1] else matrix[:, kept]
    return Prepared(encoding, matrix, outcome, tuple(warnings), coded)


def _outcomes(encoding: Encoding) -> list[int | None]:
    """What the levels of a text of many are coded by: the mean, or the share of every class but the first."""
    return [None] if encoding.task == "regression" else list(range(1, len(encoding.classes)))


@dataclass
class _Table:
    """A table on its way: columns as numbers or texts, the marks of numbers, notes for the reader."""

    frame: DataFrame
    target: str
    decimal: Decimal
    warnings: list[str]
    marks: dict[str, str] = dataclasses.field(default_factory=dict)
    orders: dict[str, DateOrder] = dataclasses.field(default_factory=dict)

    def read(self, task: str) -> None:
        """Texts that are numbers become numbers; columns that are empty or dates are left out."""
        if self.decimal == ",":
            self.warnings.append("numbers are read with decimal commas (--decimal . reads points)")
        for name in list(self.frame.columns):
            column, is_target = self.frame[name], name == self.target
            reading = read_column(column, self.decimal)
            kind = reading.kind
            if is_target and kind in ("empty", "date"):
                raise TableError(f"the target {name!r} is {_KINDS[kind]}; it must be numbers or classes")
            if kind == "date":
                self._date(name)
            elif kind == "empty":
                self.frame = self.frame.drop(columns=name)
                self.warnings.append(f"{name!r} is {_KINDS[kind]}: left out")
            elif not is_target and name.startswith("Unnamed:") and is_numeric(column) and _counts_rows(column):
                self.frame = self.frame.drop(columns=name)
                self.warnings.append("the column without a name counts the rows: left out")
            elif kind == "number" and not is_numeric(column) and not (is_target and task == "classification"):
                self.frame = self.frame.assign(**{name: self._numbers(column, reading)})
            elif kind == "level" and is_target and task == "regression":
                numbers_of(column, self.decimal, "choose another target")
            elif kind == "level":
                words = sorted(set(column.dropna().astype(str)) & MISSING)
                if words:
                    self.warnings.append(
                        f"{name!r} has the level {words[0]!r}; --na-values {words[0]} takes it for an empty cell"
                    )
                why = almost_amounts(column)
                if why:
                    self.warnings.append(
                        f"{name!r} is read as levels: {why}; write all in one unit to have amounts, or name a word for "
                        "empty cells with --na-values"
                    )

    def _date(self, name: str) -> None:
        """Turn a column of dates into dates, or leave it out with the reason."""
        order = date_order(self.frame[name])
        if order in ("unclear", "times"):
            reason = "dates whose day and month cannot be told apart" if order == "unclear" else "times without a day"
            self.frame = self.frame.drop(columns=name)
            self.warnings.append(f"{name!r} has {reason}: left out")
            return
        dates = dates_of(self.frame[name], order)
        wrong = np.isnat(dates) & self.frame[name].notna().to_numpy()
        refuse_rows(wrong, self.frame[name], "is no date among dates", "correct it, or leave it out with --exclude")
        self.frame = self.frame.assign(**{name: dates})
        self.orders[name] = order

    def _numbers(self, column: Any, reading: Reading) -> np.ndarray:
        remedy = "take all for labels with --task classification" if column.name == self.target else ""
        values, mark = numbers_of(column, self.decimal, remedy, reading)
        if mark:
            self.marks[str(column.name)] = mark
            said = "per cent, 5% as 0.05" if mark == "%" else f"amounts in {mark}"
            self.warnings.append(f"{column.name!r} is read as {said}")
        if column.astype(str).str.startswith("(").any():
            self.warnings.append(f"{column.name!r} has numbers in parentheses, which are read as negative: (5) as -5")
        return values

    def leave_out_rows(self, missing: str) -> None:
        """Leave out the rows that `missing` and the target cannot do with."""
        frame = self.frame
        gaps: DataFrame = frame.isin([np.inf, -np.inf]) | frame.isna()
        if missing == "drop" or (missing == "keep" and gaps[self.target].any()):
            bad = gaps.any(axis=1) if missing == "drop" else gaps[self.target]
            worst = gaps.sum().idxmax() if missing == "drop" else self.target
            if bad.any():
                self.warnings.append(
                    f"{int(bad.sum())} of {len(frame)} rows have an empty or infinite cell: left out "
                    f"({int(gaps[worst].sum())} in {str(worst)!r})"
                )
                frame = self.frame = frame[~bad]
                _require_rows(frame, self.warnings[-1])
        column = frame[self.target]
        refuse_rows(column.isna().to_numpy(), column, "is empty", "fill it, or leave such rows out with --missing drop")

    def features(self, name: str, missing: str, outcomes: Sequence[int | None]) -> list[Feature]:
        """The features of one column; none, with a warning, where it cannot be used."""
        column = self.frame[name]
        if name in self.orders:
            return self._date_features(column, missing)
        if not is_numeric(column):
            return self._indicators(column, missing, outcomes)
        gaps = column.isna()
        if missing != "keep" or not gaps.any():
            return [Feature(name, name)]
        mean = float(column[~gaps].mean())
        self.warnings.append(f"{int(gaps.sum())} empty cells of {name!r} are kept: {mean:.4g} stands for them")
        return [Feature(name, name, fill=mean), Feature(f"{name} is empty", name, gap=True)]

    def _date_features(self, column: Any, missing: str) -> list[Feature]:
        """Year, and the place in year, week and day."""
        name, dates = str(column.name), column.to_numpy()
        gaps = np.isnat(dates)
        found = []
        for part in PARTS:
            values = date_part(dates, part)[~gaps]
            if len(values) and np.ptp(values) > 1e-9:
                fill = float(values.mean()) if missing == "keep" and gaps.any() else None
                found.append(Feature(f"{name} ({part})", name, fill=fill, mark=self.orders[name], part=part))
        if missing == "keep" and gaps.any() and found:
            found.append(Feature(f"{name} is empty", name, gap=True, mark=self.orders[name], part="year"))
        self.warnings.append(f"{name!r} is a date: its inputs are {listed([f.name for f in found], 8)}")
        return found

    def _indicators(self, column: Any, missing: str, outcomes: Sequence[int | None]) -> list[Feature]:
        """One indicator per common level, or the means of many levels; none for texts that only name the rows."""
        name = str(column.name)
        if missing != "keep":
            bad = column.isna().to_numpy()
            refuse_rows(bad, column, "is empty", "fill it, or leave such rows out with --missing drop")
        counts = dict(Counter(texts_of(column, EMPTY)).most_common())
        if len(counts) > len(column) / 2 and len(counts) > MAX_LEVELS:
            self.warnings.append(
                f"{name!r} has {len(counts)} different texts in {len(column)} rows, such as "
                f"{listed(map(repr, counts), 2)}: left out as a name of rows"
            )
            return []
        if len(counts) > MAX_INDICATORS:
            self.warnings.append(
                f"{name!r} has {len(counts)} levels: one input instead of as many indicators, "
                f"{'the mean of the target' if outcomes == [None] else 'the share of a class'} by level, shrunk "
                "towards that of all rows, learnt from training rows and out of fold there"
            )
            return [Feature(_coded_name(name, self.target, n), name, codes=(), outcome=n) for n in outcomes]
        if len(counts) <= 2:  # the second level is where the indicator of the first is zero
            other, level = [None, *counts][-2:]
            return [Feature(f"{name}={level}", name, level, other)]
        least = max(2, len(column) / 1000)
        common = [level for level, count in counts.items() if level != EMPTY and count >= least]
        common += [EMPTY] * (EMPTY in counts)
        if len(common) < len(counts):
            self.warnings.append(
                f"{name!r} has {len(counts)} levels: indicators for the {len(common)} common ones only"
            )
        return [Feature(f"{name}={level}", name, level) for level in sorted(common)]


def _coded_name(column: str, target: str, outcome: int | None) -> str:
    return f"{column} (mean of {target})" if outcome is None else f"{column} (share {outcome} of {target})"


def _counts_rows(column: Any) -> bool:
    return bool((column.diff().iloc[1:] == 1).all())


_KINDS = {
    "empty": "empty in every row",
    "date": "a date",
}


def _require_rows(frame: DataFrame, why: str = "") -> None:
    if len(frame) < MIN_ROWS:
        rows = f"{len(frame)} row{'s' * (len(frame) != 1)}"
        raise TableError(f"the table has {rows}; at least {MIN_ROWS} are needed{f' ({why})' * bool(why)}")


def _encode_target(column: Any, task: str, warnings: list[str]) -> Encoding:
    target, distinct = str(column.name), column.unique()
    if len(distinct) == 1:
        raise TableError(f"the target {target!r} is {label_of(distinct[0])!r} in every row: there is nothing to learn")
    if task == "regression" or (task == "auto" and is_numeric(column)):
        values = np.unique(require_finite(column.to_numpy(float, na_value=np.nan), column))
        whole = bool((values == values.round()).all())
        codes = whole and len(values) <= MAX_LEVELS and values[0] in (0, 1) and bool((np.diff(values) == 1).all())
        if task == "regression":
            return Encoding((), target, "regression")
        if not (codes or len(values) == 2):
            few = whole and len(values) <= MAX_CLASSES
            if few:
                warnings.append(
                    f"{target!r} holds {len(values)} whole numbers that are not codes 0..K-1 or 1..K: predicted as an "
                    "amount and rounded to the nearest of them (--task regression does not round, --task "
                    "classification takes them for labels)"
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


def _distinct(features: Sequence[Feature], target: str) -> tuple[Feature, ...]:
    """The features with names that no other feature, nor the target, has: `k=q` may be a column or a level of k."""
    taken = {target, *(feature.name for feature in features if feature.name == feature.column)}
    found = []
    for feature in features:
        name = feature.name
        while feature.name != feature.column and name in taken:
            name += " (level)" if feature.level is not None else " (cell)"
        taken.add(name)
        found.append(dataclasses.replace(feature, name=name))
    return tuple(found)


def _informative(matrix: np.ndarray, names: list[str], warnings: list[str]) -> list[int]:
    """The columns that are neither constant nor equal to an earlier one."""
    kept: list[int] = []
    seen: dict[bytes, str] = {}
    for n, name in enumerate(names):
        values = np.ascontiguousarray(matrix[:, n])
        twin = seen.setdefault(blake2b(values.data).digest(), name)
        if values.min() == values.max():
            warnings.append(f"{name!r} is {values[0]:g} in every row: left out")
        elif twin != name:
            warnings.append(f"{name!r} equals {twin!r} in every row: left out")
        else:
            kept.append(n)
    return kept
