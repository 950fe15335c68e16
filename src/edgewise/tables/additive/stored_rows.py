"""The rows that an additive model kept, as JSON and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgewise.tables.additive.deviance import KeptRows
from edgewise.tables.additive.inputs import Column

NOT_A_DATE = np.datetime64("NaT", "ms")


def rows_to_json(rows: KeptRows) -> dict[str, Any]:
    """The rows as a JSON object: missing cells are null, dates milliseconds since 1970."""
    columns = [{"name": c.name, "kind": c.kind, "values": _cells(c)} for c in rows.columns]
    numbers = {"targets": rows.targets, "weights": rows.weights, "offset": rows.offset}
    return {"columns": columns, "total": rows.total, **{name: values.tolist() for name, values in numbers.items()}}


def rows_from_json(record: Any) -> KeptRows:
    """The rows that `rows_to_json` described; ValueError where it is something else."""
    try:
        columns = tuple(_column(fields) for fields in record["columns"])
        targets, weights, offset = (np.asarray(record[name], float) for name in ("targets", "weights", "offset"))
        total = record["total"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the rows are damaged: {type(error).__name__}, {error}") from error
    count = len(weights) if weights.ndim == 1 else -1
    fits = targets.ndim == 2 and targets.shape == offset.shape and len(targets) == count
    if not fits or type(total) is not int or not columns or any(len(c.values) != count for c in columns):
        raise ValueError("the rows are damaged: their columns do not have one length")
    if not all(np.isfinite(values).all() for values in (targets, weights, offset)) or (weights < 0).any():
        raise ValueError("the rows are damaged: a target, weight or offset is no number of its range")
    return KeptRows(columns, targets, weights, offset, total)


def _cells(column: Column) -> Sequence[Any]:
    if column.kind == "date":
        return [None if np.isnat(v) else int(v.astype("datetime64[ms]").astype(int)) for v in column.values]
    if column.kind == "level":
        return [None if v is None else str(v) for v in column.values]
    return [float(v) if math.isfinite(v) else None for v in column.values]


def _column(fields: Mapping[str, Any]) -> Column:
    name, kind, cells = fields["name"], fields["kind"], fields["values"]
    if not isinstance(name, str) or not isinstance(cells, list):
        raise TypeError("a column has a name and a list of cells")
    if kind == "level" and all(cell is None or isinstance(cell, str) for cell in cells):
        return Column(name, "level", np.array([*cells, None], object)[:-1])
    if kind == "date" and all(cell is None or type(cell) is int for cell in cells):
        return Column(name, "date", np.array([NOT_A_DATE if v is None else np.datetime64(v, "ms") for v in cells]))
    if kind == "number" and all(cell is None or type(cell) in (int, float) for cell in cells):
        return Column(name, "number", np.array([math.nan if v is None else v for v in cells], float))
    raise TypeError(f"the column {name!r} has cells that are not of its kind")
