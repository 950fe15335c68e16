"""Networks of integers: bytes, accuracy lost on tables, and the time of a call of the C program and of ONNX Runtime.

The accuracy is that of classes on held-out rows: with the network, with 8 bits, and with 8 bits and a codebook. The
ranges come from the training rows. The time is of a network [4, 8, 1] at one row: of the C function alone in a loop, of
the same function from Python, and of ONNX Runtime with one thread on the exported graph from Python; both calls from
Python include the conversion of tensors.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edgewise as ew
from edgewise.compare import count_parameters, timing
from edgewise.exporting.c_header import compiled
from edgewise.nn import Affine
from edgewise.tables.shipped import KNOTS, load_knots
from studies.study import Case, Row, Run, Settings, Study, grid, option

TABLES = ("knots", "digits", "breast cancer")
SETTINGS: dict[str, dict[str, Any]] = {"8 bits": {}, "4 bits": {"bits": 4}, "codebook of 64": {"codebook": 64}}
SPEED = "speed"
ROWS = 1000
HELD = 0.25


@dataclass(frozen=True)
class SmallSettings(Settings):
    """What is measured."""

    tables: tuple[str, ...] = option(TABLES, "tables, some", subset=True)
    speed: bool = option(True, "the time of a call", selects=True)
    steps: int = option(1000, "steps of training")
    rows: int = option(10_000, "rows of a table at most")
    rounds: int = option(25, "rounds of interleaved calls")


def cases(settings: SmallSettings, seeds: Sequence[int]) -> list[Case]:
    """Every table with every seed, then the speed."""
    return grid(table=(*settings.tables, *([SPEED] if settings.speed else [])), seed=seeds)


def measure(case: Case, run: Run[SmallSettings]) -> Row:
    """The accuracy of one network and of its roundings, or the times."""
    if case["table"] == SPEED:
        return speed(case["seed"], run.settings.rounds)
    x, y = table(case["table"])
    order = np.random.default_rng(case["seed"]).permutation(len(y))[: run.settings.rows]
    held = int(HELD * len(order))
    test, train = order[:held], order[held:]
    classes, labels = np.unique(y, return_inverse=True)
    seen, rows, targets = torch.as_tensor(x[train]), torch.as_tensor(x[test]), labels[test]
    network = trained(seen, torch.as_tensor(labels[train]), len(classes), case["seed"], run.settings.steps)
    found: Row = {"parameters": count_parameters(network), "accuracy": _accuracy(network, rows, targets)}
    for name, settings in SETTINGS.items():
        quantized = ew.quantize(network, seen, **settings)
        accuracy = _accuracy(quantized.model, rows, targets)
        found[name] = {"accuracy": accuracy, "bytes": quantized.nbytes, "relative": quantized.relative}
    return found


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The columns of numbers and the classes."""
    from sklearn import datasets

    if name == "knots":
        frame = load_knots()
        target = KNOTS.references[0].target
        columns = [c for c in frame.columns if c != target and frame[c].dtype.kind in "iufb"]
        return frame[columns].to_numpy(float), frame[target].to_numpy(int)
    loaded = datasets.load_digits() if name == "digits" else datasets.load_breast_cancer()
    return loaded.data.astype(float), loaded.target


def trained(x: torch.Tensor, y: torch.Tensor, classes: int, seed: int, steps: int) -> ew.KAN:
    """A network with eight hidden nodes on standardised columns, by Adam."""
    spread = torch.where(x.std(0) > 0, x.std(0), 1.0)
    model = ew.KAN([x.shape[1], 8, classes], grid_range=(-2.0, 2.0), generator=torch.Generator().manual_seed(seed))
    units = Affine((1 / spread).float(), (-x.mean(0) / spread).float())
    method = ew.FirstOrder("adam", lr=1e-2, steps=steps, batch_size=256)
    result = ew.fit(model, (units(x).float(), y), method, loss="cross_entropy", seed=seed)
    return ew.KAN.assemble(result.model.layers, input_affine=units).eval()


def _accuracy(network: Any, x: torch.Tensor, y: np.ndarray) -> float:
    """Points: the percentage of rows whose class is right."""
    with torch.no_grad():
        found = network(x.float()).argmax(-1).numpy()
    return float(100 * (found == y).mean())


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
        session = load_onnx(graph, subject_of(model))
        steps: dict[str, Any] = {"ONNX Runtime": lambda: session(x[:1]), **_bare_calls(graph, x[:1].numpy())}
        for name, call in programs.items():
            steps[name] = timing.Many(lambda call=call: call(x), ROWS)
            steps[f"{name}, from Python"] = lambda call=call: call(x[:1])
        times = timing.interleaved(steps, "ONNX Runtime", rounds=rounds)
    return {"bytes": quantized.nbytes, "times": {name: asdict(found) for name, found in times.items()}}


def _bare_calls(graph: Path, row: np.ndarray) -> dict[str, Any]:
    """Calls of ONNX Runtime without a conversion of tensors: with arrays, and with memory bound beforehand."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    given, wanted = {session.get_inputs()[0].name: row}, [session.get_outputs()[0].name]
    binding = session.io_binding()
    for name, array in given.items():
        binding.bind_cpu_input(name, array)
    binding.bind_ortvalue_output(wanted[0], onnxruntime.OrtValue.ortvalue_from_shape_and_type([1, 1], np.float32))
    return {
        "ONNX Runtime, arrays": lambda: session.run(wanted, given),
        "ONNX Runtime, bound": timing.Many(lambda: [session.run_with_iobinding(binding) for _ in range(100)], 100),
    }


def summarise(rows: list[Row]) -> list[Row]:
    """Of every table the accuracies and the median and worst loss; of the speed the ratios."""
    found: list[Row] = []
    for name in dict.fromkeys(row["table"] for row in rows):
        own = [row for row in rows if row["table"] == name]
        if name == SPEED:
            found += [_speeds(own, which) for which in own[0]["times"]]
            continue
        for which in SETTINGS:
            lost = [row["accuracy"] - row[which]["accuracy"] for row in own]
            found.append(
                {
                    "what": f"{name}, {which}",
                    "bytes": own[0][which]["bytes"],
                    "accuracy": statistics.median(row["accuracy"] for row in own),
                    "points lost": statistics.median(lost),
                    "worst": max(lost),
                }
            )
    return found


def _speeds(rows: list[Row], which: str) -> Row:
    times = [row["times"][which] for row in rows]
    micro = statistics.median(1000 * time["median_ms"] for time in times)
    ratio = statistics.median(time["speed"] for time in times)
    size = rows[0]["bytes"] if which.startswith("C, 8 bits") else None
    return {"what": f"[4, 8, 1], {which}", "bytes": size, "microseconds": micro, "times faster": ratio}


STUDY = Study(
    name="small",
    title="Networks of integers: bytes, accuracy lost and time of a call",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=SmallSettings(),
    tiny=SmallSettings(tables=("breast cancer",), speed=False, steps=5, rows=60, rounds=1),
    seeds=(0, 1, 2),
)
