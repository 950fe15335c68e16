"""Processor time of a training step of an adapter, against one of all coefficients."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.nn import KANLinear
from studies.lotra.common import everything, rng, uniform
from studies.lotra.curves import Curves
from studies.study import Case, Row, Run, Settings, Study, option

BATCH = {64: 1024, 128: 1024, 256: 1024, 512: 1024, 1024: 128}
COLUMNS = ("n", "batch", "input_gradient", "full_ms", "lotra_ms", "times_faster")


@dataclass(frozen=True)
class StepSettings(Settings):
    """Settings of the timing of steps."""

    sizes: tuple[int, ...] = option(tuple(BATCH), "inputs and outputs of the layer, some", subset=True)
    rounds: int = option(17, "rounds of steps that alternate; the first two are not counted")


def cases(settings: StepSettings, seeds: Sequence[int]) -> list[Case]:
    """Every size, without and with the gradient of the inputs; the seed draws layer and inputs."""
    return [
        {"n": n, "batch": BATCH[n], "input_gradient": gradient, "seed": seed}
        for n in settings.sizes
        for gradient in (False, True)
        for seed in seeds
    ]


def measure(case: Case, run: Run[StepSettings]) -> Row:
    """Medians over steps that alternate."""
    n, seed = case["n"], case["seed"]
    layer = KANLinear(n, n, generator=rng(seed))
    adapted = add_lotra(layer, generator=rng(seed + 1))
    x = uniform(case["batch"], n, rng(seed + 2)).requires_grad_(case["input_gradient"])
    steps = [_step(layer, everything(layer, 1e-3), x), _step(adapted, lotra_groups(adapted), x)]
    times: list[list[float]] = [[], []]
    for _ in range(run.settings.rounds):
        for spent, step in zip(times, steps, strict=True):
            begun = time.process_time()
            step()
            spent.append(time.process_time() - begun)
    full, low = (1e3 * statistics.median(spent[2:]) for spent in times)
    return {"full_ms": full, "lotra_ms": low, "times_faster": full / low}


def summarise(rows: list[Row]) -> list[Row]:
    """Every size."""
    return [{key: row[key] for key in COLUMNS} for row in rows]


def _step(model: nn.Module, groups: Any, x: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(groups)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(x).square().mean().backward()
        optimizer.step()

    return step


CURVES = Curves(
    "n",
    ("times_faster",),
    series=lambda row: "with the gradient of x" if row["input_gradient"] else "without",
    log="x",
    label="times faster than all coefficients",
)
STUDY = Study(
    name="lotra-step",
    title="A step of Adam on one n x n layer with 5 intervals: all coefficients against LoTRA (8, 4, 8)",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=CURVES.draw,
    settings=StepSettings(),
    seeds=(0,),
    tiny=StepSettings((64,), 3),
)
