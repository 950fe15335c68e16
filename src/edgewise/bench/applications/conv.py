"""Clothes and photographs: three convolutions of curves beside three ordinary ones with as many parameters.

FashionMNIST with 10,000 pictures to learn from and 5,000 to test on, four passes; and, where its file is named,
CIFAR-10. Both networks have batch normalisation; each learning rate is the best of three on pictures held out.

The curves are lines with one hinge. At equal size every further function per tap costs channels, and channels won on
this budget: one function beside the residual was better than three, Gaussians or hinges.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from edgewise.bases import Basis, Hinge
from edgewise.bench import timing
from edgewise.bench.applications import pictures, race
from edgewise.nn import KANConv2d

PARAMETERS = 19_200
STEPS = 624
RATES = (0.005, 0.015, 0.04)
BASIS, RESIDUAL = Hinge(1), "identity"
"""The basis of the study and the function beside it."""


def main(cifar: str | None = None, seeds: int = 3) -> None:
    """The study: a table, `conv.json` and the confusions.

    Args:
        cifar: file of CIFAR-10 (see `load_cifar10`), by default the environment's EDGEWISE_CIFAR10; without it, that
            part is left out.
        seeds: runs per model and budget.
    """
    timing.begin_study()
    rows: list[dict[str, Any]] = []
    times: dict[str, Any] = {}
    for name, data in pictures.parts(cifar).items():
        found, times[name] = study(data, seeds=seeds)
        rows += [{**row, "name": f"{name}: {row['name']}"} for row in found]
        rates = {row["name"]: row["lr"] for row in found}
        pictures.draw_answers(networks(data), rates, data, STEPS, timing.RESULTS / f"conv_{name}.png")
    race.write("conv", "accuracy in %", rows, step=times)
    print(race.table(rows, "accuracy in %"))
    for name, step in times.items():
        print(f"{name}: a training step of curves takes {step['ratio']:.2f} times that of the CNN")


def study(
    data: pictures.Split, *, steps: int = STEPS, seeds: int = 3, parameters: int = PARAMETERS, rounds: int = 20
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the race, and the times of a training step."""
    entries = pictures.tuned(networks(data, parameters), data, RATES, steps=steps)
    job = pictures.task(data)
    rows = race.race(entries, job, steps=steps, seeds=seeds, yardstick=entries[0].name)
    times = race.step_times(entries, job, entries[0].name, rounds=rounds)
    return rows, {**times, "ratio": 1 / times[entries[1].name].speed}


def networks(data: pictures.Split, parameters: int = PARAMETERS) -> list[race.Entry]:
    """The CNN and the network of curves, of about equal size."""
    channels, classes = data.x.shape[1], len(data.classes)
    found = []
    for name, basis in (("CNN", None), ("curves", BASIS)):
        width = pictures.nearest(lambda w, b=basis: convnet(channels, classes, w, b), range(2, 64), parameters)
        found.append(race.Entry(name, partial(_seeded, channels, classes, width, basis)))
    return found


def convnet(
    channels: int, classes: int, width: int, basis: Basis | None, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Three convolutions, of curves or followed by ReLU, strides 2, 2, 1; the mean of the pixels; a linear head."""
    widths = [channels, width, round(1.5 * width), 2 * width]
    layers: list[nn.Module] = []
    for n, stride in enumerate((2, 2, 1)):
        sizes = widths[n], widths[n + 1], 3, stride, 1
        if basis is None:
            layers += [nn.Conv2d(*sizes), nn.BatchNorm2d(widths[n + 1]), nn.ReLU()]
        else:
            layers += [
                KANConv2d(*sizes, basis=basis, residual=RESIDUAL, generator=generator),
                nn.BatchNorm2d(widths[n + 1]),
            ]
    last = [] if basis is None else [nn.SiLU()]
    return nn.Sequential(*layers, *last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))


def _seeded(channels: int, classes: int, width: int, basis: Basis | None, seed: int) -> nn.Module:
    return convnet(channels, classes, width, basis, torch.Generator().manual_seed(seed))
