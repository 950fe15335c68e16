"""Check the cells and columns of a table: every mistake is a `TableError` that names rows and columns."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np

DataFrame = Any  # of pandas, which is optional and whose stubs cannot follow a column

SHOWN = 5


class TableError(ValueError):
    """A table that cannot be used as it is; the message says what, where and what to do."""


def require_columns(frame: DataFrame, names: Iterable[str]) -> None:
    """Raise `TableError` for the first of `names` that the table lacks, with the nearest name that it has."""
    for name in names:
        if name not in frame.columns:
            have = [str(column) for column in frame.columns]
            raise TableError(f"there is no column {name!r}{near(name, have)}; the table has {listed(have, 20)}")


def is_numeric(column: Any) -> bool:
    """True for a column of numbers or truth values."""
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def mostly_numeric(column: Any) -> bool:
    """True where more than half of the different values are numbers: the others are typing errors, not levels."""
    import pandas as pd

    distinct = column.dropna().drop_duplicates()
    parsed: Any = pd.to_numeric(distinct, errors="coerce")
    return len(distinct) > 0 and bool(parsed.notna().mean() > 0.5)


def numbers_of(column: Any) -> np.ndarray:
    """The column as float64, NaN where it is empty; `TableError` names the rows with other texts."""
    import pandas as pd

    parsed: Any = pd.to_numeric(column, errors="coerce")
    numbers = parsed.astype(float).to_numpy(float, na_value=np.nan)
    bad = np.isnan(numbers) & column.notna().to_numpy()
    if bad.any():
        texts = listed(dict.fromkeys(repr(text) for text in column[bad]), SHOWN)
        raise TableError(
            f"column {column.name!r} is a number but holds the text {texts} in {_rows(bad)}; "
            "correct it, or leave the column out with --exclude"
        )
    return numbers


def require_finite(values: np.ndarray, name: str) -> np.ndarray:
    """The values; `TableError` names the rows that are NaN or infinite."""
    refuse_rows(np.isnan(values), name, "is empty or not a number (NaN)", "fill it, or use --missing drop")
    refuse_rows(np.isinf(values), name, "is infinite", "correct it, or use --missing drop")
    return values


def refuse_rows(bad: np.ndarray, name: str, what: str, remedy: str = "correct it") -> None:
    """Raise `TableError` for the rows where `bad` is True."""
    if bad.any():
        raise TableError(f"column {name!r} {what} in {_rows(bad)}; {remedy}")


def _rows(bad: np.ndarray) -> str:
    """Rows as a reader counts them: 1 is the first row below the header."""
    rows = np.flatnonzero(bad) + 1
    return f"row{'s' * (len(rows) > 1)} {listed(map(str, rows), SHOWN)}"


def label_of(value: Any) -> str | int | float | bool:
    """A class label that JSON can hold."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        return int(value) if float(value).is_integer() else float(value)
    return str(value)


def listed(items: Iterable[str], shown: int = SHOWN) -> str:
    """The first items, and how many more there are."""
    items = list(items)
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def near(name: str, known: Iterable[str]) -> str:
    """A hint at the most similar known name; empty where none is similar."""
    folded = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""
