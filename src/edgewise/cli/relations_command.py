"""The command `edgewise relations TABLE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from edgewise.cli.output import output, plain, print_notes
from edgewise.cli.places import UsageError, require_place
from edgewise.display import listener_of


def relations(
    table: Positional[str],
    /,
    inputs: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    na_values: tuple[str, ...] = (),
    decimal: Literal["auto", ".", ","] = "auto",
    fdr: float = 0.05,
    seconds: float = 120.0,
    seed: int = 0,
    formulas: bool = True,
    out: Path | None = None,
    figure: Path | None = None,
) -> None:
    """Search a table for relations among its columns, without a target.

    Args:
        table: A CSV or Parquet file, or the name of a shipped table (knots).
        inputs: The columns to use; all by default.
        exclude: Columns to leave out.
        na_values: Words and numbers that stand for an empty cell, such as -999 or unknown.
        decimal: The decimal sign, where the cells of a column allow both, such as 1,234.
        fdr: The expected share of false relations among those announced.
        seconds: Begin nothing new after this time, in seconds.
        seed: Seed of all randomness.
        formulas: Read every relation as a formula.
        out: A JSON file to write the relations to.
        figure: A PNG file to draw them in.
    """
    from edgewise.discovery.relations import search_relations
    from edgewise.io import write_whole
    from edgewise.tables.cells import TableError
    from edgewise.tables.read_table import find_table, read_table

    require_place(out)
    require_place(figure)
    frame = read_table(find_table(table)[0], na_values=na_values, decimal=decimal)
    unknown = [name for name in (*inputs, *exclude) if name not in frame.columns]
    if unknown:
        raise UsageError(f"{table} has no column {unknown[0]!r}; it has {', '.join(map(repr, frame.columns))}")
    chosen = [name for name in (inputs or frame.columns) if name not in exclude]
    with listener_of(True) as display:
        try:
            found = search_relations(
                frame, names=chosen, fdr=fdr, formulas=formulas, seconds=seconds, seed=seed, progress=display
            )
        except ValueError as error:
            raise TableError(f"{table}: {error}") from error
    print_notes(found.notes)
    output().print(plain(str(found)), highlight=False, soft_wrap=True)
    if out is not None:
        write_whole(out, json.dumps(found.to_json(), indent=1) + "\n")
    if figure is not None:
        from edgewise.viz.charts import save_figure

        save_figure(found.plot(), figure)
