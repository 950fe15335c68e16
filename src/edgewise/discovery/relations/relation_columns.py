"""The columns of a table as numbers, and what was left out of it, told in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float

MIN_ROWS = 40
"""Half of fewer rows cannot search for a relation while the other half tests it."""

MOST_LEVELS = 20
"""A column of more different texts names its rows."""

MOST_EMPTY = 0.5
"""A column with a larger share of empty cells is left out, rather than the rows that lack it."""

COPIES = 0.9
"""Rows that are equal are copies where some column has nearly so many different values as there are different rows."""

LARGEST = 1e50
"""A column with larger numbers, or with the inverse of them alone, is not computed with."""

NUMBERS = "biuf"
"""Kinds of numpy's types that hold numbers."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Complete rows of a table.

    Attributes:
        names: of the columns.
        values: numbers, and codes 0, 1, ... for the levels of columns of texts.
        levels: for every column its texts in the order of their codes; empty for numbers.
        notes: what was left out, and why.
    """

    names: tuple[str, ...]
    values: Float[np.ndarray, "rows columns"]
    levels: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def only(self, kept: Sequence[int], objection: str) -> Columns:
        """Some of the columns; the notes say why the others are left out."""
        left_out = [name for j, name in enumerate(self.names) if j not in kept]
        notes = (*self.notes, *(f"column {name!r} is left out: {objection}" for name in left_out))
        if len(kept) < 2:
            raise ValueError(f"a relation needs two columns that vary; {'; '.join(notes)}")
        names, levels = tuple(self.names[j] for j in kept), tuple(self.levels[j] for j in kept)
        return Columns(names, self.values[:, list(kept)], levels, notes)


def read_columns(table: Any, names: Sequence[str] | None = None) -> Columns:
    """The columns of a frame, a mapping of columns, or an array of shape (rows, columns).

    Args:
        table: the table; empty cells are NaN or None, and infinite cells count as empty.
        names: of the columns of an array, x1, x2, ... by default; of a frame: the columns to use.

    Raises:
        ValueError: too few rows or columns, or names that do not fit.
        TypeError: something that is no table.
    """
    notes: list[str] = []
    kept: dict[str, np.ndarray] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for name, cells in _of_one_length(_cells(table, names)):
        read = _numbers(cells)
        objection = _objection(*read)
        if objection:
            notes.append(f"column {name!r} is left out: {objection}")
        else:
            kept[name], levels[name] = read
    if len(kept) < 2:
        raise ValueError(
            f"a relation needs two columns, and {len(kept)} can be used; {'; '.join(notes) or 'give more'}"
        )
    values = np.stack(list(kept.values()), 1)
    complete = np.isfinite(values).all(1)
    if not complete.all():
        worst = max(kept, key=lambda name: int((~np.isfinite(kept[name])).sum()))
        empty = int((~np.isfinite(kept[worst])).sum())
        notes.append(
            f"{int((~complete).sum())} of {len(values)} rows have an empty cell and are left out; {worst!r} has {empty}"
        )
    if complete.sum() < MIN_ROWS:
        raise ValueError(
            f"{int(complete.sum())} complete rows cannot show a relation; give at least {MIN_ROWS}"
            + (f" ({'; '.join(notes)})" if notes else "")
        )
    rows, told = _without_copies(values[complete])
    columns = Columns(tuple(kept), rows, tuple(levels[name] for name in kept), (*notes, *told))
    varying = [j for j, column in enumerate(columns.values.T) if column.min() < column.max()]
    return columns.only(varying, "it is constant in the complete rows")


def _without_copies(values: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Each row once where equal rows are copies, which would be seen by the search and by its test, and a note."""
    different, first = np.unique(values, axis=0, return_index=True)
    copies = len(values) - len(different)
    if not copies or max(len(np.unique(v)) for v in different.T) < COPIES * len(different):
        return values, ()
    if len(different) < MIN_ROWS:
        return values, (
            f"there are only {len(different)} different rows among {len(values)}: if the others are copies, the "
            "p-values are too small",
        )
    return values[np.sort(first)], (f"{copies} rows are copies of others and were left out",)


def _cells(table: Any, names: Sequence[str] | None) -> Iterator[tuple[str, np.ndarray]]:
    """Names and cells of the columns, in order."""
    if isinstance(table, Mapping) or hasattr(table, "columns"):
        given = [str(name) for name in (table if isinstance(table, Mapping) else table.columns)]
        own = dict(zip(given, table if isinstance(table, Mapping) else table.columns, strict=True))
        if len(own) < len(given):
            twice = next(name for n, name in enumerate(given) if name in given[:n])
            raise ValueError(f"two columns are named {twice!r}; give every column its own name")
        missing = [name for name in names or () if name not in own]
        if missing:
            raise ValueError(f"there is no column {missing[0]!r}; the table has {', '.join(map(repr, own))}")
        for name in names or own:
            cells = table[own[name]]
            yield name, cells.to_numpy() if hasattr(cells, "to_numpy") else np.asarray(cells)
        return
    array = table.detach().cpu().double().numpy() if hasattr(table, "detach") else np.asarray(table)
    if array.ndim != 2:
        raise TypeError(f"a table has shape (rows, columns), got {array.shape} from a {type(table).__name__}")
    if names is not None and len(names) != array.shape[1]:
        raise ValueError(f"{len(names)} names for {array.shape[1]} columns")
    chosen = [f"x{j + 1}" for j in range(array.shape[1])] if names is None else [str(name) for name in names]
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"the names {chosen} are not all different")
    yield from zip(chosen, array.T, strict=True)


def _of_one_length(columns: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """The same columns; raises where one has another length than the first, or more than one number in a cell."""
    rows: int | None = None
    for name, cells in columns:
        if cells.ndim != 1:
            raise ValueError(f"column {name!r} has shape {cells.shape}; a column has one number or text in every row")
        rows = len(cells) if rows is None else rows
        if len(cells) != rows:
            raise ValueError(f"column {name!r} has {len(cells)} rows where the first column has {rows}")
        yield name, cells


def _numbers(cells: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """The cells as numbers, NaN where empty; of texts the codes, with the texts. Dates and the like are all empty."""
    if cells.dtype.kind in NUMBERS:
        numbers = cells.astype(np.float64)
    elif cells.dtype.kind in "OUST":
        empty = np.array([_is_empty(cell) for cell in cells.tolist()], bool)
        full = [cell for cell, gone in zip(cells.tolist(), empty, strict=True) if not gone]
        numbers = np.full(len(cells), np.nan)
        if not all(isinstance(cell, int | float | np.number | Decimal | Fraction) for cell in full):
            texts, codes = np.unique([str(cell) for cell in full], return_inverse=True)
            numbers[~empty] = codes
            return numbers, tuple(map(str, texts))
        numbers[~empty] = [_float(cell) for cell in full]
    else:
        return np.full(len(cells), np.nan), ()
    return np.where(np.isfinite(numbers), numbers, np.nan), ()


def _float(cell: Any) -> float:
    """The number; infinite where it is a whole number beyond all floats."""
    try:
        return float(cell)
    except OverflowError:
        return math.inf


def _is_empty(cell: Any) -> bool:
    """Whether a cell is None, NaN, or what pandas has for either."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ in ("NAType", "NaTType")
    )


def _objection(numbers: np.ndarray, levels: tuple[str, ...]) -> str:
    """Why a column cannot be used; empty where it can."""
    full = np.isfinite(numbers)
    if not full.any():
        return "it has no numbers and no texts"
    if full.mean() < 1 - MOST_EMPTY:
        return f"{int((~full).sum())} of its {len(full)} cells are empty"
    if len(levels) > MOST_LEVELS:
        return f"it has {len(levels)} different texts, more than {MOST_LEVELS} levels"
    if numbers[full].min() == numbers[full].max():
        return "it is constant"
    largest = np.abs(numbers[full]).max()
    if not 1 / LARGEST < largest < LARGEST:
        return f"its largest number is {largest:.1g}, whose powers cannot be computed; give it in another unit"
    return ""
