"""Read the table of a file, or of a shipped table by its name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from edgewise.tables.cells import DataFrame, TableError, counted, is_float, is_numeric, near
from edgewise.tables.column_kinds import Decimal
from edgewise.tables.delimited import read_delimited
from edgewise.tables.shipped import ShippedTable, shipped_tables


def find_table(table: str) -> tuple[Path, ShippedTable | None]:
    """The file of a table given by its path or by the name of a shipped one."""
    shipped = shipped_tables()
    if table in shipped and not Path(table).exists():
        return shipped[table].path, shipped[table]
    if not Path(table).exists() and Path(table).suffix == "":
        raise TableError(
            f"there is no file {table!r} and no shipped table of this name; shipped are {', '.join(sorted(shipped))}"
        )
    return Path(table), None


def read_table(
    path: Path | str,
    names: Sequence[str] = (),
    *,
    na_values: Collection[str] = (),
    decimal: Decimal = "auto",
    texts: Collection[str] = (),
) -> DataFrame:
    """The table of a text file (CSV and its kin, also compressed) or a Parquet file, its index what readers count by.

    Args:
        path: the file.
        names: the names of the columns, for a CSV without a header line.
        na_values: words and numbers that stand for an empty cell.
        decimal: the decimal sign where the cells allow both.
        texts: columns that are texts even where they hold numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(f"there is no file {str(path)!r}{near(path.name, _siblings(path))}")
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("tables need pandas: pip install edgewise[cli]") from error
    frame: DataFrame
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            frame = _flat(pd.read_parquet(path))
        else:
            frame = read_delimited(path, names, decimal=decimal, texts=texts)
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8 text ({error}); save it as CSV in UTF-8, or as Parquet") from error
    except ImportError:
        raise
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    except Exception as error:  # of the readers of seven formats; a damaged file is all that they have in common
        raise TableError(f"{path} cannot be read as a table: {error or type(error).__name__}") from error
    columns = [str(name).strip() for name in frame.columns]
    frame.columns = columns
    twice = [name for n, name in enumerate(columns) if name in columns[:n]]
    if twice:
        raise TableError(f"{path} has two columns named {twice[0]!r}; give every column its own name")
    return counted(_blanked(frame, na_values) if na_values else frame)


def _blanked(frame: DataFrame, words: Collection[str]) -> DataFrame:
    """The table with the words, and the numbers that they write, as empty cells."""
    numbers = [float(word) for word in words if is_float(word)]
    return frame.apply(lambda column: column.where(~column.isin(numbers if is_numeric(column) else list(words)), None))


def _flat(frame: DataFrame) -> DataFrame:
    """The table, decimals as floats; `TableError` for a column of lists, records or bytes, which Parquet can have."""
    from pandas.api.types import infer_dtype

    nested = (bytes, dict, list, np.ndarray, tuple)
    for name in frame.columns:
        if frame[name].dtype == object and frame[name].map(lambda cell: isinstance(cell, nested)).any():
            raise TableError(
                f"column {str(name)!r} has cells that are lists, records or bytes; write the table without it"
            )
        if infer_dtype(frame[name], skipna=True) == "decimal":
            frame[name] = frame[name].astype(float)
    return frame


def _siblings(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
