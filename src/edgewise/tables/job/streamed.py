"""Predict a table in blocks, so that memory does not grow with it: plain CSV files and Parquet files, by pyarrow.

What a block needs is known from training: the columns of the encoding, as numbers or as texts. All cells are written as
they were read. A file that is not plain (comments, signs of amounts, decimal commas, an empty line at its head, cells
that training cannot place) is left to `predict_table`, which reads it whole and names every row that is wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from edgewise.tables.cells import DataFrame, TableError
from edgewise.tables.delimited import FIRST_LINES, separator_of
from edgewise.tables.encode import Encoding

BLOCK_BYTES, BLOCK_ROWS = 1 << 22, 65_536
Append = Callable[[DataFrame, DataFrame], None]
"""Given the columns that the encoding needs, appends those of the prediction to an empty frame of as many rows."""


class NotPlainError(Exception):
    """A file that blocks cannot serve, or a cell that needs the whole table to be told of."""


def stream(path: Path, encoding: Encoding, append: Append, seen: Callable[[DataFrame], None]) -> Iterator[bytes]:
    """The table with the columns appended, as CSV, in parts; `NotPlainError` where blocks do not serve.

    Args:
        path: the file.
        encoding: of the run.
        append: see `Append`.
        seen: is shown the needed columns of every block.
    """
    import pyarrow as pa

    dates = {feature.column for feature in encoding.features if feature.part}
    if any(feature.mark for feature in encoding.features):
        raise NotPlainError("the numbers have a sign, or dates an order")
    row = 0
    try:
        for batch in _batches(path):
            needed = _needed(batch, encoding, dates, row)
            seen(needed)
            import pandas as pd

            answer = pd.DataFrame(index=needed.index)
            append(needed, answer)
            yield _text(batch, answer, header=row == 0)
            row += len(needed)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TableError, UnicodeDecodeError) as error:
        raise NotPlainError(str(error)) from error
    if row == 0:
        raise NotPlainError("there are no rows")


def _batches(path: Path) -> Iterator[Any]:
    """Record batches: of a CSV, all columns as texts; of Parquet, as they are."""
    if path.suffix.lower() in (".parquet", ".pq"):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(BLOCK_ROWS)
        return
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with path.open(encoding="utf-8-sig") as file:
        head = list(islice(file, FIRST_LINES))
    if not head or any(not line.strip() or line.startswith(("#", "sep=")) for line in head):
        raise NotPlainError("the file begins with a comment or an empty line")
    separator = separator_of(head)
    names = next(csv.reader(head[:1], delimiter=separator))
    if len(names) < 2 or separator == " " or len({name.strip() for name in names}) < len(names):
        raise NotPlainError("the columns are not told apart by one sign")
    reader = arrow_csv.open_csv(
        path,
        arrow_csv.ReadOptions(block_size=BLOCK_BYTES, column_names=[name.strip() for name in names], skip_rows=1),
        arrow_csv.ParseOptions(delimiter=separator, ignore_empty_lines=True, newlines_in_values=True),
        arrow_csv.ConvertOptions(
            column_types={name.strip(): pa.string() for name in names}, null_values=[""], strings_can_be_null=True
        ),
    )
    with reader:
        yield from reader


def _needed(batch: Any, encoding: Encoding, dates: set[str], row: int) -> DataFrame:
    """The columns of the encoding: numbers as float64, others as they are; rows told as those of the file."""
    import pandas as pd
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name in dict.fromkeys(feature.column for feature in encoding.features):
        if name not in batch.schema.names:
            raise NotPlainError(f"there is no column {name!r}")
        column = batch.column(name)
        if name in encoding.texts or name in dates:
            columns[name] = column.to_pandas().array  # without the index, by which pandas would align
        else:
            columns[name] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return pd.DataFrame(columns, index=pd.RangeIndex(row + 2, row + 2 + len(batch), name="line"))


def _text(batch: Any, answer: DataFrame, *, header: bool) -> bytes:
    """The cells of a block and the appended columns as CSV."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [*batch.schema.names, *map(str, answer.columns)]
    if len(set(names)) < len(names):
        raise NotPlainError("a column of the table has the name of one that is appended")
    added = [pa.array(answer[name].to_numpy(), from_pandas=True) for name in answer.columns]
    table = pa.table([*batch.columns, *added], names=names)
    sink = pa.BufferOutputStream()
    plain = arrow_csv.WriteOptions(include_header=False, quoting_style="none")
    first = _lines([names]) if header else b""
    try:
        arrow_csv.write_csv(table, sink, plain)
    except pa.ArrowInvalid:  # a cell holds a comma, a quotation mark or a line end
        columns = [["" if cell is None else cell for cell in column.to_pylist()] for column in table.columns]
        return first + _lines(zip(*columns, strict=True))
    return first + sink.getvalue().to_pybytes()


def _lines(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def unknown_of(encoding: Encoding) -> tuple[Callable[[DataFrame], None], Callable[[], dict[str, list[str]]]]:
    """What notes the unknown levels of every block, and what gives them all at the end."""
    found: dict[str, set[str]] = {}

    def note(needed: DataFrame) -> None:
        for name, levels in encoding.unknown_levels(needed).items():
            found.setdefault(name, set()).update(levels)

    columns = dict.fromkeys(feature.column for feature in encoding.features)
    return note, lambda: {name: sorted(found[name]) for name in columns if name in found}
