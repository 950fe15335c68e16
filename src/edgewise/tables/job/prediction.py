"""Predictions of a finished run for a new table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.io import FileFormatError, load, read_header
from edgewise.nn import KAN
from edgewise.tables.encode import Encoding, TableError, read_table
from edgewise.tables.job.fitted import predict
from edgewise.tables.job.main import FORMAT
from edgewise.tables.shipped import shipped_tables

DataFrame = Any  # of pandas, which is optional and whose stubs cannot follow a column


def predicted(
    run: Path, metrics: Mapping[str, Any], table: str, *, formula: bool = False
) -> tuple[DataFrame, list[str]]:
    """The new table with columns appended, the prediction last, and what the reader must know.

    Amounts on few whole numbers come with the estimate before rounding, classes with their probabilities.
    """
    header = read_header(run / "model.safetensors")
    if header["extra"].get("format") != FORMAT:
        raise FileFormatError(f"{run / 'model.safetensors'} was not written by `edgewise fit`")
    encoding = Encoding.from_json(header["extra"]["encoding"])
    shipped = shipped_tables()
    frame = read_table(shipped[table].path if table in shipped and not Path(table).exists() else table)
    if len(frame) == 0:
        raise TableError(f"{table} has no rows")
    notes = [
        f"column {name!r} has levels that training did not see: {', '.join(levels[:5])}"
        for name, levels in encoding.unknown_levels(frame).items()
    ]
    values = predict(_function(run, metrics, encoding, formula), encoding, encoding.inputs(frame))
    name = f"{encoding.target}_predicted"
    if encoding.task == "classification":
        for n, label in enumerate(encoding.classes):
            frame[f"probability_{label}"] = values[:, n]
        frame[name] = [encoding.classes[n] for n in values.argmax(1)]
    elif encoding.values:
        frame[f"{encoding.target}_estimate"] = values
        frame[name] = encoding.round(values).astype(int)
    else:
        frame[name] = values
    if not np.isfinite(values).all():
        notes.append(f"{int((~np.isfinite(values)).sum())} predictions are not finite: the formula is undefined there")
    return frame, notes


def _function(run: Path, metrics: Mapping[str, Any], encoding: Encoding, formula: bool):
    if not formula:
        model = load(run / "model.safetensors")
        assert isinstance(model, KAN)
        return model
    if metrics["formula"] is None:
        raise TableError(f"the run in {run} found no formula; predict with the network")
    from edgewise.discovery.noisy import Finding

    stored = {"origin": "", "error": 0.0, "formula": metrics["formula"]["exact"]}
    return Finding.from_json(stored).formula.torch()
