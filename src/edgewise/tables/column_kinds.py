"""Decide what the cells of a column are, numbers in any country's writing, dates or levels, and which do not fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgewise.tables.cells import DataFrame, TableError, is_numeric, listed, rows_of, texts_of

Decimal = Literal["auto", ".", ","]

MISSING = frozenset(("#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "n/a", "NA", "NULL", "null", "NaN", "nan", "None"))
"""Words for an empty cell among numbers; among texts they are texts like any other."""

SAMPLE = 1000
"""Different texts of a column that are looked at for the decimal sign of a file."""

_SIGNS = str.maketrans(dict.fromkeys("\u2212\u2012\u2013\u2010\u2011\ufe63\uff0d", "-") | {"\u2019": "'"})
_BODY = r"(?:[1-9]\d{{0,2}}(?:(?P<group>[{grouping}'_ \u00a0\u2009\u202f])\d{{3}})(?:(?P=group)\d{{3}})*|\d+)?"
_REST = r"(?:{point}\d*)?(?:[eE][+-]?\d+)?"
_MARK = r"[$€£¥]"


def _pattern(point: str, grouping: str) -> re.Pattern[str]:
    number = _BODY.format(grouping=grouping) + _REST.format(point=re.escape(point))
    before = rf"(?P<sign>[+-]?)\s*(?P<before>{_MARK}?)\s*(?P<inner>[+-]?)\s*"
    return re.compile(rf"{before}(?=.?\d)(?P<number>{number})\s*(?P<after>%|{_MARK}|)")


_PATTERNS = {".": _pattern(".", ","), ",": _pattern(",", ".")}

_NEGATIVE = re.compile(rf"({_MARK}?)\s*\(\s*([^()+-]*?)\s*\)\s*(%|{_MARK}|)")
"""A loss as accountants write it: (5)."""

_WITH_UNIT = re.compile(r"(.*\d[.,]?)\s*([^\W\d_][^\d()]{0,19})")
"""A number and its unit: 5kg, 1e3 m, 7 m/s."""

_CLOCK = r"(?:[T ,]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?(?: ?Z| ?[+-]\d{2}:?\d{2}| UTC)?)?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    rf"(?:\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}|\d{{1,2}}([-/.])\d{{1,2}}\2(?:\d{{4}}|\d{{2}})|\d{{4}}[-/]\d{{2}}"
    rf"|\d{{1,2}}[-. ]+{_MONTH}[-, ]+\d{{2,4}}|{_MONTH}[-. ]+(?:\d{{1,2}},? +)?\d{{4}}){_CLOCK}"
    r"|\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reading:
    """What the cells of a column are.

    Args:
        kind: what most of the different cells are; "empty" where there are none.
        values: the numbers, NaN where a cell is empty or bad; else the texts, None where a cell is empty.
        bad: the cells that are no numbers in a column of numbers.
        mark: the sign of all numbers: a percent sign, by which they are divided by 100, a currency or a unit.
    """

    kind: Literal["number", "date", "level", "empty"]
    values: np.ndarray
    bad: np.ndarray
    mark: str = ""


def read_column(column: Any, decimal: Decimal = "auto") -> Reading:
    """Read a column of a table.

    Args:
        column: a pandas series, with any cells.
        decimal: the decimal sign where the cells allow both, such as 1,234. `TableError` where it is "auto" then.
    """
    import pandas as pd

    none = np.zeros(len(column), bool)
    if is_numeric(column):
        values = column.to_numpy(float, na_value=np.nan)
        return Reading("empty" if np.isnan(values).all() else "number", values, none)
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return Reading("date", column.to_numpy(), none)
    texts = texts_of(column)
    codes, distinct = pd.factorize(texts)
    distinct = list(distinct)
    words = [text for text in distinct if text not in MISSING]
    if not words and len(distinct) <= 1:
        return Reading("empty", texts, none)
    numbers = _numbers(words, _sign(words, decimal, column))
    if sum(value is not None for value in numbers) > len(words) / 2:
        return _number_reading(dict(zip(words, numbers, strict=True)), codes, distinct)
    if sum(_DATE.fullmatch(text) is not None for text in words) > len(words) / 2:
        return Reading("date", texts, none)
    amounts = _in_one_unit(words, decimal, column)
    return _number_reading(amounts, codes, distinct) if amounts else Reading("level", texts, none)


def almost_amounts(column: Any) -> str:
    """What keeps a column of texts, most of them numbers with a unit, from being numbers; empty where it is not so."""
    words = [text for text in dict.fromkeys(texts_of(column)) if text is not None and text not in MISSING]
    amounts, units = _amounts(words, ".")
    if len(words) < 3 or 2 * len(amounts) <= len(words):
        return ""
    usual = units.most_common(1)[0][0]
    other = next(text for text in words if text not in amounts or amounts[text][1] != usual)
    where = rows_of((column.astype(str).str.strip() == other).to_numpy(), column)
    return f"most of its texts are numbers with {usual!r}, but {other!r} in {where} is none"


def decimal_of(frame: DataFrame, given: Decimal = "auto") -> Decimal:
    """The decimal sign of a table: the one given, else that of the columns which allow only one; "auto" if they differ.

    A column of numbers with fractions, as readers of files make it, was written with points.
    """
    if given != "auto":
        return given
    found: set[Decimal] = set()
    for _, column in frame.items():
        if is_numeric(column):
            if "." not in found and _has_fractions(column):
                found.add(".")
        elif column.dtype == object or str(column.dtype) in ("str", "string", "category"):
            texts = [str(text).strip() for text in column.dropna().drop_duplicates()[:SAMPLE]]
            counts = _counts(texts)
            if counts["."] != counts[","] and 2 * max(counts.values()) > len(texts):
                found.add("." if counts["."] > counts[","] else ",")
    return found.pop() if len(found) == 1 else "auto"


def _has_fractions(column: Any) -> bool:
    values = column.to_numpy(float, na_value=np.nan)
    return bool((values[np.isfinite(values)] % 1 != 0).any())


def number(text: str, decimal: str) -> tuple[float, str] | None:
    """The number that a text writes with this decimal sign, and its percent or currency sign; None where it is none.

    >>> number("1.234,5", ","), number("\u22125 %", "."), number("1.234,5", ".")
    ((1234.5, ''), (-0.05, '%'), None)
    >>> number("(1,234.5)", "."), number("1_000", ".")
    ((-1234.5, ''), (1000.0, ''))
    """
    loss = _NEGATIVE.fullmatch(text)
    if loss is not None:
        amount = number("".join(loss.groups()), decimal)
        return None if amount is None else (-amount[0], amount[1])
    found = _PATTERNS[decimal].fullmatch(text.translate(_SIGNS))
    if found is None or (found["before"] and found["after"]) or (found["sign"] and found["inner"]):
        return None
    digits = found["number"].replace(found["group"] or " ", "").replace(decimal, ".")
    mark = found["before"] or found["after"]
    value = float(found["sign"] + found["inner"] + digits)
    return (value / 100 if mark == "%" else value), mark


def _split(texts: Sequence[str]) -> list[tuple[str, str]]:
    """The numbers and the units of the texts that have both."""
    found = (_WITH_UNIT.fullmatch(text) for text in texts)
    return [(pair[1], pair[2].strip()) for pair in found if pair is not None]


def _amounts(texts: Sequence[str], decimal: str) -> tuple[dict[str, tuple[float, str]], Counter[str]]:
    """The texts that are a number with a unit, as both, and how many have each unit."""
    found: dict[str, tuple[float, str]] = {}
    for text in texts:
        for digits, unit in _split([text]):
            value = number(digits, decimal)
            if value is not None and not value[1]:
                found[text] = (value[0], unit)
    return found, Counter(unit for _, unit in found.values())


def _in_one_unit(texts: Sequence[str], decimal: Decimal, column: Any) -> dict[str, tuple[float, str] | None]:
    """The numbers of the texts and their unit; empty where one has none or another."""
    pairs = _split(texts)
    if len(pairs) < len(texts) or len({unit for _, unit in pairs}) > 1:
        return {}
    amounts = _amounts(texts, _sign([digits for digits, _ in pairs], decimal, column))[0]
    return {**amounts} if len(amounts) == len(texts) else {}


def _numbers(texts: Sequence[str], decimal: str) -> list[tuple[float, str] | None]:
    if texts and {text.casefold() for text in texts} <= {"true", "false"}:
        return [(float(text.casefold() == "true"), "") for text in texts]
    plain = ["inf", "infinity"]
    return [(float(t), "") if t.lstrip("+-").casefold() in plain else number(t, decimal) for t in texts]


def _counts(texts: Sequence[str]) -> dict[str, int]:
    """How many texts are numbers, by decimal sign."""
    return {sign: sum(number(text, sign) is not None for text in texts) for sign in _PATTERNS}


def _sign(texts: Sequence[str], decimal: Decimal, column: Any) -> str:
    """The decimal sign of a column; where its cells allow both and no comma asks, it is a point."""
    counts = _counts(texts)
    if counts["."] != counts[","]:
        return "." if counts["."] > counts[","] else ","
    if decimal != "auto":
        return decimal
    for text in texts if 2 * counts["."] > len(texts) else ():
        both = (number(text, "."), number(text, ",")) if "," in text else (None, None)
        if None not in both and both[0] != both[1]:
            where = rows_of(column.astype(str).str.strip().str.startswith(text).to_numpy(), column)
            raise TableError(
                f"column {column.name!r} holds {text!r} in {where}, which may be {both[0][0]:g} or {both[1][0]:g}; "  # type: ignore[index]
                "say which with --decimal . or --decimal ,"
            )
    return "."


def _number_reading(known: dict[str, tuple[float, str] | None], codes: np.ndarray, distinct: Sequence[str]) -> Reading:
    """Numbers of one mark; the cells with another one, or without a number, are bad."""
    marks = Counter(pair[1] for pair in known.values() if pair is not None)
    mark = marks.most_common(1)[0][0]
    pairs = [known.get(text) for text in distinct]
    fits = [pair is not None and pair[1] == mark for pair in pairs]
    values = np.array([pair[0] if fit and pair else np.nan for pair, fit in zip(pairs, fits, strict=True)] + [np.nan])
    bad = np.array([text in known and not fit for text, fit in zip(distinct, fits, strict=True)] + [False])
    return Reading("number", values[codes], bad[codes], mark)


def numbers_of(
    column: Any, decimal: Decimal = "auto", remedy: str = "", reading: Reading | None = None
) -> tuple[np.ndarray, str]:
    """The column as float64, NaN where it is empty, and its mark; `TableError` names the rows with other texts.

    `reading` is that of the column, where it is known.
    """
    reading = read_column(column, decimal) if reading is None else reading
    full = column.notna().to_numpy()
    if reading.kind == "empty":
        return np.full(len(column), np.nan), ""
    bad = reading.bad if reading.kind == "number" else full
    if bad.any():
        texts = listed(dict.fromkeys(repr(str(text)) for text in column[bad]))
        raise TableError(
            f"column {column.name!r} is a number but holds the text {texts} in {rows_of(bad, column)}; correct it, "
            f"name a word for empty cells with --na-values, or {remedy or 'leave the column out with --exclude'}"
        )
    return reading.values, reading.mark
