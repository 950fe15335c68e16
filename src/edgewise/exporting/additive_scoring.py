"""Exports the scoring function of an additive estimator with levels, missing cells or surfaces, and runs it.

The arguments are those of the terms, by name: a column of numbers or of texts, and for dates each part that the model
uses (its year with a fraction, its season in [0, 1), its weekday such as `Mon`, its hour), since runtimes differ in
their dates. The outputs are expected outcomes, or the probabilities of all classes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.exporting.additive_text import inputs_of, python_text, sql_text
from edgewise.exporting.export_report import ExportError, ExportReport
from edgewise.exporting.source_text import word
from edgewise.exporting.sql_expression import quoted
from edgewise.io.whole import write_whole, written_aside
from edgewise.tables.additive import AdditiveModel, Column
from edgewise.tables.additive.deviance import KeptRows

Rows = list[list[Any]]
CHECKED = 500
"""Training rows that are scored by the file; each again outside the range and with missing cells."""


def is_table_model(model: Any) -> bool:
    """True for a fitted additive estimator that equals no network: not all of its terms are curves of numbers."""
    return isinstance(getattr(model, "model_", None), AdditiveModel)


def export_additive(
    estimator: Any,
    path: str | os.PathLike[str],
    format: str,
    tolerance: float = 1e-5,
    output_names: Sequence[str] | None = None,
) -> ExportReport:
    """Write the scoring function, run the file on rows of the training table and around it, and compare.

    Args:
        estimator: fitted.
        path: the file; an existing one is replaced.
        format: "sql" or "python".
        tolerance: the largest difference from the estimator, relative to 1 (or what the output reaches, where that
            is less) and the outputs.
        output_names: of the outputs; those of the estimator by default.

    Raises:
        ExportError: the file misses the tolerance; nothing of it is kept.
        ValueError: the format takes no such model.
    """
    if format not in ("sql", "python"):
        raise ValueError(
            f"the format {format!r} takes networks; this model has levels, missing cells, surfaces or cyclic terms, "
            "which 'sql' and 'python' take"
        )
    model: AdditiveModel = estimator.additive_
    place, names = Path(path), list(output_names or _names(estimator))
    columns = _around(estimator.rows_)
    expected = _expected(estimator, columns)
    rows = _arguments(model, columns)
    with written_aside(place) as aside:
        make, run = (sql_text, _in_sqlite) if format == "sql" else (python_text, _in_python)
        text = make(model, names, place.stem)
        write_whole(aside, text)
        got = np.array(run(aside, place.stem, inputs_of(model), rows), float).reshape(expected.shape)
        least = np.clip(abs(expected).max(0), 1e-300, 1)  # a small output is compared on its own scale
        error = float((abs(got - expected) / (least + abs(expected))).max())
        if not error <= tolerance:
            raise ExportError(
                f"{place.name} as {format!r} differs from the model by {error:.2g}, the tolerance is {tolerance:g}; "
                "nothing was written. Give tolerance= if this is enough for you"
            )
    version = sqlite3.sqlite_version if format == "sql" else sys.version.split()[0]
    runtime = f"{'SQLite' if format == 'sql' else 'Python'} {version}"
    content = text.encode()
    digest = hashlib.sha256(content).hexdigest()
    return ExportReport(
        os.fspath(path), format, len(content), error, error, len(rows), tolerance, runtime, {}, "any", digest
    )


def _names(estimator: Any) -> list[str]:
    if hasattr(estimator, "classes_"):
        return [f"probability of {label}" for label in estimator.classes_]
    return list(estimator.additive_.outputs)


def _around(kept: KeptRows) -> list[Column]:
    """Training rows, the same with numbers a width outside their range, and with missing cells in every column."""
    found = []
    for column in kept.columns:
        values = column.values[:CHECKED]
        if column.kind == "number":
            width = np.nanmax(values) - np.nanmin(values) if np.isfinite(values).any() else 0.0
            moved, gone = [values - width, values + width], np.where(np.arange(len(values)) % 2, values, np.nan)
        elif column.kind == "date":
            moved, gone = [values + np.timedelta64(900, "D"), values], values.copy()
            gone[::3] = np.datetime64("NaT")
        else:
            other = np.where(np.arange(len(values)) % 2, values, "a level that training did not see")
            moved, gone = [other, values], values.copy()
            gone[::3] = None
        found.append(Column(column.name, column.kind, np.concatenate([values, *moved, gone])))
    return found


def _expected(estimator: Any, columns: list[Column]) -> np.ndarray:
    mean = estimator.additive_.family.mean(estimator.additive_.link(columns))
    return np.hstack([1 - mean, mean]) if hasattr(estimator, "classes_") and mean.shape[1] == 1 else mean


def _arguments(model: AdditiveModel, columns: list[Column]) -> Rows:
    """The rows as lists of numbers, texts and None."""
    parts = {part.name: part for term in model.terms for part in term.inputs}
    read = [parts[name].read(columns).tolist() for name in inputs_of(model)]
    return [[None if _is_missing(v) else v for v in row] for row in zip(*read, strict=True)]


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _in_sqlite(path: Path, table: str, inputs: list[str], rows: Rows) -> list[list[float]]:
    base = sqlite3.connect(":memory:")
    try:
        base.execute(f"CREATE TABLE {quoted(table)} ({', '.join(quoted(name) for name in inputs)})")
        base.executemany(f"INSERT INTO {quoted(table)} VALUES ({', '.join('?' * len(inputs))})", rows)
        found = base.execute(path.read_bytes().decode()).fetchall()
    finally:
        base.close()
    return [[math.nan if v is None else v for v in row] for row in found]


def _in_python(path: Path, table: str, inputs: list[str], rows: Rows) -> list[list[float]]:
    """In a Python without packages, on rows as JSON."""
    program = (
        "import json, runpy, sys; f = runpy.run_path(sys.argv[1])[sys.argv[2]]; "
        "print(json.dumps([f(*row) for row in json.load(sys.stdin)]))"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(path), word(table)]
    done = subprocess.run(command, input=json.dumps(rows), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"Python does not run {path.name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)
