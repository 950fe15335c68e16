"""Exports of twelve kinds of models: the largest error of every file in its runtime, its size, and the speed of ONNX.

The error is that of `ExportReport`: 1,000 inputs, of whose numbers a tenth lies up to one width and a tenth up to ten
widths outside the grids, two tenths on knots. The table has the forward error in brackets, a plus where `export`
compensated the sums since plain ones missed 1e-5 by the forward error, and a star where the file takes the number of
rows of the example alone, since the format refused a free one. The speed is that of one thread of ONNX Runtime on one
layer of 64 x 64 curves with 5 intervals: the exported graph against the graph that torch makes of the reference form.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import edgewise as ew
from edgewise.bases import BSpline
from edgewise.compare import timing
from edgewise.exporting import ExportError, ExportReport, Format, find_format, formats
from edgewise.exporting.onnx_file import load_onnx
from edgewise.exporting.subject import subject_of
from studies.runtimes.kinds import KINDS, made
from studies.study import Case, Row, Run, Settings, Study, option

RUNTIMES = ("onnx", "openvino", "litert", "executorch", "c")
BATCHES = (1, 16, 256, 1024)
BOUND = 1e-5
SPEED = "64-64"


@dataclass(frozen=True)
class ExportSettings(Settings):
    """Which exports are measured."""

    formats: tuple[str, ...] = option(RUNTIMES, "formats, some", subset=True)
    kinds: tuple[str, ...] = option(tuple(KINDS), "kinds of models, some", subset=True)
    speed: bool = option(True, "the speed in ONNX Runtime", selects=True)
    rounds: int = option(25, "rounds of interleaved calls")


def cases(settings: ExportSettings, seeds: Sequence[int]) -> list[Case]:
    """Every kind in every format that there is, then the speed."""
    chosen = [name for name in settings.formats if name in formats()]
    matrix = [{"kind": k, "format": f, "seed": seed} for seed in seeds for f in chosen for k in settings.kinds]
    speed = [{"kind": SPEED, "format": "onnx", "seed": seed} for seed in seeds if settings.speed]
    return [*matrix, *speed]


def measure(case: Case, run: Run[ExportSettings]) -> Row:
    """The report of one export, or why there is none."""
    torch.manual_seed(case["seed"])
    if case["kind"] == SPEED:
        return {"times": speed(case["seed"], run.settings.rounds)}
    model, example = made(case["kind"], case["seed"])
    known = find_format(case["format"])
    known.require()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path, refused = Path(folder) / f"model{known.suffix}", ""
        for any_batch in (True, False):
            try:
                report = _exported(model, path, known, example, any_batch)
                break
            except (ValueError, TypeError) as error:
                refused = refused or f"{type(error).__name__}: {error}"[:300]
        else:
            return {"error": None, "refused": refused}
    return {
        "error": report.error,
        "forward_error": report.forward_error,
        "size": report.size,
        "runtime": report.runtime,
        "packages": dict(report.packages),
        "rows_taken": report.rows,
        "sums": report.sums,
        "refused": refused,
    }


def _exported(model: Any, path: Path, known: Format, example: Any, any_batch: bool) -> ExportReport:
    """The export as a user calls it, and without a bound where it misses: every error goes into the table."""
    try:
        return ew.export(model, path, format=known, example=example, any_batch=any_batch)
    except ExportError:
        return ew.export(model, path, format=known, example=example, any_batch=any_batch, tolerance=float("inf"))


def speed(seed: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of a call in ONNX Runtime, and how many times faster than the reference graph, by batch."""
    generator = torch.Generator().manual_seed(seed)
    model = ew.KAN([64, 64], BSpline(5, 3), generator=generator).eval()
    subject = subject_of(model)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        dense, local = Path(folder) / "dense.onnx", Path(folder) / "local.onnx"
        _write_reference(model, dense)
        ew.export(model, local, format="onnx")
        runs = {"reference": load_onnx(dense, subject), "exported": load_onnx(local, subject)}
        for batch in BATCHES:
            x = (2 * torch.rand(batch, 64, generator=generator) - 1) * 1.2
            steps = {name: lambda call=call, x=x: call(x) for name, call in runs.items()}
            times = timing.interleaved(steps, "reference", rounds=rounds)
            found[str(batch)] = {name: asdict(time) for name, time in times.items()}
    return found


def summarise(rows: list[Row]) -> list[Row]:
    """Every kind: the worst error of every format; then the count within the bound, and the speeds."""
    matrix = [row for row in rows if row["kind"] != SPEED]
    found = []
    names = [name for name in RUNTIMES if any(row["format"] == name for row in matrix)]
    for kind in dict.fromkeys(row["kind"] for row in matrix):
        line: Row = {"kind": kind}
        for name in names:
            line[name] = _shown([row for row in matrix if (row["kind"], row["format"]) == (kind, name)])
        found.append(line)
    kinds = len(found)
    for label, key in (("error", "error"), ("forward error", "forward_error")) if found else ():
        counts = {name: f"{_within(matrix, name, key)} of {kinds}" for name in names}
        found.append({"kind": f"{label} up to {BOUND:g}", **counts})
    timed = [row["times"] for row in rows if row["kind"] == SPEED]
    for batch in BATCHES if timed else ():
        speeds = sorted(times[str(batch)]["exported"]["speed"] for times in timed)
        middle = speeds[len(speeds) // 2]
        found.append({"kind": f"speed, batch {batch}", "onnx": f"{middle:.1f} times (worst {speeds[0]:.1f})"})
    return found


def _shown(rows: list[Row]) -> str:
    """The worst error over the seeds, and the worst forward error.

    A plus where sums were compensated with some seed, a star where the number of rows had to be fixed.
    """
    if any(row["error"] is None for row in rows):
        return "refused"
    worst = [max(row[key] for row in rows) for key in ("error", "forward_error")] if rows else []
    star = "*" if any(row.get("refused") for row in rows) else ""
    plus = "+" if any(row.get("sums") == "compensated" for row in rows) else ""
    return "{:.1e} ({:.1e}){}{}".format(*worst, plus, star) if rows else ""


def _within(rows: list[Row], name: str, key: str) -> int:
    """How many kinds keep the bound in this format with every seed."""
    worst: dict[str, float] = {}
    for row in rows:
        if row["format"] == name:
            value = float("inf") if row["error"] is None else row[key]
            worst[row["kind"]] = max(worst.get(row["kind"], 0.0), value)
    return sum(value <= BOUND for value in worst.values())


def _write_reference(model: ew.KAN, path: Path) -> None:
    """The graph that torch exports of the reference form, with a free number of rows."""
    batch = torch.export.Dim("batch")
    x = torch.rand(2, 64)
    with ew.use_backend("reference"), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (x,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
    assert program is not None
    program.save(path)


STUDY = Study(
    name="export",
    title="Exported models in their runtimes: the largest error of twelve kinds of layers, and the speed of ONNX",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=ExportSettings(),
    seeds=(0, 1, 2),
)
