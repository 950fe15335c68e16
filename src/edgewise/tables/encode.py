"""From a table to numbers: what every column becomes, decided once on the training table and replayed on new ones.

A number stays a number. A text becomes one indicator per level, named `column=level`. Whatever cannot be used is either
an error that names the rows, or a warning that names the column.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

DataFrame = Any  # of pandas, which is optional and whose stubs cannot follow a column

Task = Literal["regression", "classification"]

MIN_ROWS = 10
MAX_LEVELS = 20
MAX_CLASSES = 50
_SHOWN = 5


class TableError(ValueError):
    """A table that cannot be used as it is; the message says what, where and what to do."""


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
    task: Task
    classes: tuple[str | int | float | bool, ...] = ()
    values: tuple[float, ...] = ()

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    def inputs(self, frame: DataFrame) -> np.ndarray:
        """The features of every row, float64 of shape (rows, features); `TableError` where one cannot be had."""
        require_columns(frame, {feature.column for feature in self.features})
        columns: dict[str, np.ndarray] = {}
        for feature in self.features:
            if feature.level is None:
                columns[feature.name] = _finite(_numbers(frame[feature.column]), feature.column)
            else:
                texts = frame[feature.column]
                _refuse_rows(texts.isna().to_numpy(), feature.column, "is empty")
                columns[feature.name] = (texts.astype(str) == feature.level).to_numpy(float)
        return np.column_stack(list(columns.values()))

    def outcome(self, frame: DataFrame) -> np.ndarray:
        """The target of every row: floats for regression, class indices for classification."""
        require_columns(frame, {self.target})
        column = frame[self.target]
        _refuse_rows(column.isna().to_numpy(), self.target, "is empty")
        if self.task == "regression":
            return _finite(_numbers(column), self.target)
        index = {label: n for n, label in enumerate(self.classes)}
        found = [index.get(_label(value), -1) for value in column]
        _refuse_rows(np.array(found) < 0, self.target, "is none of the known classes")
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
    """A table as numbers: inputs (rows, features), outcome (rows,), and what the reader must know about them."""

    encoding: Encoding
    inputs: np.ndarray
    outcome: np.ndarray
    frame: DataFrame
    warnings: tuple[str, ...]


def read_table(path: Path | str, names: Sequence[str] = ()) -> DataFrame:
    """The table in a CSV (also compressed, with comma, semicolon or tab) or Parquet file.

    Args:
        path: the file.
        names: the names of the columns, for a CSV without a header line.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(f"there is no file {str(path)!r}{_near(path.name, _siblings(path))}")
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("tables need pandas: pip install edgewise[cli]") from error
    frame: DataFrame
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = pd.read_parquet(path)
        else:
            header = {"header": None, "names": list(names)} if names else {}
            frame = pd.read_csv(path, sep=_separator(path), encoding="utf-8-sig", low_memory=False, **header)
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text ({error}); save it as CSV in UTF-8, or as Parquet") from error
    except pd.errors.EmptyDataError as error:
        raise TableError(f"{path} is empty; a table needs a header line and rows") from error
    except (pd.errors.ParserError, OSError, ValueError) as error:
        raise TableError(f"{path} cannot be read as a table: {error}") from error
    columns = [str(name).strip() for name in frame.columns]
    frame.columns = columns
    twice = [name for n, name in enumerate(columns) if name in columns[:n]]
    if twice:
        raise TableError(f"{path} has two columns named {twice[0]!r}; give every column its own name")
    return frame


def prepare(
    frame: DataFrame,
    target: str,
    task: Literal["auto", "regression", "classification"] = "auto",
    *,
    inputs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
) -> Prepared:
    """Decide how the columns become numbers, and make them.

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
        raise TableError(f"the table has no column beside the target {target!r}; add the columns to predict it from")
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


def require_columns(frame: DataFrame, names: Iterable[str]) -> None:
    """Raise `TableError` for the first of `names` that the table lacks, with the nearest name that it has."""
    for name in names:
        if name not in frame.columns:
            have = [str(column) for column in frame.columns]
            raise TableError(f"there is no column {name!r}{_near(name, have)}; the table has {_listed(have, 20)}")


def _encode_target(frame: DataFrame, target: str, task: str, warnings: list[str]) -> Encoding:
    column = frame[target]
    _refuse_rows(column.isna().to_numpy(), target, "is empty", "fill it, or leave such rows out with --missing drop")
    distinct = column.unique()
    if len(distinct) == 1:
        raise TableError(f"the target {target!r} is {distinct[0]!r} in every row: there is nothing to learn")
    numeric = _is_numeric(column) or (task != "classification" and _mostly_numeric(column))
    if task == "regression" or (task == "auto" and numeric):
        values = np.unique(_finite(_numbers(column), target))
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
    classes = sorted({_label(value) for value in distinct}, key=lambda label: (isinstance(label, str), label))
    if len(classes) > MAX_CLASSES:
        raise TableError(
            f"the target {target!r} has {len(classes)} different values, such as {_listed(map(repr, classes))}; "
            f"a classification takes at most {MAX_CLASSES} classes, a regression takes numbers"
        )
    rare = [label for label, count in column.map(_label).value_counts().items() if count < 5]
    if rare:
        warnings.append(f"classes of {target!r} with fewer than 5 rows: {_listed(map(str, rare))}")
    return Encoding((), target, "classification", classes=tuple(classes))


def _encode_column(column: Any, warnings: list[str]) -> list[Feature]:
    """The features of one column; none, with a warning, where it cannot be used."""
    import pandas as pd

    name = str(column.name)
    if name.startswith("Unnamed:") and _is_numeric(column) and (column.diff().iloc[1:] == 1).all():
        warnings.append("the column without a name counts the rows: left out")
        return []
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        warnings.append(f"{name!r} holds dates: left out; turn it into numbers (year, hour, ...) to use it")
        return []
    if _is_numeric(column):
        return [Feature(name)]
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(str).where(column.notna())
    elif _mostly_numeric(column):
        _numbers(column)  # raises and names the rows, unless every text is a number
        return [Feature(name)]
    return _encode_texts(column, name, warnings)


def _encode_texts(column: Any, name: str, warnings: list[str]) -> list[Feature]:
    """One indicator per common level; none for texts that only name the rows."""
    _refuse_rows(column.isna().to_numpy(), name, "is empty", "fill it, or leave such rows out with --missing drop")
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


def _is_numeric(column: Any) -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def _mostly_numeric(column: Any) -> bool:
    """True where more than half of the different values are numbers: what is left are typing errors, not levels."""
    import pandas as pd

    distinct = column.dropna().drop_duplicates()
    parsed: Any = pd.to_numeric(distinct, errors="coerce")
    return len(distinct) > 0 and bool(parsed.notna().mean() > 0.5)


def _numbers(column: Any) -> np.ndarray:
    """The column as float64, NaN where it is empty; texts that are no numbers are refused by row."""
    import pandas as pd

    parsed: Any = pd.to_numeric(column, errors="coerce")
    numbers = parsed.astype(float).to_numpy(float, na_value=np.nan)
    bad = np.isnan(numbers) & column.notna().to_numpy()
    if bad.any():
        texts = _listed(dict.fromkeys(repr(text) for text in column[bad]), _SHOWN)
        raise TableError(
            f"column {column.name!r} is a number but holds the text {texts} in {_rows(bad)}; "
            "correct it, or leave the column out with --exclude"
        )
    return numbers


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    _refuse_rows(np.isnan(values), name, "is empty or not a number (NaN)", "fill it, or use --missing drop")
    _refuse_rows(np.isinf(values), name, "is infinite", "correct it, or use --missing drop")
    return values


def _refuse_rows(bad: np.ndarray, name: str, what: str, remedy: str = "correct it") -> None:
    if bad.any():
        raise TableError(f"column {name!r} {what} in {_rows(bad)}; {remedy}")


def _rows(bad: np.ndarray) -> str:
    """Rows as a reader counts them: 1 is the first row below the header."""
    rows = np.flatnonzero(bad) + 1
    return f"row{'s' * (len(rows) > 1)} {_listed(map(str, rows), _SHOWN)}"


def _label(value: Any) -> str | int | float | bool:
    """A class label that JSON can hold."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        return int(value) if float(value).is_integer() else float(value)
    return str(value)


def _listed(items: Iterable[str], shown: int = _SHOWN) -> str:
    items = list(items)
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def _near(name: str, known: Iterable[str]) -> str:
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _siblings(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def _separator(path: Path) -> str:
    """The most frequent of comma, semicolon and tab in the header line."""
    from pandas.io.common import get_handle

    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as handles:
        header = handles.handle.readline()
    return max(",;\t", key=header.count)
