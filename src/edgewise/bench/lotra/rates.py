"""Which rule of learning rates transfers over widths and tasks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.bench.lotra.common import TASKS, mse, pretrained, rng, summary, train, uniform
from edgewise.fit import fit

STEPS = 100
WIDTHS = (16, 64, 192)
LRS = {
    "mup": (0.1, 0.3, 1.0),
    "calibrated": (0.1, 0.3, 1.0),
    "relative": (0.03, 0.1, 0.3),
    "identical": (0.01, 0.03, 0.1),
}


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Rules of learning rates over widths and tasks: MSE after 100 steps on 256 points, ranks (6, 4, 6); L-BFGS too."""
    found: dict[tuple[str, int, str, float], list[tuple[float, float, float]]] = {}
    for n in WIDTHS:
        for seed in seeds:
            base = pretrained(n, seed)
            x, test = uniform(256, 4, rng(seed + 100)), uniform(2000, 4, rng(seed + 200))
            for task, target in TASKS.items():
                y = target(x)
                on_test = mse(test, target(test))
                for rule, lr in [("L-BFGS", 0.0), *((rule, lr) for rule, lrs in LRS.items() for lr in lrs)]:
                    model = add_lotra(base, {"layers.1": (6, 4, 6), "*": None}, generator=rng(seed))
                    start = time.process_time()
                    if rule == "L-BFGS":
                        model = fit(model, (x, y), optimizer="lbfgs", steps=STEPS).model
                    else:
                        train(model, lotra_groups(model, lr, rule=rule, loss=mse(x, y)), mse(x, y), STEPS)
                    seconds = time.process_time() - start
                    outcome = mse(x, y)(model).item(), on_test(model).item(), seconds
                    found.setdefault((task, n, rule, lr), []).append(outcome)
    return [
        {
            "task": task,
            "width": n,
            "rule": rule,
            "lr": lr,
            **summary("train", [outcome[0] for outcome in outcomes]),
            **summary("test", [outcome[1] for outcome in outcomes]),
            "seconds": summary("s", [outcome[2] for outcome in outcomes])["s median"],
        }
        for (task, n, rule, lr), outcomes in sorted(found.items())
    ]
