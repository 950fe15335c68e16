"""Read a table from text: the separator is found, every line must fit the header, rows know their lines."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.tables.cells import DataFrame, TableError
from edgewise.tables.column_kinds import Decimal, number

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "blanks"}
FIRST_LINES, BLOCK = 60, 5000
Row = tuple[int, list[str]]

_GROUPED = re.compile(r"\s*[+-]?\d{1,3}(\.\d{3})+\s*")
_FRACTION = re.compile(r"[.a-zA-Z]")
_CODE = re.compile(r"(?:^|\0)\s*[+-]?0\d")
"""Whole numbers such as 007, whose digits would be lost."""


def read_delimited(
    path: Path, names: Sequence[str] = (), *, decimal: Decimal = "auto", texts: Collection[str] = ()
) -> DataFrame:
    """The table of a text file, its index the numbers of the lines.

    Columns of plain numbers are numbers, of true and false truth values; all others are texts, None where a cell is
    empty. Blank lines are left out, and comments: lines that begin with #, below the header those that do not fit it.

    Args:
        path: the file, also compressed.
        names: the names of the columns of a file without a header line.
        decimal: with a comma, numbers such as 1.234 are left as texts.
        texts: columns that are texts even where they hold numbers.
    """
    from pandas.io.common import get_handle

    with path.open("rb") as file:
        encoding = "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with get_handle(path, "r", encoding=encoding, compression="infer") as handles:
        lines: Iterator[str] = iter(handles.handle)
        first, comment, separator = 1, "", ""
        for line in lines:
            text = line.strip()
            if first == 1 and re.fullmatch("sep=.", text):
                separator = text[-1]
            elif text.startswith("#"):
                comment = text
            elif text:
                head = [line, *islice(lines, FIRST_LINES)]
                separator = separator or separator_of(head)
                rows = _rows(chain(head, lines), first, separator)
                header, rows = (list(names), rows) if names else _header(rows, comment, separator)
                return _frame(header, _fitting(rows, len(header), separator), decimal, texts)
            first += 1
    raise TableError("the file is empty; a table needs a header line and rows")


def separator_of(head: Sequence[str]) -> str:
    """The one that makes as many fields of every line, the more of them numbers the better."""

    def merit(separator: str) -> tuple[float, float, bool, int]:
        rows: list[list[str]] = []
        with suppress(TableError):  # also where the lines end inside of a cell
            rows += (fields for _, fields in _rows(head, 1, separator) if not fields[0].startswith("#"))
        width = len(rows[0]) if rows else 0
        equal = sum(len(fields) == width for fields in rows) / max(len(rows), 1)
        if width < 2 or (separator == " " and equal <= 0.5):
            return -1.0, 0.0, False, 0
        cells = [cell for fields in rows[1:] for cell in fields]
        return equal, sum(map(_is_number, cells)) / max(len(cells), 1), separator != " ", width

    return max(SEPARATORS, key=merit)


def _rows(lines: Iterable[str], first: int, separator: str) -> Iterator[Row]:
    """The fields of every row that has any, with the number of its line; the first one is given."""
    if separator == " ":
        lines = (line.strip() for line in lines)
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    start = first
    try:
        for fields in reader:
            if any(map(str.strip, fields)):
                yield start, fields
            start = first + reader.line_num
    except csv.Error as error:
        raise TableError(f"the row of line {start} cannot be read ({error}); look at its quotation marks") from error


def _header(rows: Iterator[Row], comment: str, separator: str) -> tuple[list[str], Iterator[Row]]:
    """The names of the columns, and the rows below; names may be in the comment above the first row of numbers."""
    line, fields = next(rows)
    for _, named in _rows([comment.lstrip("# ")], 1, separator):
        if len(named) == len(fields) > 1 and any(map(_is_number, fields)) and not any(map(_is_number, named)):
            return named, chain([(line, fields)], rows)
    while len(fields) > 1 and not fields[-1].strip():
        fields = fields[:-1]
    return fields, rows


def _fitting(rows: Iterable[Row], width: int, separator: str) -> Iterator[Row]:
    """The rows with as many fields as the header; empty ones beyond are cut off, comments are left out."""
    for line, fields in rows:
        if len(fields) == width or (not any(map(str.strip, fields[width:])) and len(fields) > width):
            yield line, fields[:width]
        elif not fields[0].startswith("#"):
            raise TableError(
                f"line {line} has {len(fields)} fields separated by {SEPARATORS.get(separator, repr(separator))} and "
                f"the header {width}; give every column a name, and write a cell that holds a separator in quotes"
            )


def _frame(names: Sequence[str], rows: Iterator[Row], decimal: Decimal, texts: Collection[str]) -> DataFrame:
    import pandas as pd

    lines = array("q")
    parts: list[list[str]] = [[] for _ in names]
    while block := list(islice(rows, BLOCK)):
        lines.extend(line for line, _ in block)
        for part, column in zip(parts, zip(*(fields for _, fields in block), strict=True), strict=True):
            part.append("\0".join(column))  # as long as the file: a text object for every cell takes ten times as much
            if part[-1].count("\0") >= len(block):
                raise TableError(f"lines {block[0][0]} to {block[-1][0]} hold a NUL character: this is no text")
    commas = decimal == "," or any("," in text for part in parts for text in part)
    columns: dict[int, Any] = {}
    for j, name in enumerate(names):
        cells: list[str] = [*"\0".join(parts[j]).split("\0")] if lines else []
        parts[j].clear()
        columns[j] = _texts(cells) if name.strip() in texts or not cells else _typed(cells, commas)
    frame = pd.DataFrame(columns, index=pd.Index(lines, dtype="int64", name="line"), copy=False)
    return frame.set_axis([name.strip() or f"Unnamed: {j}" for j, name in enumerate(names)], axis="columns")


def _typed(cells: list[str], commas: bool) -> np.ndarray:
    """Numbers or truth values where all cells are; else texts, also where a point may not be a decimal point."""
    text = "\0".join(cells)
    if "_" in text or (commas and all("." not in c or _GROUPED.fullmatch(c) for c in cells)):
        return _texts(cells)  # float() reads 1_2 as 12
    values = _floats(cells)
    if values is None:
        values = _floats([cell.strip() or "nan" for cell in cells])
    if values is None:
        words = [cell.strip().casefold() for cell in cells]
        return np.array([word == "true" for word in words]) if set(words) <= {"true", "false"} else _texts(cells)
    if _FRACTION.search(text) or np.isnan(values).any():
        return values
    codes = _CODE.search(text) is not None or bool((np.abs(values) >= 2**53).any())
    return _texts(cells) if codes else values.astype(np.int64)


def _floats(cells: Sequence[str]) -> np.ndarray | None:
    """The cells as numbers; None where one is none."""
    try:
        return np.fromiter(map(float, cells), float, len(cells))
    except ValueError:
        return None


def _texts(cells: list[str]) -> np.ndarray:
    found = np.full(len(cells), None, object)
    found[:] = [cell.strip() or None for cell in cells]
    return found


def _is_number(text: str) -> bool:
    return number(text.strip(), ".") is not None or number(text.strip(), ",") is not None
