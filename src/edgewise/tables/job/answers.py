"""Answers for a table: the predictions of a finished run, or a law of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgewise.discovery import Discovery, discover
from edgewise.expressions import Formula
from edgewise.io import load, read_header
from edgewise.io.reading import reading, require
from edgewise.nn import KAN
from edgewise.tables.cells import DataFrame, TableError, listed
from edgewise.tables.column_kinds import Decimal
from edgewise.tables.encode import Encoding
from edgewise.tables.job.record import FORMAT, RunRecord
from edgewise.tables.job.rundir import MODEL, RECORD, read_record
from edgewise.tables.job.streamed import BLOCK_ROWS, NotPlainError, stream, unknown_of
from edgewise.tables.job.table_network import predict
from edgewise.tables.prepare import prepare
from edgewise.tables.read_table import find_table, read_table


def predict_table(
    run: Path,
    table: str,
    *,
    formula: bool = False,
    names: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
    na_values: Sequence[str] = (),
    decimal: Decimal = "auto",
) -> tuple[DataFrame, list[str]]:
    """The new table with columns appended, the prediction last, and notes for the reader.

    Amounts on few whole numbers come with the estimate before rounding, classes with their probabilities.

    Args:
        run: the folder of a finished run.
        table: a CSV or Parquet file, or the name of a shipped table.
        formula: predict with the formula instead of the network.
        names: the names of the columns, for a CSV without a header line.
        missing: refuse rows with cells that training cannot place, or leave them out.
        na_values: words and numbers that stand for an empty cell, besides those of the run.
        decimal: the decimal sign where the cells allow both; by default as in training.
    """
    record, encoding = read_record(run), read_encoding(run)
    path, _ = find_table(table)
    words, renamed = {*record.settings.na_values, *na_values}, record.settings.renamed
    texts = {*encoding.texts, *(old for old, new in renamed.items() if new in encoding.texts)}
    frame = read_table(path, names, na_values=words, decimal=decimal, texts=texts)
    frame = frame.rename(columns={old: new for old, new in renamed.items() if new not in frame})
    if len(frame) == 0:
        raise TableError(f"{table} has no rows")
    notes = _unknown_notes(encoding.unknown_levels(frame))
    decimal = encoding.sign(frame, decimal)
    if missing == "drop":
        usable = encoding.usable(frame, decimal)
        if not usable.any():
            raise TableError(f"no row of {table} can be used: each has an empty or unknown cell")
        if not usable.all():
            notes.append(f"{int((~usable).sum())} of {len(frame)} rows have an empty or unknown cell: left out")
        frame = frame[usable].copy()
    values = predict(_function(run, record, formula), encoding, encoding.inputs(frame, decimal))
    _append(frame, encoding, values)
    return frame, [*notes, *_undefined_notes(int((~_finite(values)).sum()))]


def predict_file(
    run: Path,
    table: str,
    write: Callable[[Iterable[bytes]], object],
    *,
    formula: bool = False,
    names: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
    na_values: Sequence[str] = (),
    decimal: Decimal = "auto",
) -> list[str]:
    """Write the table of `predict_table` as CSV, in blocks where the file is plain; returns its notes.

    Args:
        run, table, formula, names, missing, na_values, decimal: as in `predict_table`.
        write: is given the parts of the text once, or, where a later block is not plain, once more from the beginning.
    """
    record, encoding = read_record(run), read_encoding(run)
    settings = record.settings
    given = names or na_values or settings.na_values or settings.renamed or missing == "drop" or decimal != "auto"
    if not given:
        function, undefined = _function(run, record, formula), [0]

        def append(needed: DataFrame, answer: DataFrame) -> None:
            values = predict(function, encoding, encoding.inputs(needed, "."))
            undefined[0] += int((~_finite(values)).sum())
            if undefined[0] and encoding.values:
                raise NotPlainError("a whole number is undefined")
            _append(answer, encoding, values)

        note, unknown = unknown_of(encoding)
        with suppress(NotPlainError):
            write(stream(find_table(table)[0], encoding, append, note))
            return [*_unknown_notes(unknown()), *_undefined_notes(undefined[0])]
    options: dict[str, Any] = {"names": names, "missing": missing, "na_values": na_values, "decimal": decimal}
    frame, notes = predict_table(run, table, formula=formula, **options)
    parts = (frame.iloc[n : n + BLOCK_ROWS] for n in range(0, len(frame), BLOCK_ROWS))
    write(part.to_csv(index=False, header=n == 0).encode() for n, part in enumerate(parts))
    return notes


def read_encoding(run: Path) -> Encoding:
    """How the columns of a table become the inputs of the network of a run."""
    with reading(run / MODEL, "; run `edgewise fit` again"):
        extra = read_header(run / MODEL)["extra"]
        require(extra.get("format") == FORMAT, "it was not written by this version of `edgewise fit`")
        return Encoding.from_json(extra["encoding"])


def discover_table(
    table: str,
    target: str,
    *,
    units: Mapping[str, str] | None = None,
    start: Sequence[str] = (),
    names: Sequence[str] = (),
    inputs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
    na_values: Sequence[str] = (),
    decimal: Decimal = "auto",
    seconds: float = 60.0,
    seed: int = 0,
) -> tuple[Discovery, list[str]]:
    """Search for a law of the target in a table; the second value is notes for the reader about the columns.

    Raises `TableError` where the table, the columns or their units cannot be used.
    """
    path, _ = find_table(table)
    frame = read_table(path, names, na_values=na_values, decimal=decimal)
    prepared = prepare(frame, target, "regression", inputs=inputs, exclude=exclude, missing=missing, decimal=decimal)
    features = prepared.encoding.features
    numeric = [n for n, feature in enumerate(features) if not feature.is_text and not feature.part]
    notes = list(prepared.warnings)
    texts = sorted({feature.column for feature in features if feature.is_text or feature.part})
    if texts:
        notes.append(f"{', '.join(texts)}: texts and dates cannot be in a law, left out")
    if not numeric:
        raise TableError("a law needs a column of numbers other than the target, and there is none")
    columns = [features[n].column for n in numeric]
    if units is not None:
        notes += [
            f"{name} is in {unit}, whose zero is a convention: only differences of it are in laws; or turn it into K"
            for name, unit in units.items()
            if unit.strip() in ("\u00b0C", "\u2103", "degC")
        ]
        units = {name: unit for name, unit in units.items() if name in {*columns, target} or name not in frame}
    try:
        found = discover(
            prepared.inputs[:, numeric],
            prepared.outcome,
            names=columns,
            output=target,
            units=units,
            start=start,
            seconds=seconds,
            seed=seed,
        )
    except ValueError as error:
        raise TableError(str(error)) from error
    return found, notes


def _unknown_notes(unknown: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"column {name!r} has levels that training did not see, or too rarely: {listed(levels)}"
        for name, levels in unknown.items()
    ]


def _undefined_notes(count: int) -> list[str]:
    return [f"{count} predictions are not finite: the formula is undefined there"] if count else []


def _function(run: Path, record: RunRecord, formula: bool):
    """The network of a run, or its formula, as a function of tensors."""
    if not formula:
        model = load(run / MODEL)
        assert isinstance(model, KAN)
        return model
    if record.formula is None:
        raise TableError(f"the run in {run} found no formula; predict with the network")
    with reading(run / RECORD, "; run `edgewise fit` again"):
        return Formula.from_json(record.formula.exact).torch()


def _append(frame: DataFrame, encoding: Encoding, values: np.ndarray) -> None:
    """Append probabilities or estimates, and the prediction, to the frame."""
    name = f"{encoding.target}_predicted"
    if encoding.task == "classification":
        for n, label in enumerate(encoding.classes):
            frame[f"probability_{label}"] = values[:, n]
        chosen = zip(values.argmax(1), _finite(values), strict=True)
        frame[name] = [encoding.classes[n] if known else None for n, known in chosen]
    elif encoding.values:
        frame[f"{encoding.target}_estimate"] = values
        rounded = encoding.round(values)
        frame[name] = rounded.astype(int) if _finite(values).all() else rounded
    else:
        frame[name] = values


def _finite(values: np.ndarray) -> np.ndarray:
    """The rows whose prediction is finite."""
    return np.isfinite(values.reshape(len(values), -1).sum(1))
