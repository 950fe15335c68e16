"""One task after another: the error on the first ones at the end, with one network and with an adapter per task."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from edgewise.adapters import adapter_state, add_lotra, load_adapter, lotra_groups
from edgewise.compare import count_parameters
from studies.lotra.common import TASKS, everything, mse, pretrained, rng, train, uniform, wave
from studies.lotra.curves import Curves
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import median_and_worst

METHODS = ("one network", "adapters")


@dataclass(frozen=True)
class SequenceSettings(Settings):
    """Settings of the tasks in turn."""

    width: int = option(32, "width of the hidden layers")
    steps: int = option(200, "steps on every task")


def cases(settings: SequenceSettings, seeds: Sequence[int]) -> list[Case]:
    """All tasks in turn for every seed."""
    return grid(seed=seeds)


def measure(case: Case, run: Run[SequenceSettings]) -> Row:
    """Test MSE of every task at the end, and the parameters stored, of both methods."""
    seed, steps = case["seed"], run.settings.steps
    base, test = pretrained(run.settings.width, seed, steps), uniform(2000, 4, rng(seed + 200))
    single, adapters = copy.deepcopy(base), {}
    for task, target in TASKS.items():
        x = uniform(512, 4, rng(seed + 100))
        train(single, everything(single, 0.01), mse(x, target(x)), steps)
        tuned = add_lotra(base, {"layers.1": (6, 4, 6), "*": (8, 4, 8)}, generator=rng(seed))
        train(tuned, lotra_groups(tuned, 0.3), mse(x, target(x)), steps)
        adapters[task] = adapter_state(tuned)
    size = count_parameters(base)
    one: Row = {"parameters_stored": size}
    many: Row = {"parameters_stored": size + sum(state.numel() for state in adapters.values())}
    for task, target in {"before": wave, **TASKS}.items():
        loss = mse(test, target(test))
        one[task] = loss(single).item()
        many[task] = loss(load_adapter(base, adapters[task]) if task in adapters else base).item()
    return {"one_network": one, "adapters": many}


def summarise(rows: list[Row]) -> list[Row]:
    """Every task and method: test MSE at the end."""
    return [_method_summary(rows, task, method) for task in ("before", *TASKS) for method in METHODS]


def _method_summary(rows: list[Row], task: str, method: str) -> Row:
    found = [row[method.replace(" ", "_")] for row in rows]
    median, worst = median_and_worst([values[task] for values in found])
    stored = found[0]["parameters_stored"]
    row = {"method": method, "task": task, "parameters_stored": stored, "seeds": len(rows)}
    return row | {"mse_median": median, "mse_worst": worst}


STUDY = Study(
    name="lotra-sequential",
    title="Four tasks in turn: test MSE of each at the end, one fine-tuned network against adapters",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=Curves("task", ("mse_median",), lambda row: row["method"], log="y", lines=False, label="test MSE").draw,
    settings=SequenceSettings(),
    tiny=SequenceSettings(8, 2),
)
