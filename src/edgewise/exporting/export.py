"""Writes a model as a file of another runtime, runs the file there and compares it with the model."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from edgewise.exporting.additive_scoring import export_additive, is_table_model
from edgewise.exporting.export_report import ExportError, ExportReport
from edgewise.exporting.file_check import Errors, compared
from edgewise.exporting.file_format import Format
from edgewise.exporting.formats import find_format
from edgewise.exporting.subject import Subject, subject_of
from edgewise.io.sealed import digest_of
from edgewise.io.whole import written_aside

SUMS = ("auto", "plain", "compensated")


def export(
    model: Any,
    path: str | os.PathLike[str],
    *,
    format: str | Format,
    example: Tensor | Sequence[Tensor] | None = None,
    tolerance: float = 1e-5,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    any_batch: bool = True,
    sums: str = "auto",
) -> ExportReport:
    """Write a model for another runtime, run the file there and compare it with the model.

    The file is written aside, run on 1,000 inputs and moved to its place only where it keeps the tolerance. Numbers
    are float32 in every format. Adapters are merged, and the change of units of a network is part of the graph.

    Args:
        model: any module with layers of this package, a fitted estimator (a classifier is exported with its
            probabilities) or, for formats that take one, a `Formula`.
        path: the file; an existing one is replaced, a folder only by a format that writes folders of this suffix.
        format: a name in `edgewise.exporting.formats()`, or a `Format` of your own.
        example: one input or a tuple of inputs, the batch first; needed where the shape is not known from the model.
        tolerance: the largest allowed `ExportReport.error`.
        input_names: for the metadata; those of the network by default.
        output_names: likewise.
        units: the units of inputs and outputs by name, for the metadata.
        metadata: more JSON values by key.
        any_batch: let the file take any number of rows where the format can; otherwise those of the example.
        sums: "plain", or "compensated": as if in twice the precision, by three matrix products instead of one, for
            models that add large numbers; "auto" takes these where plain ones miss the tolerance by
            `ExportReport.forward_error`. Formats of programs compute in double anyway.

    Raises:
        ExportError: the file misses the tolerance, or the converter or the runtime refuses it; nothing of it is kept.
        ImportError: a package is missing; the message names the extra.
        IsADirectoryError: the path is a folder, which is not replaced.
        ValueError: the format is unknown, or the shape of the inputs is, or names do not fit it.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be a number >= 0, got {tolerance}")
    if sums not in SUMS:
        raise ValueError(f"sums must be one of {', '.join(map(repr, SUMS))}, got {sums!r}")
    chosen = find_format(format)
    chosen.require()
    if sums == "compensated" and not chosen.graph:
        raise ValueError(f"the format {chosen.name!r} computes in double; leave out sums={sums!r}")
    place = Path(path)
    if not place.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {place.absolute().parent} for {place.name}; make it first")
    if place.is_dir() and place.suffix != chosen.suffix:
        raise IsADirectoryError(
            f"{place} is a folder; give the path of a file, such as {place / 'model'}{chosen.suffix}"
        )
    if is_table_model(model):
        if input_names is not None or units is not None or metadata is not None:
            raise ValueError(
                "this model is read by the columns of its table, and its file holds no input_names=, units= "
                "or metadata=; leave them out"
            )
        return export_additive(model, path, chosen.name, tolerance, output_names)
    subject = subject_of(
        model,
        example,
        input_names=input_names,
        output_names=output_names,
        units=units,
        metadata=metadata,
        any_batch=any_batch and chosen.any_batch,
    )
    with written_aside(place) as aside:
        errors, subject = _well_written(chosen, aside, subject, sums, tolerance)
        if errors is not None and errors.mixed > tolerance:
            raise ExportError(
                f"{place.name} as {chosen.name!r} differs from the model by {errors.mixed:.2g}, the tolerance is "
                f"{tolerance:g}; nothing was written. Give tolerance= if this is enough for you"
            )
        size, digest = _size(aside.parent), _digest(aside)
    packages = chosen.versions()
    return ExportReport(
        path=os.fspath(path),
        format=chosen.name,
        size=size,
        error=None if errors is None else errors.mixed,
        forward_error=None if errors is None else errors.forward,
        inputs=0 if errors is None else errors.inputs,
        tolerance=tolerance,
        runtime="" if errors is None else f"{chosen.runtime} {packages.get(chosen.runtime, '')}".strip(),
        packages=packages,
        rows=_rows_taken(chosen, subject),
        digest=digest,
        sums="compensated" if subject.compensated else "plain",
    )


def _well_written(
    chosen: Format, aside: Path, subject: Subject, sums: str, tolerance: float
) -> tuple[Errors | None, Subject]:
    """Write and compare; once more with compensated sums where plain ones miss the tolerance, if that is closer."""
    exact = dataclasses.replace(subject, compensated=True)
    if sums == "compensated":
        return _written(chosen, aside, exact), exact
    errors = _written(chosen, aside, subject)
    if sums == "plain" or not chosen.graph or errors is None or errors.forward <= tolerance:
        return errors, subject
    with tempfile.TemporaryDirectory() as folder:
        second = Path(folder) / "new" / aside.name
        second.parent.mkdir()
        try:
            better = _written(chosen, second, exact)
        except ExportError:  # of what the runtime lacks; the plain file is there
            return errors, subject
        if better is None or better.forward >= errors.forward:
            return errors, subject
        shutil.rmtree(aside.parent)
        shutil.copytree(second.parent, aside.parent)
    return better, exact


def _written(chosen: Format, aside: Path, subject: Subject) -> Errors | None:
    """Write and compare; what a converter or a runtime raises, of whatever kind, becomes an `ExportError`."""
    try:
        chosen.write(subject, aside)
        return compared(chosen, aside, subject)
    except (ValueError, TypeError, ImportError, OSError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        advice = "; try any_batch=False, which fixes the number of rows" if subject.any_batch else ""
        raise ExportError(f"the format {chosen.name!r} refuses this model: {reason}{advice}") from error


def _rows_taken(chosen: Format, subject: Subject) -> str:
    if not subject.any_batch:
        return str(len(subject.example[0]))
    return "any" if chosen.most_rows is None else f"1 to {chosen.most_rows}"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _digest(path: Path) -> str:
    if path.is_file():
        return digest_of(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = "".join(f"{digest_of(file)}  {file.relative_to(path).as_posix()}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
