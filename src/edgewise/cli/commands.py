"""The commands of the command line; each imports what it needs when it runs, and prints its result."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal

from tyro.conf import Positional

from edgewise.cli.output import errors, output, plain, print_law, print_notes, print_solution, print_summary
from edgewise.cli.places import UsageError, require_place
from edgewise.cli.relations_command import relations
from edgewise.display import listener_of


def fit(
    table: Positional[str],
    /,
    target: str,
    task: Literal["auto", "regression", "classification"] = "auto",
    names: tuple[str, ...] = (),
    out: Path | None = None,
    force: bool = False,
    inputs: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    missing: Literal["error", "drop", "keep"] = "keep",
    na_values: tuple[str, ...] = (),
    decimal: Literal["auto", ".", ","] = "auto",
    hidden: int = 5,
    rows: int = 20_000,
    seconds: float = 120.0,
    seed: int = 0,
) -> None:
    """From a table to a trained network, a report and a formula.

    Writes model.safetensors, report.html, metrics.json and formula.txt. After an interruption the same command resumes
    the run.

    Args:
        table: A CSV or Parquet file, or the name of a shipped table (knots).
        target: The column to predict.
        task: What the target is; auto takes texts, two values and codes 0..K-1 or 1..K for classes.
        names: COLUMN=NAME pairs rename columns; plain names are the columns of a CSV without a header line.
        out: The folder to make; by default the name of the table with -run.
        force: Replace the folder of an earlier run.
        inputs: The columns to use; all but the target by default.
        exclude: Columns to leave out.
        missing: Keep rows with empty cells (the mean of the column stands for a number, and one more input tells where;
            among texts they are a level of their own), refuse them, or drop them.
        na_values: Words and numbers that stand for an empty cell, such as -999 or unknown.
        decimal: The decimal sign, where the cells of a column allow both, such as 1,234.
        hidden: Nodes of the hidden layer; 0 is an additive model.
        rows: Train on at most this many rows, drawn at random.
        seconds: Time limit of the whole job in seconds; what does not fit is left out, and the report says so.
        seed: Seed of all randomness.
    """
    from edgewise.tables.job import JobSettings, fit_table, kept_of

    settings = JobSettings(
        target, task, names, inputs, exclude, missing, na_values, decimal, hidden, rows, seconds, seed
    )
    folder = Path(f"{Path(table).name.split('.')[0]}-run") if out is None else out
    try:
        with listener_of(True) as display:
            result = fit_table(table, settings, folder, force=force, progress=display)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(kept_of(folder)) from None
    print_summary(result.record)
    output().print(f"\nreport: {folder / 'report.html'}", highlight=False, soft_wrap=True)


def discover(
    table: Positional[str],
    /,
    target: str = "",
    time: str = "",
    trajectory: str = "",
    controls: tuple[str, ...] = (),
    units: tuple[str, ...] = (),
    start: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    inputs: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    missing: Literal["error", "drop"] = "error",
    na_values: tuple[str, ...] = (),
    decimal: Literal["auto", ".", ","] = "auto",
    seconds: float = 60.0,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """From a table to a law: an exact formula with its evidence, or the reason why there is none.

    With --time the rows are observations of a system over time, and the law is x' = f(x, u, t) or x[n+1] = f(x[n])
    for all its components.

    Args:
        table: A CSV or Parquet file, or the name of a shipped table (knots).
        target: The column that the law is for; none with --time.
        time: The column of times of trajectories; every other column of numbers is then a component of the state.
        trajectory: With --time, the column that tells several trajectories apart.
        controls: With --time, the columns that are inputs of the system.
        units: COLUMN=UNIT pairs for the target and every column, such as F=N r=m/s^2 k=1; only laws with fitting
            dimensions are then returned.
        start: Formulas to begin with, such as "k*m*v**2/r"; names that are no columns are constants to be found.
        names: The names of the columns of a CSV without a header line.
        inputs: The columns to use; all but the target by default.
        exclude: Columns to leave out.
        missing: Refuse rows with empty or infinite cells, or drop them.
        na_values: Words and numbers that stand for an empty cell, such as -999 or unknown.
        decimal: The decimal sign, where the cells of a column allow both, such as 1,234.
        seconds: Begin nothing new after this time, in seconds.
        seed: Seed of all randomness.
        out: A JSON file to write the law and its alternatives to.
    """
    from edgewise.io import write_whole
    from edgewise.tables.job import discover_table

    require_place(out)
    if bool(target) == bool(time):
        raise UsageError("give --target for the law of a column, or --time for the law of trajectories, one of them")
    if not time and (trajectory or controls):
        raise UsageError("--trajectory and --controls belong to --time")
    options: dict[str, Any] = {"names": names, "inputs": inputs, "exclude": exclude, "missing": missing}
    options |= {"na_values": na_values, "decimal": decimal, "seconds": seconds}
    if time:
        if start:
            raise UsageError("--start belongs to --target")
        if units:
            raise UsageError("--units belongs to --target; laws of trajectories have constants with units")
        _discover_dynamics(table, time, out, trajectory=trajectory, controls=controls, **options)
        return
    with errors().status(f"searching for a law of {plain(target)} ..."):
        found, notes = discover_table(
            table,
            target,
            units=_pairs(units) if units else None,
            start=start,
            seed=seed,
            **options,
        )
    print_notes(notes)
    print_law(found)
    if out is not None:
        write_whole(out, json.dumps(found.to_json(), indent=1) + "\n")


def _discover_dynamics(table: str, time: str, out: Path | None, **options: Any) -> None:
    """The law of the trajectories in a table, printed and perhaps written."""
    from edgewise.io import write_whole
    from edgewise.tables.dynamics_table import discover_table_dynamics

    with listener_of(True) as display:
        found, notes = discover_table_dynamics(table, time, progress=display, **options)
    print_notes(notes)
    output().print(f"\n{plain(str(found))}\n[dim]{found.seconds:.1f} s[/]", highlight=False, soft_wrap=True)
    if out is not None:
        write_whole(out, json.dumps(found.to_json(), indent=1) + "\n")


def explain(run: Positional[Path], /) -> None:
    """Print what a run found once more.

    Args:
        run: The folder of the run.
    """
    from edgewise.tables.job import read_record

    print_summary(read_record(run))


def predict(
    run: Positional[Path],
    table: Positional[str],
    /,
    out: Path | None = None,
    formula: bool = False,
    names: tuple[str, ...] = (),
    missing: Literal["error", "drop"] = "error",
    na_values: tuple[str, ...] = (),
    decimal: Literal["auto", ".", ","] = "auto",
) -> None:
    """Predict the target for a new table; writes CSV, the prediction in the last column.

    Args:
        run: The folder of the run.
        table: A CSV or Parquet file with the columns that the network was trained on.
        out: The file to write; standard output by default.
        formula: Predict with the formula instead of the network.
        names: The names of the columns of a CSV without a header line.
        missing: Refuse rows with cells that cannot be used, or drop them.
        na_values: Words and numbers that stand for an empty cell, besides those of the run.
        decimal: The decimal sign, where the cells of a column allow both; by default as in the training table.
    """
    from edgewise.io import write_whole
    from edgewise.tables.job import predict_file

    require_place(out)
    options: dict[str, Any] = {"names": names, "missing": missing, "na_values": na_values, "decimal": decimal}
    if out is not None:
        print_notes(predict_file(run, table, lambda parts: write_whole(out, parts), formula=formula, **options))
        return
    with TemporaryFile() as kept:  # nothing is printed before the last row is known to be right

        def keep(parts: Iterable[bytes]) -> None:
            kept.seek(0)
            kept.truncate()
            kept.writelines(parts)

        print_notes(predict_file(run, table, keep, formula=formula, **options))
        kept.seek(0)
        with TextIOWrapper(kept, encoding="utf-8", newline="") as lines:
            sys.stdout.writelines(lines)


def export(
    run: Positional[Path],
    /,
    format: str,
    out: Path | None = None,
    formula: bool = False,
    tolerance: float = 1e-5,
) -> None:
    """Write the network of a run as a file of another runtime, such as ONNX, and check it there.

    The file takes the encoded columns; how they are encoded is in its metadata.

    Args:
        run: The folder of the run.
        format: onnx, openvino, litert, executorch, coreml, torch or another one of the guide to exports.
        out: The file to write; by default the name of the run with the suffix of the format.
        formula: Export the formula instead of the network.
        tolerance: The largest allowed difference from the network; a file that differs more is not kept.
    """
    from edgewise.exporting import export_run, find_format

    try:
        chosen = find_format(format)
        chosen.require()
    except (ValueError, ImportError) as error:
        raise UsageError(str(error)) from error
    path = Path(f"{run.resolve().name}{chosen.suffix}") if out is None else out
    require_place(path, is_folder=path.is_dir())
    with errors().status(f"writing and checking {plain(str(path))} ..."):
        try:
            report = export_run(run, path, format=chosen, formula=formula, tolerance=tolerance)
        except (ValueError, TypeError) as error:  # a model that the format cannot hold: a mistake of no program
            raise UsageError(str(error)) from error
    output().print(plain(str(report)), highlight=False, soft_wrap=True)


def solve(
    problem: Positional[Path],
    /,
    out: Path | None = None,
    force: bool = False,
    seconds: float | None = None,
    seed: int | None = None,
    method: Literal["auto", "gauss-newton", "self-scaled-bfgs", "lbfgs", "adam", "surface"] | None = None,
) -> int:
    """Solve the differential equation that a Python file defines as `problem`.

    Writes solution.json, the network and figures of field, residual and history; of the error too if the file
    defines a `reference`. The file is run: run only files that you trust.

    Args:
        problem: The file; see the guide to differential equations.
        out: The folder to write to; by default the name of the file with -solution.
        force: Write into a folder that has something in it.
        seconds: Time limit in seconds; the best network so far is written.
        seed: Seed of all randomness.
        method: How to minimise the residuals, with the starts, steps, rounds and intervals of the file.
    """
    from edgewise.pde import run_problem_file

    folder = Path(f"{problem.stem}-solution") if out is None else out
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} exists; choose another --out, or write into it with --force")
    require_place(folder, is_folder=True)
    given = {"seconds": seconds, "seed": seed, "method": method}
    with listener_of(True) as display:
        solution = run_problem_file(
            problem,
            out=folder,
            progress=display,
            **{name: value for name, value in given.items() if value is not None},
        )
    print_solution(json.loads((folder / "solution.json").read_text(encoding="utf-8")))
    output().print(f"\nwritten to {folder}", highlight=False, soft_wrap=True)
    return 0 if solution.converged else 1


def studio(
    source: Positional[str],
    /,
    target: str | None = None,
    table: str | None = None,
    inputs: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    hidden: int = 3,
    additive: bool = False,
    seconds: float = 20.0,
    seed: int = 0,
    keep: Path | None = None,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Work on a network in its picture: a page on this machine, until Ctrl-C.

    Fix functions on edges, prune, constrain, fit and compare; every step can be undone, and the session is exported as
    a Python script.

    Args:
        source: The folder of a run; a session.zip that the studio exported; or a CSV or Parquet file or the name of a
            shipped table (knots), for which a small network is trained first.
        target: The column to predict; for a table.
        table: The table of the run, where it is neither here nor beside the folder.
        inputs: The columns to use; all but the target by default; for a table.
        exclude: Columns to leave out; for a table.
        hidden: Nodes of the hidden layer; 0 is an additive model; for a table.
        additive: Instead of a network, fit an additive model with the pairs of columns that the evidence asks for.
        seconds: Time limit in seconds of the first training; for a table.
        seed: Seed of all randomness.
        keep: A ZIP archive that is written after every step; where it exists, the session in it continues.
        port: Where to listen on 127.0.0.1; a free port by default.
        browser: Open the page in the browser.
    """
    from edgewise.workbench import (
        keep as keep_in,
        open_additive,
        open_archive,
        open_run,
        open_table,
        serve,
    )

    work: Any
    if keep is not None and keep.is_file():
        with listener_of(True) as display:
            work = open_archive(keep, display)
    elif Path(source).is_dir():
        if target is not None or additive:
            raise UsageError("--target and --additive are for a table; a run has its target and its network")
        with errors().status(f"reading {plain(source)} ..."):
            work = open_run(Path(source), table)
    elif Path(source).suffix == ".zip" and target is None:
        with listener_of(True) as display:
            work = open_archive(Path(source), display)
    elif target is None:
        raise UsageError(f"{source} is no folder of a run; for a table, name the column to predict: --target COLUMN")
    elif additive:
        with errors().status(f"fitting an additive model for {plain(target)} ..."):
            work = open_additive(source, target, inputs=inputs, exclude=exclude)
    else:
        with errors().status(f"training a small network for {plain(target)} ..."):
            work = open_table(source, target, inputs=inputs, exclude=exclude, hidden=hidden, seconds=seconds, seed=seed)
    if keep is not None:
        keep_in(work, keep)
    errors().print("the studio is open until Ctrl-C:")
    serve(work, port=port, browser=browser, announce=lambda url: print(url, flush=True))


COMMANDS: Mapping[str, Callable[..., Any]] = {
    "fit": fit,
    "discover": discover,
    "relations": relations,
    "explain": explain,
    "predict": predict,
    "export": export,
    "solve": solve,
    "studio": studio,
}


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """The texts NAME=VALUE as a mapping."""
    wrong = [text for text in given if "=" not in text]
    if wrong:
        raise UsageError(f"--units takes COLUMN=UNIT, such as v=m/s, not {wrong[0]!r}")
    return dict(text.rsplit("=", 1) for text in given)
