"""Two checkouts of edgewise side by side: `fit`, its Gauss-Newton matrix, training steps, calls, memory, a table.

Both run in processes of their own and take turns, so that whatever else the machine does falls on both. The other
checkout is `--against FOLDER`, such as a worktree of ea648a7. Errors stand beside the ratios of every fit: a ratio
counts only where the error is not larger.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgewise.compare import timing
from studies.problems.functions import FUNCTIONS
from studies.speed import side
from studies.speed.steps import BASELINE, Setup, training_step
from studies.study import Case, Row, Run, Settings, Study, option

ROOT = Path(__file__).parents[2]
FITS = ("bessel", "exp-sin", "product", "composed", "I.6.2", "I.9.18", "I.12.11", "I.13.12", "I.16.6", "I.18.4")
FITS += ("I.26.2", "I.27.6", "I.30.3", "II.2.42")
EQUATIONS = tuple({"widths": [12, 5, 1], "intervals": intervals, "rows": 7000} for intervals in (5, 50))
STEPS = (
    Setup((64, 64), 5, 1024),
    Setup((256, 256), 5, 1024),
    Setup((512, 512), 16, 256),
    Setup((64, 64), 64, 1024),
    Setup((784, 64, 10), 5, 256),
    Setup((2, 5, 1), 5, 1000),
)
CALLS = ([2, 5, 1], [64, 64])
TABLE = (1_000_000, 20)
PARTS = ("fit", "equations", "step", "call", "demo", "memory")


@dataclass(frozen=True)
class BeforeSettings(Settings):
    """Settings of the comparison of two checkouts."""

    against: str = option("../edgewise-before", "the other checkout")
    parts: tuple[str, ...] = option(PARTS, "what is measured, some", subset=True)
    functions: tuple[str, ...] = option(FITS, "functions that are fitted, some", subset=True)
    rounds: int = option(9, "rounds in which both take turns")
    threads: int = option(1, "threads of every process; tables use torch's default")
    rows: int = option(TABLE[0], "rows of the table whose memory is measured")


def cases(settings: BeforeSettings, seeds: Sequence[int]) -> list[Case]:
    """Every part on every problem; the seed draws the samples of the fits."""
    names = {
        "fit": settings.functions,
        "equations": [f"{e['widths']} G={e['intervals']}" for e in EQUATIONS],
        "step": [setup.name for setup in STEPS],
        "call": [str(widths) for widths in CALLS],
        "demo": ["knots"],
        "memory": [f"{settings.rows} x {TABLE[1]}"],
    }
    return [
        {"part": part, "problem": problem, "seed": seed}
        for seed in seeds
        for part in settings.parts
        for problem in names[part]
        if part == "fit" or seed == seeds[0]
    ]


def measure(case: Case, run: Run[BeforeSettings]) -> Row:
    """One problem by both checkouts."""
    return MEASURES[case["part"]](case, run.settings)


def summarise(rows: list[Row]) -> list[Row]:
    """One row per problem, medians over the seeds, and the median ratio of all fits."""
    found = [_summary(row) for row in rows if row["part"] != "fit"]
    for name in dict.fromkeys(row["problem"] for row in rows if row["part"] == "fit"):
        own = [row for row in rows if row["part"] == "fit" and row["problem"] == name]
        found.append({"part": "fit", "problem": name, "ratio": statistics.median(row["ratio"] for row in own)})
        for key in ("before", "now", "error_before", "error_now"):
            found[-1][key] = statistics.median(row[key] for row in own)
    fits = [row for row in found if row["part"] == "fit"]
    if fits:
        good = [row for row in fits if row["error_now"] <= 1.05 * row["error_before"]]
        for name, some in (("median of all", fits), (f"median of the {len(good)} with no larger error", good)):
            if some:
                found.append({"part": "fit", "problem": name, "ratio": statistics.median(r["ratio"] for r in some)})
    return found


def _summary(row: Row) -> Row:
    keys = ("part", "problem", "ratio", "before", "now", "unit", "error_before", "error_now", "against_mlp")
    return {key: row[key] for key in keys if key in row}


def _fit(case: Case, settings: BeforeSettings) -> Row:
    """Processor seconds of `fit` and the error on fresh samples."""
    function = FUNCTIONS[case["problem"]]
    generator = torch.Generator().manual_seed(case["seed"])
    (x, y), (fresh, truth) = function.sample(2000, generator), function.sample(5000, generator)
    feynman = function.group == "feynman"
    shape = [function.variables, 5, 1] if feynman else list(function.shape)
    with tempfile.TemporaryDirectory() as folder, _Sides(settings) as sides:
        data = Path(folder) / "data.npz"
        np.savez(data, x=x, y=y, fresh=fresh, truth=truth)
        job = {"job": "fit", "data": str(data), "shape": shape, "seed": case["seed"]}
        before, now = sides.ask(**job, max_parameters=500 if feynman else None)
    return {
        "before": before["cpu_seconds"],
        "now": now["cpu_seconds"],
        "unit": "CPU s",
        "ratio": before["cpu_seconds"] / now["cpu_seconds"],
        "error_before": before["rmse"],
        "error_now": now["rmse"],
    }


def _equations(case: Case, settings: BeforeSettings) -> Row:
    """Milliseconds of a Gauss-Newton matrix; the relative difference of both is the error."""
    job = next(e for e in EQUATIONS if f"{e['widths']} G={e['intervals']}" == case["problem"])
    row, last = _turns(settings, "ms", job="normal_equations", **job)
    away = max(abs(last[1][key] / last[0][key] - 1) for key in ("gram", "gradient"))
    return row | {"error_now": away, "error_before": 0.0}


def _step(case: Case, settings: BeforeSettings) -> Row:
    """Milliseconds of a training step with edgewise's Adam, and how many times faster than the MLP of equal size."""
    setup = next(s for s in STEPS if s.name == case["problem"])
    job = {"job": "step", "widths": list(setup.widths), "intervals": setup.intervals, "batch": setup.batch}
    row, _ = _turns(settings, "ms", **job, optimizer="edgewise")
    torch.manual_seed(0)
    x, target = torch.rand(setup.batch, setup.widths[0]) * 2 - 1, torch.randn(setup.batch, setup.widths[-1])
    layered = len(setup.widths) == 2
    given = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    steps = {
        BASELINE: training_step(setup.mlp(), x, target, layered),
        "torch's Adam": training_step(setup.kan(), x, target, layered),
        "edgewise's Adam": training_step(setup.kan(), x, target, layered, native_adam=True),
    }
    times = timing.interleaved(steps, BASELINE, rounds=3 * settings.rounds)
    torch.set_num_threads(given)
    return row | {"against_mlp": times["torch's Adam"].speed, "with_our_adam": times["edgewise's Adam"].speed}


def _call(case: Case, settings: BeforeSettings) -> Row:
    """Microseconds of one sample in units of one `nn.Linear`."""
    row, last = _turns(settings, "us", "linear_us", job="call", widths=json.loads(case["problem"]))
    return row | {"unit": "nn.Linear calls", "microseconds": last[1]["us"]}


def _demo(case: Case, settings: BeforeSettings) -> Row:
    """Processor seconds of `make demo` after its set-up, and the accuracies of the network and of the formula."""
    command = ["fit", "knots", "--target", "signature"]
    sides = [_command(folder, command) for folder in _folders(settings)]
    before, now = (_accuracies(side["text"]) for side in sides)
    return {
        "before": sides[0]["cpu_seconds"],
        "now": sides[1]["cpu_seconds"],
        "unit": "CPU s",
        "ratio": sides[0]["cpu_seconds"] / sides[1]["cpu_seconds"],
        "error_before": 1 - before["KAN"],
        "error_now": 1 - now["KAN"],
        "accuracies": {"before": before, "now": now},
        "wall_seconds": [side["wall_seconds"] for side in sides],
    }


def _memory(case: Case, settings: BeforeSettings) -> Row:
    """Peak memory of `edgewise fit` on a table of many rows, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.csv"
        write_table(table, settings.rows, TABLE[1])
        sides = [_command(side, ["fit", str(table), "--target", "y", "--seconds", "60"]) for side in _folders(settings)]
    return {
        "before": sides[0]["mib"],
        "now": sides[1]["mib"],
        "unit": "MiB",
        "ratio": sides[0]["mib"] / sides[1]["mib"],
        "wall_seconds": [side["wall_seconds"] for side in sides],
    }


MEASURES = {"fit": _fit, "equations": _equations, "step": _step, "call": _call, "demo": _demo, "memory": _memory}


def write_table(path: Path, rows: int, columns: int) -> None:
    """A table of numbers whose target depends on three of them, with noise, written in pieces."""
    rng = np.random.default_rng(0)
    with path.open("w") as file:
        file.write(",".join([*(f"x{n}" for n in range(columns)), "y"]) + "\n")
        for begin in range(0, rows, 50_000):
            x = rng.uniform(-1, 1, (min(50_000, rows - begin), columns))
            y = np.sin(3 * x[:, 0]) + x[:, 1] ** 2 * x[:, 2] + 0.1 * rng.normal(size=len(x))
            np.savetxt(file, np.column_stack([x, y]), "%.6g", delimiter=",")


def _turns(settings: BeforeSettings, key: str, unit: str | None = None, **job: Any) -> tuple[Row, tuple[Row, Row]]:
    """Medians of the rounds, and of the ratio within a round; with `unit` in multiples of another answer."""
    with _Sides(settings) as sides:
        rounds = [sides.ask(**job) for _ in range(settings.rounds)]
    pairs = [tuple(answer[key] / (answer[unit] if unit else 1) for answer in pair) for pair in rounds]
    before, now = (statistics.median(values) for values in zip(*pairs, strict=True))
    row = {"before": before, "now": now, "unit": key, "ratio": statistics.median(b / a for b, a in pairs)}
    return row, rounds[-1]


def _folders(settings: BeforeSettings) -> tuple[Path, Path]:
    """The other checkout and this one."""
    other = (ROOT / settings.against).resolve()
    if not (other / "src" / "edgewise").is_dir():
        raise ValueError(
            f"{other} is no checkout of edgewise; make one with `git worktree add FOLDER COMMIT` and give it as "
            "--against FOLDER"
        )
    return other, ROOT


def _environment(folder: Path, threads: int | None = None) -> dict[str, str]:
    """Where the process finds edgewise, and its threads; torch's own number without one."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    limits = dict.fromkeys(names, str(threads)) if threads else {}
    return kept | limits | {"PYTHONPATH": str(folder / "src")}


class _Sides:
    """A process of each checkout."""

    def __init__(self, settings: BeforeSettings) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(Path(side.__file__))],
                env=_environment(folder, settings.threads),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for folder in _folders(settings)
        ]

    def __enter__(self) -> _Sides:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.communicate()

    def ask(self, **job: Any) -> tuple[Row, Row]:
        """The answers of the other checkout and of this one, one after the other."""
        return self._answer(0, job), self._answer(1, job)

    def _answer(self, which: int, job: dict[str, Any]) -> Row:
        process = self._processes[which]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {_NAMES[which]} ended during {job}")
        return json.loads(line)


_NAMES = ("the other checkout", "this checkout")


def _command(folder: Path, arguments: Sequence[str]) -> Row:
    """Seconds, peak memory and output of `edgewise ARGUMENTS` by a checkout."""
    with tempfile.TemporaryDirectory() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgewise", *arguments, "--out", str(Path(out) / "run")],
            env=_environment(folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        begun = time.perf_counter()
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"edgewise {' '.join(arguments)} failed in {folder}: {text[-500:]}")
    return {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "wall_seconds": time.perf_counter() - begun,
        "mib": usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20),
        "text": text,
    }


def _accuracies(text: str) -> dict[str, float]:
    """The share of right answers of every model in the table that `edgewise fit` prints."""
    found = re.findall(r"^([A-Za-z][^%:\n]*?) {2,}(\d+\.\d+)%", text, re.MULTILINE)
    return {name: float(percent) / 100 for name, percent in found}


STUDY: Study[Any] = Study(
    name="before",
    title="Processor time, errors and memory beside an earlier checkout of edgewise",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=BeforeSettings(),
    seeds=(0,),
)
