"""One task after another: what is left of the first ones."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any

from edgewise.adapters import adapter_state, add_lotra, load_adapter, lotra_groups
from edgewise.compare import count_parameters
from studies.lotra.common import (
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
from studies.lotra.journal import Journal, Outcome


def study(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """Four tasks in turn: test MSE of each at the end, one network fine-tuned on against one adapter per task."""
    outcomes = [once(f"seed {seed}", partial(_measured, seed)) for seed in seeds]
    return [
        {
            "method": method,
            "task": task,
            "numbers stored": outcomes[0][f"{method}, numbers"],
            **summary("test MSE", [outcome[f"{method}, {task}"] for outcome in outcomes]),
        }
        for task in ("before", *TASKS)
        for method in ("one network", "adapters")
    ]


def _measured(seed: int) -> Outcome:
    base, test = pretrained(32, seed), uniform(2000, 4, rng(seed + 200))
    single, adapters = copy.deepcopy(base), {}
    for task, target in TASKS.items():
        x = uniform(512, 4, rng(seed + 100))
        train(single, everything(single, 0.01), mse(x, target(x)), 200)
        tuned = add_lotra(base, {"layers.1": (6, 4, 6), "*": (8, 4, 8)}, generator=rng(seed))
        train(tuned, lotra_groups(tuned, 0.3), mse(x, target(x)), 200)
        adapters[task] = adapter_state(tuned)
    numel = count_parameters(base)
    outcome: Outcome = {"one network, numbers": numel}
    outcome["adapters, numbers"] = numel + sum(state.numel() for state in adapters.values())
    for task, target in {"before": wave, **TASKS}.items():
        model = load_adapter(base, adapters[task]) if task in adapters else base
        loss = mse(test, target(test))
        outcome[f"one network, {task}"] = loss(single).item()
        outcome[f"adapters, {task}"] = loss(model).item()
    return outcome
