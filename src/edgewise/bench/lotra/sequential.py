"""One task after another: what is left of the first ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from edgewise.adapters import adapter_state, add_lotra, load_adapter, lotra_groups
from edgewise.bench.lotra.common import (
    TASKS,
    everything,
    mse,
    pretrained,
    rng,
    summary,
    train,
    uniform,
    wave,
)
from edgewise.fit.module import trained_numel


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """Four tasks in turn: test MSE of each at the end, one network fine-tuned on against one adapter per task."""
    tasks = {"before": wave, **TASKS}
    found: dict[tuple[str, str], list[float]] = {}
    stored: dict[str, int] = {}
    for seed in seeds:
        base, test = pretrained(32, seed), uniform(2000, 4, rng(seed + 200))
        single, adapters = copy.deepcopy(base), {}
        stored["one network"] = trained_numel(single)
        for task, target in TASKS.items():
            x = uniform(512, 4, rng(seed + 100))
            train(single, everything(single, 0.01), mse(x, target(x)), 200)
            tuned = add_lotra(base, {"layers.1": (6, 4, 6), "*": None}, generator=rng(seed))
            train(tuned, lotra_groups(tuned, 0.3), mse(x, target(x)), 200)
            adapters[task] = adapter_state(tuned)
        stored["adapters"] = trained_numel(base) + sum(state.numel() for state in adapters.values())
        for task, target in tasks.items():
            model = load_adapter(base, adapters[task]) if task in adapters else base
            loss = mse(test, target(test))
            found.setdefault(("one network", task), []).append(loss(single).item())
            found.setdefault(("adapters", task), []).append(loss(model).item())
    return [
        {"method": method, "task": task, "numbers stored": stored[method], **summary("test MSE", errors)}
        for (method, task), errors in found.items()
    ]
