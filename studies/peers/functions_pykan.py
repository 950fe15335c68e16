"""pykan on the functions of the KAN paper, where pykan is installed.

The paper's recipe on the samples of `studies.kan_paper.functions`: the paper's shape, cubic splines in float64, L-BFGS,
on grids of 3, 5, 10, 20 and 50 intervals that refine each other, 50 steps on each. The best grid by the error on the
test points counts, which favours pykan. A fit that takes longer than the time limit ends with the grids done so far.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from studies.problems.functions import FUNCTIONS
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import over_seeds

NAMES = ("bessel", "exp-sin", "product", "composed", "ellipj", "kv", "sph11", "I.6.2", "I.12.11", "I.16.6")


@dataclass(frozen=True)
class PykanSettings(Settings):
    """Settings of pykan's fits."""

    functions: tuple[str, ...] = option(NAMES, "some", choices=tuple(FUNCTIONS), selects=True)
    train: int = option(2000, "number of training samples")
    test: int = option(5000, "number of test samples")
    grids: tuple[int, ...] = option((3, 5, 10, 20, 50), "intervals, from coarse to fine")
    steps: int = option(50, "L-BFGS steps on every grid")
    seconds: float = option(60.0, "processor time of a fit, after which no new grid begins")


def cases(settings: PykanSettings, seeds: Sequence[int]) -> list[Case]:
    """A network for every function and seed."""
    return grid(function=settings.functions, seed=seeds)


def measure(case: Case, run: Run[PykanSettings]) -> Row:
    """One network, grid after grid."""
    try:
        from kan import KAN as PyKAN
    except ImportError as error:
        raise ImportError("this study trains pykan: pip install pykan") from error
    os.environ.setdefault("TQDM_DISABLE", "1")
    function, settings, seed = FUNCTIONS[case["function"]], run.settings, case["seed"]
    generator = torch.Generator().manual_seed(seed)
    (x, y), (fresh, truth) = (function.sample(count, generator) for count in (settings.train, settings.test))
    data = {"train_input": x, "train_label": y[:, None], "test_input": fresh, "test_label": truth[:, None]}
    begun, errors, default = time.process_time(), dict[int, float](), torch.get_default_dtype()
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch.set_default_dtype(torch.float64)
            options = {"width": list(function.shape), "k": 3, "seed": seed, "auto_save": False, "ckpt_path": folder}
            model: Any = PyKAN(grid=settings.grids[0], **options)
            for n, grid in enumerate(settings.grids):
                model = model if n == 0 else model.refine(grid)
                model.fit(data, opt="LBFGS", steps=settings.steps, update_grid=n == 0)
                with torch.no_grad():
                    error = float((model(fresh)[:, 0] - truth).square().mean().sqrt())
                errors[grid] = error if math.isfinite(error) else math.inf
                if time.process_time() - begun > settings.seconds:
                    break
        finally:
            torch.set_default_dtype(default)
    best = min(errors, key=errors.__getitem__)
    seconds = round(time.process_time() - begun, 1)
    shape = list(function.shape)
    return {"shape": shape, "rmse": errors[best], "grid": best, "by_grid": errors, "cpu_seconds": seconds}


def summarise(rows: list[Row]) -> list[Row]:
    """Median and worst RMSE of every function."""
    return over_seeds(rows, ("function",), ("rmse", "cpu_seconds"), keep=("shape",))


STUDY = Study(
    name="kan-functions-pykan",
    title="The KAN paper's functions: test RMSE of pykan by the paper's recipe",
    cases=cases,
    measure=measure,
    summarise=summarise,
    settings=PykanSettings(),
    seeds=(0, 1),
)
