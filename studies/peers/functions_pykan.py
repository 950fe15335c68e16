"""pykan on the functions of its paper, where it is installed: `python -m studies.peers.functions_pykan`.

The paper's recipe on the samples of `studies.kan_paper.functions`: the paper's shape, cubic splines in float64, L-BFGS,
on grids of 3, 5, 10, 20 and 50 intervals that refine each other, 50 steps on each. The best grid by the error on the
test points counts, which is generous. What takes longer than `SECONDS` ends there, with the grids done so far.
"""

from __future__ import annotations

import logging
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from studies import timing
from studies.kan_paper.functions import TEST, TRAIN
from studies.problems.functions import FUNCTIONS, TargetFunction

_log = logging.getLogger(__name__)

NAMES = ("bessel", "exp-sin", "product", "composed", "ellipj", "kv", "sph11", "I.6.2", "I.12.11", "I.16.6")
GRIDS = (3, 5, 10, 20, 50)
STEPS = 50
SECONDS = 60.0


def run(names: Sequence[str] = NAMES, *, seeds: Sequence[int] = range(2), out: Path = timing.RESULTS) -> Path:
    """`kan-functions-pykan.json`: median and worst of the seeds, CPU seconds, the grids reached."""
    rows, environment = [], timing.environment()
    for name in names:
        runs = [trial(FUNCTIONS[name], seed) for seed in seeds]
        errors = [r["rmse"] for r in runs]
        row = {"function": name, "shape": list(FUNCTIONS[name].shape), "median": statistics.median(errors)}
        rows.append(row | {"worst": max(errors), "runs": runs})
        _log.info("%s: median %.1e, worst %.1e", name, row["median"], max(errors))
    path = out / "kan-functions-pykan.json"
    study = {"study": "kan-functions-pykan", "seconds": SECONDS, "seeds": list(seeds), "rows": rows}
    timing.write({"environment": environment, **study}, path)
    return path


def trial(function: TargetFunction, seed: int) -> dict[str, Any]:
    """One network, grid after grid."""
    try:
        from kan import KAN as PyKAN
    except ImportError as e:
        raise ImportError("this study trains pykan: pip install pykan") from e
    generator = torch.Generator().manual_seed(seed)
    (x, y), (fresh, truth) = (function.sample(count, generator) for count in (TRAIN, TEST))
    data = {"train_input": x, "train_label": y[:, None], "test_input": fresh, "test_label": truth[:, None]}
    begun, errors, default = time.process_time(), {}, torch.get_default_dtype()
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch.set_default_dtype(torch.float64)
            options = {"width": list(function.shape), "k": 3, "seed": seed, "auto_save": False, "ckpt_path": folder}
            model = PyKAN(grid=GRIDS[0], **options)
            for grid in GRIDS:
                model = model if grid == GRIDS[0] else model.refine(grid)
                model.fit(data, opt="LBFGS", steps=STEPS, update_grid=grid == GRIDS[0])
                with torch.no_grad():
                    error = float((model(fresh)[:, 0] - truth).square().mean().sqrt())
                errors[grid] = error if math.isfinite(error) else math.inf
                if time.process_time() - begun > SECONDS:
                    break
        finally:
            torch.set_default_dtype(default)
    best = min(errors, key=errors.__getitem__)
    seconds = round(time.process_time() - begun, 1)
    return {"seed": seed, "rmse": errors[best], "grid": best, "by grid": errors, "cpu seconds": seconds}


def main(names: Sequence[str] = ()) -> None:
    """The named functions, a choice of ten by default."""
    timing.begin_study()
    os.environ.setdefault("TQDM_DISABLE", "1")
    run(names or NAMES)


if __name__ == "__main__":
    main(sys.argv[1:])
