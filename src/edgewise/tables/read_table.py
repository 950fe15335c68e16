"""Read the table of a file, or of a shipped table by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgewise.tables.cells import DataFrame, TableError, near
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


def read_table(path: Path | str, names: Sequence[str] = ()) -> DataFrame:
    """The table of a CSV file (also compressed, with comma, semicolon or tab) or a Parquet file.

    Args:
        path: the file.
        names: the names of the columns, for a CSV without a header line.
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


def _siblings(path: Path) -> list[str]:
    return [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []


def _separator(path: Path) -> str:
    """The most frequent of comma, semicolon and tab in the header line."""
    from pandas.io.common import get_handle

    with get_handle(path, "r", encoding="utf-8-sig", compression="infer") as handles:
        header = handles.handle.readline()
    return max(",;\t", key=header.count)
