"""From a table of trajectories to their law: a column of times, columns of states, perhaps labels and controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgewise.discovery.dynamics import Dynamics, discover_dynamics
from edgewise.display import shows_progress
from edgewise.progress import Listener
from edgewise.tables.cells import DataFrame, TableError, listed, require_columns, require_finite, texts_of
from edgewise.tables.column_kinds import Decimal, decimal_of, numbers_of, read_column
from edgewise.tables.read_table import find_table, read_table


@shows_progress
def discover_table_dynamics(
    table: str,
    time: str,
    *,
    trajectory: str = "",
    controls: Sequence[str] = (),
    names: Sequence[str] = (),
    inputs: Sequence[str] = (),
    exclude: Sequence[str] = (),
    missing: Literal["error", "drop"] = "error",
    na_values: Sequence[str] = (),
    decimal: Decimal = "auto",
    seconds: float = 60.0,
    progress: bool | Listener | None = None,
) -> tuple[Dynamics, list[str]]:
    """Search for the law of the trajectories in a table; the second value is notes for the reader.

    Args:
        table: a file, or the name of a shipped table.
        time: the column of times; the rows of a trajectory are in their order.
        trajectory: the column that tells trajectories apart.
        controls: columns of inputs of the system.
        names: names of the columns of a file without a header line.
        inputs: the states; all other columns of numbers by default.
        exclude: columns to leave out.
        missing: refuse rows with empty cells, or drop them.
        na_values: words and numbers that stand for an empty cell.
        decimal: the decimal sign where the cells allow both.
        seconds: time limit in seconds.
        progress: True to show it; or called with an `Event` every second or so.

    Raises:
        TableError: where the table or a column cannot be used.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    path, _ = find_table(table)
    frame = read_table(path, names, na_values=na_values, decimal=decimal)
    roles = [time, *([trajectory] if trajectory else []), *controls]
    require_columns(frame, [*roles, *inputs, *exclude])
    states = [c for c in (inputs or frame.columns) if c not in {*roles, *exclude}]
    notes = []
    texts = [] if inputs else [c for c in states if read_column(frame[c], decimal).kind != "number"]
    if texts:
        notes.append(f"{listed(texts)}: no numbers, left out")
        states = [c for c in states if c not in texts]
    if not states:
        raise TableError(f"the table has no column of numbers besides {listed(roles)}; a law needs states")
    frame = frame[[*roles, *states]]
    if missing == "drop":
        kept = frame.notna().all(axis=1)
        notes += [f"{int((~kept).sum())} rows with empty cells are left out"] if not kept.all() else []
        frame = frame[kept]
    sign = decimal_of(frame, decimal)
    t, x, u = (_numbers(frame, columns, sign) for columns in ([time], states, list(controls)))
    labels = texts_of(frame[trajectory]) if trajectory else None
    try:
        found = discover_dynamics(
            t[:, 0],
            x,
            controls=u if controls else None,
            trajectory=labels,
            names=states,
            control_names=list(controls) or None,
            seconds=seconds,
            progress=progress,
        )
    except ValueError as error:
        raise TableError(str(error)) from error
    return found, notes


def _numbers(frame: DataFrame, columns: Sequence[str], decimal: Decimal) -> np.ndarray:
    found = [require_finite(numbers_of(frame[c], decimal, "leave it out with --exclude")[0], frame[c]) for c in columns]
    return np.column_stack(found) if found else np.zeros((len(frame), 0))
