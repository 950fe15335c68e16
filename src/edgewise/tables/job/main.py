"""The main job: from a table to a network, its rivals and a formula, in stages that an interruption cannot lose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sympy

from edgewise._version import __version__
from edgewise.compare import fit_baselines
from edgewise.discovery.noisy import Finding, Front, search_class_formula, search_formula
from edgewise.io import save
from edgewise.nn import KAN
from edgewise.tables.encode import Encoding, Prepared, TableError, prepare, read_table
from edgewise.tables.job.fitted import (
    Rows,
    edges,
    importance,
    loss_name,
    output_names,
    parameters,
    predict,
    prune_while_good,
    train,
    unused_inputs,
)
from edgewise.tables.job.rundir import RunDirectory
from edgewise.tables.job.scores import scores
from edgewise.tables.report import Report, page
from edgewise.tables.shipped import ShippedTable, shipped_tables
from edgewise.tracing import outside_grid, trace

Array = np.ndarray
TRAIN_SHARE, HELD_SHARE = 0.7, 0.15
FORMAT = "edgewise-run-1"
LEAST = 20.0
"""Seconds that a network always gets: a training cut off too early is worth nothing."""


@dataclass(frozen=True)
class Settings:
    """What a run depends on, beside its table; see `edgewise fit --help`."""

    target: str
    task: Literal["auto", "regression", "classification"] = "auto"
    names: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    missing: Literal["error", "drop"] = "error"
    hidden: int = 5
    rows: int = 20_000
    seconds: float = 120.0
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """What a run found: the network, the formulas, and everything that is said about them (`metrics`, JSON)."""

    model: KAN
    front: Front | None
    metrics: dict[str, Any]
    held_out: Rows
    encoding: Encoding


Tell = Callable[[str], None]


def run(table: str, settings: Settings, out: Path, *, force: bool = False, stage: Tell, tell: Tell) -> Result:
    """Do the job and write the folder `out`.

    Args:
        table: a CSV or Parquet file, or the name of a shipped table.
        settings: what to do.
        out: the folder, which must not exist unless `force`.
        force: replace the folder of an earlier run.
        stage: called with the name of every stage when it begins.
        tell: called with what happens inside a stage.
    """
    stage("read the table")
    path, shipped = source(table)
    frame = read_table(path, _headerless(settings.names))
    frame = frame.rename(columns=_renamed(settings.names))
    prepared = prepare(
        frame,
        settings.target,
        settings.task,
        inputs=settings.inputs,
        exclude=settings.exclude,
        missing=settings.missing,
    )
    fingerprint = {"version": __version__, "table": _digest(path), "settings": asdict(settings)}
    folder = RunDirectory(out, json.loads(json.dumps(fingerprint)), force=force)
    if folder.resumed:
        tell(f"going on with the interrupted run in {folder.partial}")
    result = _compute(prepared, settings, folder, shipped, Path(table).name, stage, tell)
    stage("write the report")
    save(
        result.model,
        folder.partial / "model.safetensors",
        extra={"format": FORMAT, "encoding": result.encoding.to_json()},
    )
    folder.write("metrics.json", json.dumps(result.metrics, indent=2) + "\n")
    folder.write("formula.txt", formula_text(result))
    folder.write("report.html", page(_report(result, shipped)))
    folder.commit()
    return result


def split(prepared: Prepared, rows: int, seed: int) -> tuple[Rows, Rows, Rows, list[str]]:
    """Rows to train on, to choose by and to judge by (70, 15 and 15 in a hundred), and what to say about it.

    Every class is split by itself. Beyond `rows` rows to train on, a random part is used.
    """
    rng = np.random.default_rng(seed)
    n = len(prepared.outcome)
    order = rng.permutation(n)
    if prepared.encoding.task == "classification":
        rank = np.empty(n)
        for label in np.unique(prepared.outcome):
            members = order[prepared.outcome[order] == label]
            rank[members] = (np.arange(len(members)) + rng.uniform()) / len(members)
        order = np.argsort(rank, kind="stable")
    first, second = round(TRAIN_SHARE * n), round((TRAIN_SHARE + HELD_SHARE) * n)
    parts = [order[:first], order[first:second], order[second:]]
    notes = []
    if first > rows:
        parts = [rng.permutation(part)[:limit] for part, limit in zip(parts, (rows, rows // 4, 5 * rows), strict=True)]
        notes.append(
            f"{n} rows: trained on {rows} of them drawn at random, chosen by {len(parts[1])}, judged by "
            f"{len(parts[2])} others (--rows sets the first number)"
        )
    train, held, test = (Rows(prepared.inputs[part], prepared.outcome[part]) for part in parts)
    return train, held, test, notes


def formula_text(result: Result) -> str:
    """The formula for reading, its LaTeX, and Python source with the exact numbers."""
    if result.front is None:
        return "No formula: no function explains some of the curves. See report.html for the curves.\n"
    formula = result.front.chosen.formula
    return f"{formula}\n\nLaTeX:\n{formula.latex()}\n\nPython:\n{formula.python()}"


def _report(result: Result, shipped: ShippedTable | None) -> Report:
    return Report(
        metrics=result.metrics,
        model=result.model,
        formula=None if result.front is None else result.front.chosen.formula,
        inputs=result.held_out.inputs,
        outcome=result.held_out.outcome,
        prediction=predict(result.model, result.encoding, result.held_out.inputs),
        symbols={} if shipped is None else shipped.symbols,
    )


def _compute(
    prepared: Prepared,
    settings: Settings,
    folder: RunDirectory,
    shipped: ShippedTable | None,
    table: str,
    stage: Tell,
    tell: Tell,
) -> Result:
    encoding = prepared.encoding
    rows, held, test, notes = split(prepared, settings.rows, settings.seed)
    tell(
        f"{len(rows)} rows to train on, {len(held)} to choose by, {len(test)} to judge by; {len(encoding.names)} inputs"
    )
    seed, seconds = settings.seed, settings.seconds
    stage("train the network")
    full = folder.model(
        "network", lambda: train(encoding, rows, held, settings.hidden, max(0.4 * seconds, LEAST), seed)
    )
    stage("prune")
    model = folder.model(
        "pruned", lambda: prune_while_good(full, encoding, rows, held, max(0.2 * seconds, LEAST), seed)
    )
    weights = folder.json("importance", lambda: importance(model, encoding, held, seed))
    stage("search the formula")
    front = _formulas(folder, encoding, rows, held, weights, 0.4 * seconds, seed, tell)
    stage("train the rivals")
    rivals = folder.json("rivals", lambda: list(_rivals(encoding, rows, held, test, parameters(model), seed, tell)))
    metrics = {
        "format": FORMAT,
        "version": __version__,
        "table": table,
        "settings": asdict(settings),
        "target": encoding.target,
        "task": encoding.task,
        "rounded_to": list(encoding.values),
        "classes": list(encoding.classes),
        "rows": {"train": len(rows), "choose": len(held), "judge": len(test)},
        "scores": [
            _row("KAN", "network", encoding, test, predict(model, encoding, test.inputs), parameters(model)),
            *_formula_rows(front, encoding, test),
            *_reference_rows(shipped, encoding, test),
            *rivals,
        ],
        "importance": dict(zip(encoding.names, weights, strict=True)),
        "network": {
            "widths_before": [len(encoding.names), *full.widths[1:]],
            "widths": [len(encoding.names), *model.widths[1:]],
            "edges_before": edges(full)[0],
            "edges": edges(model)[0],
            "parameters": parameters(model),
            "unused_inputs": unused_inputs(model),
        },
        "formula": _formula_facts(front, model, encoding, test),
        "front": [] if front is None else [_brief(finding) for finding in front.front],
        "warnings": [*prepared.warnings, *notes, *_cautions(model, test)],
    }
    return Result(model, front, metrics, test, encoding)


def _formulas(
    folder: RunDirectory,
    encoding: Encoding,
    rows: Rows,
    held: Rows,
    weights: Sequence[float],
    seconds: float,
    seed: int,
    tell: Tell,
) -> Front | None:
    """The formulas, stored with their exact numbers."""

    def search() -> dict[str, Any] | None:
        if encoding.task == "regression":
            found = search_formula(
                (rows.inputs, rows.outcome),
                (held.inputs, held.outcome),
                encoding.names,
                encoding.target,
                importance=weights,
                seconds=seconds,
                seed=seed,
                progress=lambda event: tell(event.text),
            )
        else:
            found = search_class_formula(
                rows.tensors(encoding),
                held.tensors(encoding),
                encoding.names,
                output_names(encoding),
                loss=loss_name(encoding),
                importance=weights,
                seconds=seconds,
                seed=seed,
                progress=lambda event: tell(event.text),
            )
        return None if found is None else found.to_json()

    stored = folder.json("formulas", search)
    return None if stored is None else Front.from_json(stored)


def _rivals(
    encoding: Encoding, rows: Rows, held: Rows, test: Rows, size: int, seed: int, tell: Tell
) -> Iterator[dict[str, Any]]:
    train, kept = (rows.inputs, rows.outcome), (held.inputs, held.outcome)
    for rival in fit_baselines(train, kept, encoding.task, parameters=size, seed=seed):
        tell(rival.name)
        prediction = rival.predict(test.inputs)
        if encoding.task == "classification" and prediction.shape[1] < len(encoding.classes):
            prediction = np.pad(prediction, ((0, 0), (0, len(encoding.classes) - prediction.shape[1])))
        yield _row(rival.name, "rival", encoding, test, prediction, rival.parameters)


def _row(
    name: str, kind: str, encoding: Encoding, test: Rows, prediction: Array, size: int | None, note: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "parameters": size,
        "note": note,
        **scores(encoding, test.outcome, prediction),
    }


def _formula_rows(front: Front | None, encoding: Encoding, test: Rows) -> list[dict[str, Any]]:
    if front is None:
        return []
    formula = front.chosen.formula
    numbers = sum(len(e.atoms(sympy.Float)) for e in formula.expressions)
    return [_row("formula", "formula", encoding, test, predict(formula.torch(), encoding, test.inputs), numbers)]


def _reference_rows(shipped: ShippedTable | None, encoding: Encoding, test: Rows) -> list[dict[str, Any]]:
    """Known rules of a shipped table."""
    rows = []
    for reference in shipped.references if shipped else ():
        expression = sympy.sympify(reference.expression)
        needed = sorted(map(str, expression.free_symbols))
        if (
            reference.target != encoding.target
            or encoding.task != "regression"
            or not set(needed) <= set(encoding.names)
        ):
            continue
        columns = [test.inputs[:, encoding.names.index(name)] for name in needed]
        values = np.broadcast_to(sympy.lambdify(needed, expression)(*columns), len(test)).astype(float)
        rows.append(_row(reference.name, "reference", encoding, test, values, None, reference.source))
    return rows


def _formula_facts(front: Front | None, model: KAN, encoding: Encoding, test: Rows) -> dict[str, Any] | None:
    """The formula in several notations, what it uses, and how far it is from the network."""
    if front is None:
        return None
    formula = front.chosen.formula
    used = {str(symbol) for e in formula.expressions for symbol in e.free_symbols}
    ours, theirs = (predict(f, encoding, test.inputs) for f in (formula.torch(), model))
    facts: dict[str, Any] = {
        "text": str(formula),
        "latex": formula.latex(),
        "python": formula.python(),
        "exact": formula.to_json(),
        "inputs": [name for name in encoding.names if name in used],
        "origin": front.chosen.origin,
        "complexity": front.chosen.complexity,
    }
    if encoding.task == "regression":
        rms = float(np.mean((ours - theirs) ** 2) ** 0.5)
        facts["error_against_network"] = {"rmse": rms, "relative": rms / (float(theirs.std()) or 1.0)}
        if encoding.values:
            facts["error_against_network"]["same_value"] = float(
                np.mean(encoding.round(ours) == encoding.round(theirs))
            )
    else:
        facts["error_against_network"] = {"same_class": float(np.mean(ours.argmax(1) == theirs.argmax(1)))}
    return facts


def _brief(finding: Finding) -> dict[str, Any]:
    return {
        "text": str(finding.formula),
        "error": finding.error,
        "complexity": finding.complexity,
        "origin": finding.origin,
    }


def _cautions(model: KAN, test: Rows) -> list[str]:
    """What the rows that judge reveal: inputs far outside the range of training."""
    import torch

    share = outside_grid(trace(model, torch.as_tensor(test.inputs)))
    first = next(iter(share.values()))
    if first > 0.01:
        return [f"{first:.1%} of the inputs that judge lie outside the range of training, where curves go on as lines"]
    return []


def source(table: str) -> tuple[Path, ShippedTable | None]:
    """The file of a table given by its path or by the name of a shipped one."""
    shipped = shipped_tables()
    if table in shipped and not Path(table).exists():
        return shipped[table].path, shipped[table]
    if not Path(table).exists() and Path(table).suffix == "":
        raise TableError(
            f"there is no file {table!r} and no shipped table of this name; shipped are {', '.join(sorted(shipped))}"
        )
    return Path(table), None


def _headerless(names: Sequence[str]) -> list[str]:
    """Names without `=` name the columns of a file without a header."""
    return [] if any("=" in name for name in names) else list(names)


def _renamed(names: Sequence[str]) -> dict[str, str]:
    """Names of the form COLUMN=NAME rename columns."""
    pairs = [name.partition("=") for name in names if "=" in name]
    if pairs and len(pairs) < len(names):
        raise TableError("--names takes either the names of all columns, or pairs COLUMN=NAME, not both")
    return {old: new for old, _, new in pairs}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
