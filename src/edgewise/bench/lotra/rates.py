"""Which rule of learning rates transfers over widths and tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.bench.lotra.common import TASKS, mse, pretrained, rng, summary, train, uniform

WIDTHS = (16, 64, 192)
LRS = {
    "mup": (0.1, 0.3, 1.0),
    "calibrated": (0.1, 0.3, 1.0),
    "relative": (0.03, 0.1, 0.3),
    "identical": (0.01, 0.03, 0.1),
}


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Rules of learning rates over widths and tasks: MSE after 100 steps of Adam on 256 points, ranks (6, 4, 6)."""
    found: dict[tuple[str, int, str, float], list[tuple[float, float]]] = {}
    for n in WIDTHS:
        for seed in seeds:
            base = pretrained(n, seed)
            x, test = uniform(256, 4, rng(seed + 100)), uniform(2000, 4, rng(seed + 200))
            for task, target in TASKS.items():
                on_train, on_test = mse(x, target(x)), mse(test, target(test))
                for rule, lr in ((rule, lr) for rule, lrs in LRS.items() for lr in lrs):
                    model = add_lotra(base, {"layers.1": (6, 4, 6), "*": None}, generator=rng(seed))
                    train(model, lotra_groups(model, lr, rule=rule, loss=on_train), on_train, 100)
                    pair = on_train(model).item(), on_test(model).item()
                    found.setdefault((task, n, rule, lr), []).append(pair)
    return [
        {
            "task": task,
            "width": n,
            "rule": rule,
            "lr": lr,
            **summary("train", [pair[0] for pair in pairs]),
            **summary("test", [pair[1] for pair in pairs]),
        }
        for (task, n, rule, lr), pairs in sorted(found.items())
    ]
