"""Exports the network or the formula of a run of `edgewise fit`, with what its inputs mean."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgewise.exporting.export import export
from edgewise.exporting.export_report import ExportReport
from edgewise.exporting.file_format import Format
from edgewise.exporting.prediction import ClassProbabilities
from edgewise.expressions import Formula
from edgewise.io import load
from edgewise.io.reading import reading
from edgewise.nn import KAN
from edgewise.tables.cells import TableError
from edgewise.tables.job import read_encoding, read_record


def export_run(
    run: Path,
    path: str | os.PathLike[str],
    *,
    format: str | Format,
    formula: bool = False,
    tolerance: float = 1e-5,
) -> ExportReport:
    """Write the network of a run for another runtime: see `export`.

    The file takes the encoded inputs: how columns become inputs is in its metadata, under "encoding", since the formats
    have no texts. Of a classification the network returns the probabilities of the classes, and the formula what it is
    a formula of: log-odds or scores.

    Args:
        run: the folder of a finished run.
        path: the file.
        format: see `export`.
        formula: the formula of the run instead of its network, for formats that take one.
        tolerance: see `export`.

    Raises `TableError` where the run found no formula.
    """
    record, encoding = read_record(run), read_encoding(run)
    facts: dict[str, Any] = {"target": record.target, "task": record.task, "encoding": encoding.to_json()}
    if encoding.values:
        facts["rounded_to"] = encoding.values
    if formula:
        if record.formula is None:
            raise TableError(f"the run in {run} found no formula; export the network")
        with reading(run, "; run `edgewise fit` again"):
            model: Any = Formula.from_json(record.formula.exact)
        return export(model, path, format=format, tolerance=tolerance, metadata=facts)
    network = load(run / "model.safetensors")
    assert isinstance(network, KAN)
    names = encoding.names
    model = network if encoding.task == "regression" else ClassProbabilities(network, encoding.classes)
    outputs = None if encoding.task == "classification" else [record.target]
    return export(
        model, path, format=format, tolerance=tolerance, input_names=names, output_names=outputs, metadata=facts
    )
