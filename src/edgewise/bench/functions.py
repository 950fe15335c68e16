"""`fit` on the functions of the KAN paper: `python -m edgewise.bench.functions toy special feynman`.

2000 samples to train on and 5000 fresh ones to test on, from the boxes of `edgewise.data.functions`; default settings,
one thread. The toys keep the paper's shapes; every special function gets [2, 3, 2, 1] and every Feynman equation
[n, 5, 1], on sampling ranges of ours, for the paper does not state its own: compare orders of magnitude. Every seed
draws its own samples.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from edgewise._version import __version__
from edgewise.data.functions import FUNCTIONS, TargetFunction
from edgewise.fit import fit
from edgewise.nn import KAN

_log = logging.getLogger(__name__)

TRAIN, TEST = 2000, 5000
HIDDEN = {"special": (3, 2), "feynman": (5,)}
RESULTS = Path("benchmarks/results")


def run(
    groups: Iterable[str] = ("toy", "special", "feynman"), *, seeds: Sequence[int] = range(5), out: Path = RESULTS
) -> list[Path]:
    """Run these groups and write one JSON file for each: per function the median and the worst seed."""
    written = []
    for group in groups:
        functions = [f for f in FUNCTIONS.values() if f.group == group]
        if not functions:
            raise ValueError(f"there are no functions {group!r}; choose among toy, special, feynman")
        rows = [row(f, seeds) for f in functions]
        path = out / f"kan-functions-{group}.json"
        _write(path, {**_circumstances(), "study": f"kan-functions-{group}", "seeds": list(seeds), "rows": rows})
        written.append(path)
    return written


def row(function: TargetFunction, seeds: Sequence[int]) -> dict[str, Any]:
    """One function over the seeds: test RMSE, CPU seconds, parameters."""
    hidden = HIDDEN.get(function.group)
    shape = function.shape if hidden is None else (function.variables, *hidden, 1)
    runs = [trial(function, shape, seed) for seed in seeds]
    errors = [r["rmse"] for r in runs]
    median = statistics.median(errors)
    _log.info("%s %s: median %.2e, worst %.2e", function.name, list(shape), median, max(errors))
    return {
        "function": function.name,
        "shape": list(shape),
        "median": median,
        "worst": max(errors),
        "paper": function.paper,
        "runs": runs,
    }


def trial(function: TargetFunction, shape: Sequence[int], seed: int) -> dict[str, Any]:
    """One fit with default settings on one draw of the samples."""
    generator = torch.Generator().manual_seed(seed)
    x, y = function.sample(TRAIN, generator)
    fresh, truth = function.sample(TEST, generator)
    start = time.process_time()
    result = fit(KAN(list(shape), generator=generator), (x, y), seed=seed)
    seconds = time.process_time() - start
    with torch.no_grad():
        error = (result.model(fresh)[:, 0] - truth).abs()
    return {
        "seed": seed,
        "rmse": float(error.square().mean().sqrt()),
        "median absolute error": float(error.median()),
        "cpu seconds": round(seconds, 2),
        "parameters": result.report["parameters"],
        "basis": result.report["basis"],
    }


def _circumstances() -> dict[str, Any]:
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {
        "edgewise": __version__,
        "torch": torch.__version__,
        "commit": commit.stdout.strip() or None,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "train": TRAIN,
        "test": TEST,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(aside, path)


def main(groups: Sequence[str] = ()) -> None:
    """`edgewise reproduce kan-functions`: the named groups of functions, all of them by default."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("edgewise.fit").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    run(groups or ("toy", "special", "feynman"))


if __name__ == "__main__":
    main(sys.argv[1:])
