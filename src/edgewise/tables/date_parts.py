r"""Dates as numbers: the year with its fraction, and where a date is in its year, its week and its day.

A share $u \in [0, 1)$ of a year, week or day is two inputs, $\sin 2\pi u$ and $\cos 2\pi u$: the last day is next to
the first, and curves of both are any cyclic function that is a sum of the two. Additive models read the share itself.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import numpy as np

from edgewise.tables.cells import texts_of

DateOrder = Literal["", "day first", "month first", "unclear", "times"]
CalendarPart = Literal["year", "season", "weekday", "hour"]
PERIODS = {"season": 1, "weekday": 7, "hour": 24}
PARTS = ("year", *(f"{cycle} {wave}" for cycle in PERIODS for wave in ("sine", "cosine")))

_TIME = re.compile(r"\d{1,2}:\d{2}")
_NUMERIC = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.]\d{2,4}\b")


def date_order(column: Any) -> DateOrder:
    """How the dates of a column are written: which of two numbers is the day, where they leave that open.

    A number above 12 is a day. "unclear" where no cell decides, or two contradict; "times" where most have no day.
    """
    if column.dtype.kind == "m":
        return "times"
    if column.dtype.kind == "M":
        return ""
    texts = set(texts_of(column, "")) - {""}
    if sum(_TIME.match(text) is not None for text in texts) > len(texts) / 2:
        return "times"
    found = [m for m in map(_NUMERIC.match, texts) if m]
    days, months = any(int(m[1]) > 12 for m in found), any(int(m[2]) > 12 for m in found)
    if not found or (days and months):
        return "unclear" if found else ""
    return "day first" if days else "month first" if months else "unclear"


def ordered_dates(column: Any) -> np.ndarray:
    """True where a date is three numbers that begin with a day or a month, as in 05/06/2023."""
    if column.dtype.kind in "mM":
        return np.zeros(len(column), bool)
    return np.array([_NUMERIC.match(text) is not None for text in texts_of(column, "")], bool)


def dates_of(column: Any, order: DateOrder = "") -> np.ndarray:
    """The dates of a column as datetime64, NaT where a cell is empty or none."""
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(column):
        texts = pd.Series(texts_of(column), dtype=object)
        column = pd.to_datetime(texts, format="mixed", dayfirst=order == "day first", errors="coerce", utc=True)
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_localize(None)
    return column.to_numpy().astype("datetime64[ms]")


def date_part(dates: np.ndarray, part: str) -> np.ndarray:
    """One of `PARTS` of every date; NaN where there is none."""
    name, _, wave = part.partition(" ")
    values = calendar_part(dates, name)  # type: ignore[arg-type]
    if not wave:
        return values
    angle = 2 * np.pi * values / PERIODS[name]
    return np.sin(angle) if wave == "sine" else np.cos(angle)


def calendar_part(dates: np.ndarray, part: CalendarPart) -> np.ndarray:
    """The year with its fraction, the season in [0, 1), the weekday (0 on Monday) or the hour; NaN without a date."""
    known = ~np.isnat(dates)
    day = dates.astype("datetime64[D]")
    if part == "weekday":  # 1 January 1970 was a Thursday
        return np.where(known, (day.astype(np.int64) + 3) % 7, np.nan)
    if part == "hour":
        return np.where(known, (dates - day) / np.timedelta64(1, "h"), np.nan)
    year = dates.astype("datetime64[Y]")
    start, end = (y.astype("datetime64[ms]") for y in (year, year + np.timedelta64(1, "Y")))
    share = (dates.astype("datetime64[ms]") - start) / (end - start)
    return np.where(known, share if part == "season" else 1970 + year.astype(np.int64) + share, np.nan)
