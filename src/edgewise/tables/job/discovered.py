"""`edgewise discover` without its terminal: a table of numbers in, a law with its evidence out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from edgewise.discovery import Discovery, discover
from edgewise.tables.encode import TableError, prepare, read_table
from edgewise.tables.job.main import source


def discovered(
    table: str,
    target: str,
    *,
    units: Mapping[str, str] | None = None,
    names: Sequence[str] = (),
    inputs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
    seconds: float = 60.0,
    seed: int = 0,
) -> tuple[Discovery, list[str]]:
    """Look for a law of the target in a table, and what the reader must know about the columns.

    Raises `TableError` where the table, the columns or their units cannot be used.
    """
    path, _ = source(table)
    prepared = prepare(read_table(path, names), target, "regression", inputs=inputs, exclude=exclude, missing=missing)
    features = prepared.encoding.features
    numeric = [n for n, feature in enumerate(features) if feature.level is None]
    notes = list(prepared.warnings)
    texts = sorted({feature.column for feature in features if feature.level is not None})
    if texts:
        notes.append(f"{', '.join(texts)}: texts cannot be in a law, left out")
    if not numeric:
        raise TableError("a law needs a column of numbers beside the target, and there is none")
    columns = [features[n].column for n in numeric]
    if units is not None:
        units = {name: unit for name, unit in units.items() if name in {*columns, target} or name not in prepared.frame}
    try:
        found = discover(
            prepared.inputs[:, numeric],
            prepared.outcome,
            names=columns,
            output=target,
            units=units,
            max_seconds=seconds,
            seed=seed,
        )
    except ValueError as error:
        raise TableError(str(error)) from error
    return found, notes
