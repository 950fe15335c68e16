"""Which rule of learning rates transfers over widths and tasks, against L-BFGS and Levenberg-Marquardt."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.training import FirstOrder, LevenbergMarquardt, fit
from studies.lotra.common import TASKS, mse, pretrained, rng, train, uniform
from studies.lotra.curves import Curves
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped, over_seeds

SECOND_ORDER_STEPS = 20
WIDEST = {"L-BFGS": 192, "LM": 64}
"""Of the optimisers without rates. LM takes up to 2,000 parameters."""
RANKS = {"layers.1": (6, 4, 6), "*": (8, 4, 8)}
LRS = {
    "mup": (0.1, 0.3, 1.0),
    "calibrated": (0.1, 0.3, 1.0),
    "relative": (0.03, 0.1, 0.3),
    "identical": (0.01, 0.03, 0.1),
}
KEYS = ("task", "width", "rule", "lr")


@dataclass(frozen=True)
class RateSettings(Settings):
    """Settings of the study of rates."""

    widths: tuple[int, ...] = option((16, 64, 192, 512), "widths of the hidden layers", selects=True)
    tasks: tuple[str, ...] = option(tuple(TASKS), "some", subset=True)
    rules: tuple[str, ...] = option((*WIDEST, *LRS), "some", subset=True)
    steps: int = option(100, "steps of first-order optimisers")


def cases(settings: RateSettings, seeds: Sequence[int]) -> list[Case]:
    """Every width, seed, task, and rule with its rates; L-BFGS and LM, which have none, where they take seconds."""
    return [
        {"width": n, "task": task, "rule": rule, "lr": lr, "seed": seed}
        for n, seed, task, rule in product(settings.widths, seeds, settings.tasks, settings.rules)
        if n <= WIDEST.get(rule, n)
        for lr in LRS.get(rule, (0.0,))
    ]


def measure(case: Case, run: Run[RateSettings]) -> Row:
    """MSE on 256 training points and on 2000 others after the steps, and processor time."""
    seed, rule, steps = case["seed"], case["rule"], run.settings.steps
    x, test = uniform(256, 4, rng(seed + 100)), uniform(2000, 4, rng(seed + 200))
    target = TASKS[case["task"]]
    loss, on_test = mse(x, target(x)), mse(test, target(test))
    model = add_lotra(pretrained(case["width"], seed), RANKS, generator=rng(seed))
    begun = time.process_time()
    if rule == "L-BFGS":
        model = fit(model, (x, target(x)), FirstOrder("lbfgs", steps=steps)).model
    elif rule == "LM":
        model = fit(model, (x, target(x)), LevenbergMarquardt(steps=SECOND_ORDER_STEPS)).model
    else:
        train(model, lotra_groups(model, case["lr"], rule=rule, loss=loss), loss, steps)
    seconds = time.process_time() - begun
    with torch.no_grad():
        return {"train": loss(model).item(), "test": on_test(model).item(), "seconds": seconds}


def summarise(rows: list[Row]) -> list[Row]:
    """Every task, width, rule and rate: training and test MSE, and the median seconds."""
    rows = sorted(rows, key=lambda row: [row[key] for key in KEYS])
    found = over_seeds(rows, KEYS, ("train", "test"))
    for row, group in zip(found, grouped(rows, KEYS), strict=True):
        row["seconds"] = statistics.median(r["seconds"] for r in group)
    return found


CURVES = Curves(
    "lr",
    ("test_median",),
    series=lambda row: row["rule"],
    panel=lambda row: f"width {row['width']}, mean of the tasks",
    log="xy",
    label="test MSE",
    top=1.0,
)
STUDY = Study(
    name="lotra-rates",
    title="Rules of learning rates of LoTRA over widths and tasks: MSE after 100 steps on 256 points",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=CURVES.draw,
    settings=RateSettings(),
    tiny=RateSettings((8,), ("shift",), ("mup",), 2),
)
