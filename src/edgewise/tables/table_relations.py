"""Relations among the columns of a table in memory or in a file: `ew.discover_relations`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from edgewise.discovery.relations import Relations, search_relations
from edgewise.display import shows_progress
from edgewise.progress import Listener
from edgewise.tables.column_kinds import Decimal
from edgewise.tables.read_table import find_table, read_table


@shows_progress
def discover_relations(
    table: Any,
    *,
    names: Sequence[str] | None = None,
    fdr: float = 0.05,
    formulas: bool = True,
    seconds: float = 60.0,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    progress: bool | Listener | None = None,
    na_values: Collection[str] = (),
    decimal: Decimal = "auto",
) -> Relations:
    """Search for relations among the columns of a table: which columns are bound, without a target.

    Every relation is reduced to its least set of columns, tested against chance on rows that the search has not seen,
    and read as a formula where there is one. See `edgewise.discovery.relations`.

    Args:
        table: a frame, a mapping of columns, an array of shape (rows, columns), the path of a CSV or Parquet file, or
            the name of a shipped table (knots). Texts are levels; rows are taken as drawn independently.
        names: of the columns of an array; of a frame or file: the columns to use.
        fdr: the expected share of false relations among those announced, in (0, 1).
        formulas: read every relation as a formula.
        seconds: time limit in seconds.
        seed: of the split of the rows, the permutations and the searches for formulas.
        clock: measures the time; `time.process_time` makes the answer independent of other processes.
        progress: True to show it; or called with an `Event` every second or so; what it raises stops the search.
        na_values: of a file: words and numbers that stand for an empty cell.
        decimal: of a file: the decimal sign where the cells allow both.

    Raises:
        ValueError: where the table, the names or a setting cannot be used; `TableError` for a file.
        TypeError: something that is no table.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    if isinstance(table, str | Path | PathLike):
        path, _ = find_table(str(table))
        table = read_table(path, na_values=na_values, decimal=decimal)
    return search_relations(
        table,
        names=names,
        fdr=fdr,
        formulas=formulas,
        seconds=seconds,
        seed=seed,
        clock=clock,
        progress=progress,
    )
