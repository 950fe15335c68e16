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
            hint = "; a file without a header line needs --names" * any(is_float(column) for column in have)
            raise TableError(f"there is no column {name!r}{near(name, have)}; the table has {listed(have, 20)}{hint}")


def is_numeric(column: Any) -> bool:
    """True for a column of numbers or truth values."""
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)


def require_finite(values: np.ndarray, column: Any) -> np.ndarray:
    """The values; `TableError` names the rows of the column that are NaN or infinite."""
    refuse_rows(np.isnan(values), column, "is empty or not a number (NaN)", "fill it, or use --missing drop")
    refuse_rows(np.isinf(values), column, "is infinite", "correct it, or use --missing drop")
    return values


def refuse_rows(bad: np.ndarray, column: Any, what: str, remedy: str = "correct it") -> None:
    """Raise `TableError` for the rows of the column where `bad` is True."""
    if bad.any():
        raise TableError(f"column {column.name!r} {what} in {rows_of(bad, column)}; {remedy}")


def rows_of(bad: np.ndarray, frame: Any) -> str:
    """Rows of a table by its index: "line 3" of a file, whose first line is 1; else "row 2", the first row being 1."""
    rows, kind = frame.index[bad], frame.index.name or "row"
    return f"{kind}{'s' * (len(rows) > 1)} {listed(map(str, rows), SHOWN)}"


def counted(frame: DataFrame) -> DataFrame:
    """The table with an index that tells its rows to a reader: as `read_table` made it, else 1, 2, ..."""
    import pandas as pd

    if frame.index.name in ("line", "row"):
        return frame
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="row"), axis="index")


def is_float(text: str) -> bool:
    """True for a text that Python reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_of(value: Any) -> str | int | float | bool:
    """A class label that JSON can hold."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        return int(value) if float(value).is_integer() else float(value)
    return str(value)


def texts_of(column: Any, empty: str | None = None) -> np.ndarray:
    """The cells as texts without blanks around them, whole numbers without a point; `empty` where there is none."""
    import pandas as pd

    codes, cells = pd.factorize(column)  # a text for every different cell, not for every cell
    texts = np.array([*(str(label_of(cell)).strip() for cell in cells), empty], object)
    return texts[codes]


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
