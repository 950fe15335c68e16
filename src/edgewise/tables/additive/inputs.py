"""The columns of a table as numbers, texts or dates, and the arguments of terms that are read from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from edgewise.tables.cells import label_of
from edgewise.tables.date_parts import CalendarPart, calendar_part

Kind = Literal["number", "level", "date"]
Part: TypeAlias = Literal["value"] | CalendarPart

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a table.

    Args:
        name: of the column.
        kind: numbers (booleans are 0 and 1), levels of a category, or dates.
        values: float64 with NaN where a cell is missing; texts with None there; or datetime64[ms] with NaT there.
    """

    name: str
    kind: Kind
    values: np.ndarray


@dataclass(frozen=True)
class Input:
    r"""What a term reads: a column, or a part of a column of dates.

    The parts of a date are its `year` with a fraction (2024.5 is noon of 1 July), its `season` in [0, 1), the share of
    the year that has passed, its `weekday`, and its `hour` in [0, 24).

    Args:
        position: of the column in the table.
        column: its name.
        kind: of the column.
        part: of a date; "value" of numbers and levels.
    """

    position: int
    column: str
    kind: Kind
    part: Part = "value"

    @property
    def name(self) -> str:
        """The name of the column, with the part of a date, such as `day (season)`."""
        return self.column if self.part == "value" else f"{self.column} ({self.part})"

    def read(self, columns: Sequence[Column] | Mapping[int, Column]) -> np.ndarray:
        """The arguments: float64 with NaN for missing cells, or texts with None for them."""
        values = columns[self.position].values
        if self.part == "value":
            return values
        return _date_values(values, self.part)


def _date_values(dates: np.ndarray, part: CalendarPart) -> np.ndarray:
    """A part of dates of type datetime64; NaN, or None for a weekday, where the date is missing."""
    values = calendar_part(dates, part)
    if part != "weekday":
        return values
    names = np.array([*WEEKDAYS, None], object)
    return names[np.where(np.isnan(values), len(WEEKDAYS), values).astype(int)]


def read_columns(X: Any, kinds: Sequence[Kind] | None = None) -> list[Column]:
    """The columns of an array of numbers or of a frame of pandas or polars.

    Args:
        X: the table, (rows, columns).
        kinds: of the columns, as they were found on the training table; found here by default.
    """
    if isinstance(X, np.ndarray):
        return [Column(f"x{j + 1}", "number", np.asarray(X[:, j], float)) for j in range(X.shape[1])]
    if not _is_pandas(X) and not _is_polars(X):
        X = X.to_pandas() if hasattr(X, "to_pandas") else _pandas().DataFrame(X)
    read = _polars_column if _is_polars(X) else _pandas_column
    series = [X.iloc[:, j] for j in range(X.shape[1])] if _is_pandas(X) else X.get_columns()
    found = []
    for j, (name, column) in enumerate(zip(X.columns, series, strict=True)):
        kind = None if kinds is None else kinds[j]
        found.append(Column(str(name), *read(column, str(name), kind)))
    return found


def column_values(column: Any, name: str, kind: Kind) -> np.ndarray:
    """The values of a series of pandas, read as a column of this kind."""
    return _pandas_column(column, name, kind)[1]


def missing_cells(column: Column) -> int:
    """How many cells of a column are missing."""
    if column.kind == "level":
        return sum(value is None for value in column.values.tolist())
    return int((np.isnat(column.values) if column.kind == "date" else np.isnan(column.values)).sum())


def is_frame(X: Any) -> bool:
    """True for a table with typed columns, which numpy would turn into objects."""
    return hasattr(X, "columns") and hasattr(X, "shape") and not isinstance(X, np.ndarray)


def texts(cells: Sequence[Any] | np.ndarray, known: np.ndarray) -> np.ndarray:
    """Cells as texts, whole numbers without a point; None where a cell is not `known`."""
    found = np.full(len(cells), None, object)
    found[known] = [str(label_of(cell)).strip() for cell, there in zip(cells, known, strict=True) if there]
    return found


def _pandas_column(column: Any, name: str, kind: Kind | None) -> tuple[Kind, np.ndarray]:
    types = _pandas().api.types
    known = column.notna().to_numpy()
    if kind is None:
        kind = _pandas_kind(column, name)
    if kind == "number":
        if types.is_bool_dtype(column.dtype) or types.is_numeric_dtype(column.dtype):
            return kind, finite_numbers(column.to_numpy(float, na_value=np.nan), name)
        return kind, _numbers(column.astype(object).to_numpy(), known, name)
    if kind == "date":
        if getattr(column.dtype, "tz", None) is not None:
            column = column.dt.tz_localize(None)
        return kind, _dates(column, name)
    if isinstance(column.dtype, _pandas().CategoricalDtype):
        categories = list(column.cat.categories)
        levels = np.array([*texts(categories, np.ones(len(categories), bool)), None], object)
        return kind, levels[column.cat.codes.to_numpy()]
    return kind, texts(column.astype(object).to_numpy(), known)


def _pandas_kind(column: Any, name: str) -> Kind:
    pandas = _pandas()
    types = pandas.api.types
    if isinstance(column.dtype, pandas.CategoricalDtype):
        return "level"
    if types.is_complex_dtype(column.dtype) or types.is_timedelta64_dtype(column.dtype):
        raise ValueError(f"column {name!r} has the type {column.dtype}, which no term reads; turn it into numbers")
    if types.is_numeric_dtype(column.dtype):
        return "number"
    if types.is_datetime64_any_dtype(column.dtype):
        return "date"
    inner = types.infer_dtype(column, skipna=True)
    if inner in ("datetime", "datetime64", "date"):
        return "date"
    numbers = ("floating", "integer", "mixed-integer-float", "decimal", "boolean", "empty")
    return "number" if inner in numbers and column.dtype == object else "level"


def _polars_column(column: Any, name: str, kind: Kind | None) -> tuple[Kind, np.ndarray]:
    import polars  # pyright: ignore[reportMissingImports]

    dtype = column.dtype
    if kind is None:
        if dtype.is_numeric() or dtype in (polars.Boolean, polars.Null):
            kind = "number"
        elif dtype in (polars.Date, polars.Datetime):
            kind = "date"
        elif dtype in (polars.String, polars.Categorical, polars.Enum):
            kind = "level"
        else:
            raise ValueError(f"column {name!r} has the type {dtype}, which no term reads; turn it into numbers")
    if kind == "number":
        if dtype.is_numeric() or dtype == polars.Boolean:
            return kind, finite_numbers(column.cast(polars.Float64).fill_null(np.nan).to_numpy().copy(), name)
        return kind, _numbers(column.to_numpy(), column.is_not_null().to_numpy(), name)
    if kind == "date":
        return kind, _dates(_naive(column, polars), name)
    return kind, texts(column.to_list(), column.is_not_null().to_numpy())


def _naive(column: Any, polars: Any) -> Any:
    """A series of pandas; dates with the clock time of their zone, as pandas has them without it."""
    if column.dtype == polars.Datetime and column.dtype.time_zone is not None:
        column = column.dt.replace_time_zone(None)
    return _pandas().Series(column.to_list() if column.dtype == polars.String else column.to_numpy())


def _dates(column: Any, name: str) -> np.ndarray:
    if _pandas().api.types.is_numeric_dtype(column.dtype):
        raise ValueError(f"column {name!r} held dates in training, but now holds numbers; turn them into dates")
    ordered = [
        text for text in column.dropna() if isinstance(text, str) and not re.match(r"\d{4}-\d{1,2}-\d{1,2}", text)
    ]
    if ordered:
        raise ValueError(
            f"column {name!r} held dates in training, and {ordered[0]!r} does not tell which number is the day; write "
            "year-month-day, or turn the column into dates with `pandas.to_datetime(..., dayfirst=...)`"
        )
    try:
        return _pandas().to_datetime(column).to_numpy().astype("datetime64[ms]")
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} held dates in training, but now a cell is none: {error}") from error


def _numbers(cells: np.ndarray, known: np.ndarray, name: str) -> np.ndarray:
    found = np.full(len(cells), np.nan)
    try:
        found[known] = cells[known].astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name!r} holds numbers, but a cell is none: {error}") from error
    return finite_numbers(found, name)


def finite_numbers(values: np.ndarray, name: str) -> np.ndarray:
    """The values of a column of numbers as they are; `ValueError` where one is infinite."""
    if np.isinf(values).any():
        row = int(np.isinf(values).argmax())
        raise ValueError(f"column {name!r} is infinite (inf) in row {row}; correct it, or make the cell missing (NaN)")
    return values


def _is_polars(X: Any) -> bool:
    return type(X).__module__.partition(".")[0] == "polars"


def _is_pandas(X: Any) -> bool:
    return type(X).__module__.partition(".")[0] == "pandas"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("tables with typed columns need pandas: pip install edgewise[sklearn]") from error
    return pandas
