"""Which rule of learning rates transfers over widths and tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.nn import KAN
from edgewise.training import FirstOrder, LevenbergMarquardt, fit
from studies.lotra.common import TASKS, mse, pretrained, rng, summary, train, uniform
from studies.lotra.journal import Journal, Outcome

STEPS = 100
WIDTHS = (16, 64, 192, 512)
SECOND_ORDER_STEPS = 20
WIDEST = {"L-BFGS": 192, "LM": 64}
"""Of the optimisers without rates. LM takes up to 2,000 numbers."""
RANKS = {"layers.1": (6, 4, 6), "*": (8, 4, 8)}
LRS = {
    "mup": (0.1, 0.3, 1.0),
    "calibrated": (0.1, 0.3, 1.0),
    "relative": (0.03, 0.1, 0.3),
    "identical": (0.01, 0.03, 0.1),
}


def study(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """Rules of learning rates over widths and tasks: MSE after 100 steps on 256 points; L-BFGS and LM beside."""
    found: dict[tuple[str, int, str, float], list[Outcome]] = {}
    for n in WIDTHS:
        for seed in seeds:
            base = cache(partial(pretrained, n, seed))
            for task in TASKS:
                for rule, lr in _tries(n):
                    key = f"seed {seed}, width {n}, {task}, {rule}, {lr}, {STEPS} steps"
                    outcome = once(key, partial(_measured, base, task, rule, lr, seed))
                    found.setdefault((task, n, rule, lr), []).append(outcome)
    return [
        {
            "task": task,
            "width": n,
            "rule": rule,
            "lr": lr,
            **summary("train", [outcome["train"] for outcome in outcomes]),
            **summary("test", [outcome["test"] for outcome in outcomes]),
            "seconds": summary("s", [outcome["seconds"] for outcome in outcomes])["s median"],
        }
        for (task, n, rule, lr), outcomes in sorted(found.items())
    ]


def _tries(n: int) -> list[tuple[str, float]]:
    """Rules with their rates; L-BFGS and Levenberg-Marquardt, which have none, where they take seconds."""
    tries = [(rule, lr) for rule, lrs in LRS.items() for lr in lrs]
    return [*[(name, 0.0) for name, widest in WIDEST.items() if n <= widest], *tries]


def _measured(base: Callable[[], KAN], task: str, rule: str, lr: float, seed: int) -> Outcome:
    x, test = uniform(256, 4, rng(seed + 100)), uniform(2000, 4, rng(seed + 200))
    target = TASKS[task]
    loss, on_test = mse(x, target(x)), mse(test, target(test))
    model = add_lotra(base(), RANKS, generator=rng(seed))
    start = time.process_time()
    if rule == "L-BFGS":
        model = fit(model, (x, target(x)), FirstOrder("lbfgs", steps=STEPS)).model
    elif rule == "LM":
        model = fit(model, (x, target(x)), LevenbergMarquardt(steps=SECOND_ORDER_STEPS)).model
    else:
        train(model, lotra_groups(model, lr, rule=rule, loss=loss), loss, STEPS)
    seconds = time.process_time() - start
    with torch.no_grad():
        return {"train": loss(model).item(), "test": on_test(model).item(), "seconds": seconds}
