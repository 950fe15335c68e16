"""Networks of integers: bytes, accuracy lost, and the time of a call of the C program and of ONNX Runtime.

The accuracy is in points on rows that were held out: the percentage of right classes, or 100 R² of a forecast. It is
measured with the network, with 8 bits, with 4, and with 8 bits and a codebook. The ranges come from training rows.

The time is of a network [4, 8, 1], row by row: of the C function and of ONNX Runtime's `Run`, both called 1,000 times
by a loop in C, one thread; and of the same two from Python, with the conversion of tensors.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edgewise as ew
from edgewise.compare import count_parameters, timing
from edgewise.exporting.c_header import compiled
from studies.runtimes.onnx_in_c import session_in_c
from studies.runtimes.trained import Trained, on_images, on_series, on_table
from studies.study import Case, Row, Run, Settings, Study, grid, option

IMAGES, SERIES = "FashionMNIST, slim", "ETTh1"
DATA = ("knots", IMAGES, SERIES, "digits", "breast cancer")
SETTINGS: dict[str, dict[str, Any]] = {"8 bits": {}, "4 bits": {"bits": 4}, "codebook of 64": {"codebook": 64}}
SPEED, BASELINE = "speed", "ONNX Runtime"
ROWS = 1000


@dataclass(frozen=True)
class SmallSettings(Settings):
    """What is measured."""

    data: tuple[str, ...] = option(DATA, "data, some", subset=True)
    speed: bool = option(True, "the time of a call", selects=True)
    steps: int = option(1000, "steps of training on a table")
    rows: int = option(10_000, "rows of a table at most")
    rounds: int = option(25, "rounds of interleaved calls")


def cases(settings: SmallSettings, seeds: Sequence[int]) -> list[Case]:
    """All data and the speed, with one seed after the other."""
    return grid(seed=seeds, data=(*settings.data, *([SPEED] if settings.speed else [])))


def measure(case: Case, run: Run[SmallSettings]) -> Row:
    """The points of one network and of its roundings, or the times."""
    if case["data"] == SPEED:
        return speed(case["seed"], run.settings.rounds)
    given = trained(case["data"], case["seed"], run.settings)
    found: Row = {"parameters": count_parameters(given.network), **given.score(given.network)}
    for name, settings in SETTINGS.items():
        quantized = ew.quantize(given.network, given.seen, **settings)
        sizes = {"bytes": quantized.nbytes, "relative": quantized.relative}
        found[name] = {**given.score(quantized.model), **sizes}
    return found


def trained(name: str, seed: int, settings: SmallSettings) -> Trained:
    """The network of these data."""
    if name == IMAGES:
        return on_images(seed)
    return on_series(seed) if name == SERIES else on_table(name, seed, settings.steps, settings.rows)


def speed(seed: int, rounds: int) -> Row:
    """Milliseconds of a row in the C programs and in ONNX Runtime."""
    from edgewise.exporting.onnx_file import load_onnx
    from edgewise.exporting.subject import subject_of

    generator = torch.Generator().manual_seed(seed)
    model = ew.KAN([4, 8, 1], generator=generator).eval()
    x = 2 * torch.rand(ROWS, 4, generator=generator) - 1
    quantized = ew.quantize(model, x)
    with tempfile.TemporaryDirectory() as folder:
        whole, real, graph = (Path(folder) / name for name in ("whole.h", "real.h", "graph.onnx"))
        ew.export(quantized.model, whole, format="c", tolerance=0.0)
        ew.export(model, real, format="c")
        ew.export(model, graph, format="onnx")
        programs = {"C, 8 bits": compiled(whole, 4, 1), "C, float tables": compiled(real, 4, 1)}
        looped, called = session_in_c(graph, 4, 1), load_onnx(graph, subject_of(model))
        np.testing.assert_allclose(looped(x.numpy()), model(x).detach(), atol=1e-5)
        steps: dict[str, Any] = {BASELINE: timing.Many(partial(looped, x.numpy()), ROWS)}
        steps |= {name: timing.Many(partial(call, x), ROWS) for name, call in programs.items()}
        steps[f"{BASELINE}, from Python"] = partial(called, x[:1])
        steps |= {f"{name}, from Python": partial(call, x[:1]) for name, call in programs.items()}
        times = timing.interleaved(steps, BASELINE, rounds=rounds)
    return {"bytes": quantized.nbytes, "times": {name: asdict(found) for name, found in times.items()}}


def summarise(rows: list[Row]) -> list[Row]:
    """Of all data the points and the median and worst loss; of the speed the ratios."""
    found: list[Row] = []
    for name in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == name]
        if name == SPEED:
            found += [_speeds(own, which) for which in own[0]["times"]]
        else:
            found += [_losses(name, own, which) for which in SETTINGS]
    return found


def _losses(name: str, rows: list[Row], which: str) -> Row:
    lost = [row["points"] - row[which]["points"] for row in rows]
    found: Row = {
        "what": f"{name}, {which}",
        "bytes": rows[0][which]["bytes"],
        "points": statistics.median(row["points"] for row in rows),
        "points lost": statistics.median(lost),
        "worst": max(lost),
    }
    if "MSE" in rows[0]:
        found["MSE more, %"] = statistics.median(100 * (row[which]["MSE"] / row["MSE"] - 1) for row in rows)
    return found


def _speeds(rows: list[Row], which: str) -> Row:
    times = [row["times"][which] for row in rows]
    micro = statistics.median(1000 * time["median_ms"] for time in times)
    ratio = statistics.median(time["speed"] for time in times)
    size = rows[0]["bytes"] if which == "C, 8 bits" else None
    return {"what": f"[4, 8, 1], {which}", "bytes": size, "microseconds": micro, "times faster": ratio}


STUDY = Study(
    name="small",
    title="Networks of integers: bytes, accuracy lost and time of a call",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=SmallSettings(),
    tiny=SmallSettings(data=("breast cancer",), speed=False, steps=5, rows=60, rounds=1),
    seeds=(0, 1, 2),
)
