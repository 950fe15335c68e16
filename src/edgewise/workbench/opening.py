"""Workspaces from tables, from the folders of runs, and from networks at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from edgewise.io import load
from edgewise.io.reading import reading
from edgewise.nn import KAN
from edgewise.progress import Budget, Listener
from edgewise.tables.cells import TableError, require_columns
from edgewise.tables.encode import Encoding
from edgewise.tables.job import JobSettings, read_encoding, read_record
from edgewise.tables.job.rundir import MODEL
from edgewise.tables.job.table_network import Rows, named, split, train
from edgewise.tables.prepare import Prepared, prepare
from edgewise.tables.read_table import find_table, read_table
from edgewise.tables.shipped import shipped_tables
from edgewise.workbench.additive_archive import is_additive, read_additive_archive
from edgewise.workbench.additive_workspace import AdditiveWorkspace
from edgewise.workbench.archive import REMEDY, read_archive
from edgewise.workbench.found_formulas import expressions_in, found_formula
from edgewise.workbench.workspace import Workspace

CLASSES = (
    "The target is a class, so that the network gives log-odds; errors are root mean square differences from the "
    "log-odds of the network as it was at first."
)


def open_table(
    table: str,
    target: str,
    *,
    task: Literal["auto", "regression", "classification"] = "auto",
    inputs: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    hidden: int = 3,
    rows: int = 20_000,
    seconds: float = 20.0,
    seed: int = 0,
) -> Workspace:
    """The workspace of a table: a small network is trained first.

    Args:
        table: a CSV or Parquet file, or the name of a shipped table.
        target: the column to predict.
        task: what the target is.
        inputs: the columns to use; all but the target by default.
        exclude: columns to leave out.
        hidden: nodes of the hidden layer; 0 is an additive model.
        rows: train on at most so many rows, drawn at random.
        seconds: time limit of the training.
        seed: seed of all randomness.
    """
    settings = JobSettings(target, task, inputs=inputs, exclude=exclude, hidden=hidden, rows=rows, seed=seed)
    encoding, training, held = _rows(table, settings)
    model = train(encoding, training, held, hidden, Budget(seconds), seed)
    return _workspace(model, encoding, training, held, table)


def open_additive(
    table: str,
    target: str,
    *,
    inputs: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    interactions: int | Literal["auto"] = "auto",
) -> AdditiveWorkspace:
    """The workspace of the additive model of a table, with the pairs of columns that the evidence asks for.

    Args:
        table: a CSV or Parquet file, or the name of a shipped table.
        target: the column to predict; texts are classes.
        inputs: the columns to use; all but the target by default.
        exclude: columns to leave out.
        interactions: how many pairs have a surface of their own.
    """
    from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

    path, _ = find_table(table)
    frame = read_table(path)
    prepared = prepare(frame, target, "auto", inputs=inputs, exclude=exclude, missing="keep")
    columns = list(dict.fromkeys(feature.column for feature in prepared.encoding.features))
    frame = frame[frame[target].notna()]
    kind = KANAdditive if prepared.encoding.task == "regression" else KANAdditiveClassifier
    fitted: Any = kind(interactions=interactions).fit(frame[columns], frame[target])
    return AdditiveWorkspace(fitted.additive_, fitted.rows_, title=f"{target} from {Path(table).name}")


def open_run(run: Path, table: str | None = None) -> Workspace:
    """The workspace of a finished run, on the rows that its network was trained on.

    Args:
        run: its folder.
        table: the table of the run; by default the one of this name here or beside the folder, or a shipped one.
    """
    record = read_record(run)
    table = _table_of(run, record.table) if table is None else table
    encoding, training, held = _rows(table, record.settings)
    known = read_encoding(run)
    if known.names != encoding.names:
        raise TableError(f"{table} is not the table of the run in {run}: it gives other inputs; name it with --table")
    model = load(run / MODEL)
    assert isinstance(model, KAN)
    work = _workspace(named(model, encoding), encoding, training, held, table)
    start, other = work.session, work.tree.held
    work.found = [
        found_formula(start, other, expressions_in(start, entry.text), entry.complexity, entry.origin)
        for entry in record.front
    ]
    return work


def open_archive(path: Path, progress: Listener = lambda event: None) -> Workspace | AdditiveWorkspace:
    """The workspace of a session that the studio exported, of a network or an additive model: its steps are done again.

    Args:
        path: the ZIP archive.
        progress: called with an `Event` before every step.
    """
    if is_additive(path):
        return _open_additive_archive(path, progress)
    stored = read_archive(path)
    work = Workspace(stored.model, *stored.data, held=stored.held, title=stored.title, note=stored.note)
    with reading(path, REMEDY):
        work.replay(stored.states, progress)
        work.tree.goto(stored.current)
    return work


def _open_additive_archive(path: Path, progress: Listener) -> AdditiveWorkspace:
    stored = read_additive_archive(path)
    work = AdditiveWorkspace(stored.model, stored.rows, title=stored.title, note=stored.note)
    with reading(path, REMEDY):
        work.replay(stored.states, progress)
        work.tree.goto(stored.current)
    return work


def _table_of(run: Path, name: str) -> str:
    """Where the table of a run is; the record has its name only."""
    for place in (Path(name), run.resolve().parent / name):
        if place.is_file():
            return str(place)
    if name not in shipped_tables():
        raise TableError(f"the table {name!r} of the run is neither here nor beside {run}; name it: --table")
    return name


def _rows(table: str, settings: JobSettings) -> tuple[Encoding, Rows, Rows]:
    """Training and validation rows of a table, as `edgewise fit` makes them."""
    path, _ = find_table(table)
    frame = read_table(path, settings.column_names, na_values=settings.na_values, decimal=settings.decimal)
    require_columns(frame, settings.renamed)
    prepared: Prepared = prepare(
        frame.rename(columns=settings.renamed),
        settings.target,
        settings.task,
        inputs=settings.inputs,
        exclude=settings.exclude,
        missing=settings.missing,
        decimal=settings.decimal,
    )
    encoding, training, validation, _, _ = split(prepared, settings.rows, settings.seed)
    return encoding, training, validation


def _workspace(model: KAN, encoding: Encoding, training: Rows, held: Rows, table: str) -> Workspace:
    _, shipped = find_table(table)
    data, other = _tensors(model, encoding, training), _tensors(model, encoding, held)
    note = CLASSES if encoding.task == "classification" else ""
    title = f"{encoding.target} from {Path(table).name}"
    symbols = shipped.symbols if shipped else {}
    return Workspace(model, *data, held=other, title=title, note=note, symbols=symbols)


def _tensors(model: KAN, encoding: Encoding, rows: Rows) -> tuple[Tensor, Tensor]:
    """Inputs and amounts, or the network's own log-odds where the target is a class."""
    x, y = rows.tensors(encoding)
    if encoding.task == "classification":
        with torch.no_grad():
            y = model(x)
    return x, y
