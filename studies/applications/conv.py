r"""Clothes and photographs: three convolutions of curves beside three ordinary ones with as many parameters.

FashionMNIST with 10,000 pictures to learn from and 5,000 to test on, four passes; and, where its file is named,
CIFAR-10. Every network has batch normalisation. There are two kinds of curves. *Curves on taps* have functions of their
own on every tap, which cost channels at equal size. With *rational units* the taps of a channel share one learnt curve,
$\phi_{ocu}(x) = w_{ocu} R_c(x)$ (Yang, Wang, arXiv 2409.10594), which costs ten numbers. What a network is made of, of
three kinds, and the better of two learning rates are chosen on a fifth of the training pictures, for the CNN as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from edgewise.bases import Basis, Gaussian, Hinge
from edgewise.compare import race
from edgewise.nn import GroupRational, KANConv2d
from studies import timing
from studies.applications import pictures

PARAMETERS = 19_200
STEPS = 624
RATES = (0.015, 0.04)


@dataclass(frozen=True)
class Kind:
    """What the layers are made of: an activation for so many channels, or a basis, and the function beside it."""

    activation: Callable[[int], nn.Module] = nn.Identity
    basis: Basis | None = None
    residual: str | None = None


KINDS: dict[str, dict[str, Kind]] = {
    "CNN": {
        "ReLU": Kind(lambda _: nn.ReLU()),
        "SiLU": Kind(lambda _: nn.SiLU()),
        "GELU": Kind(lambda _: nn.GELU()),
    },
    "curves on taps": {
        "a line with a hinge": Kind(basis=Hinge(1), residual="identity"),
        "SiLU and a hinge": Kind(basis=Hinge(1), residual="silu"),
        "two Gaussians": Kind(basis=Gaussian(2)),
    },
    "rational units": {
        "one, from the identity": Kind(lambda width: GroupRational(width, 1, dim=1)),
        "one, from GELU": Kind(lambda width: GroupRational(width, 1, start="gelu", dim=1)),
        "one per channel, from the identity": Kind(lambda width: GroupRational(width, width, dim=1)),
    },
}
"""Three kinds for every contestant."""


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
        entries = chosen(data)
        found, times[name], models = study(entries, data, seeds=seeds)
        rows += [{**row, "name": f"{name}: {row['name']}"} for row in found]
        pictures.draw_answers(models, data, timing.RESULTS / f"conv_{name}.png")
    timing.write_rows("conv", "accuracy in %", rows, step=times)
    print(race.table(rows, "accuracy in %"))
    for name, step in times.items():
        print(f"{name}: training steps take", ", ".join(f"{1 / t.speed:.2f} ({n})" for n, t in step.items()))


def chosen(data: pictures.Split, *, steps: int = STEPS, parameters: int = PARAMETERS) -> list[race.Entry]:
    """The best try of every contestant on pictures held out."""
    rehearsal = pictures.task(pictures.rehearsal(data))
    return [race.best(tries(name, data, parameters), rehearsal, steps=steps // 2) for name in KINDS]


def study(
    entries: Sequence[race.Entry], data: pictures.Split, *, steps: int = STEPS, seeds: int = 3, rounds: int = 20
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, nn.Module]]:
    """The rows of the race, the times of a training step, and the networks of seed 0."""
    job = pictures.task(data)
    times = race.step_times(entries, job, rounds=rounds)
    entries, models = race.remembering(entries)
    return race.race(entries, job, steps=steps, seeds=seeds, times=times), times, models


def tries(name: str, data: pictures.Split, parameters: int = PARAMETERS) -> list[race.Entry]:
    """The kinds of one contestant at about the same size, each with all learning rates."""
    channels, classes = data.x.shape[1], len(data.classes)
    found = []
    for label, kind in KINDS[name].items():
        width = pictures.nearest(lambda w, k=kind: convnet(channels, classes, w, k), range(2, 64), parameters)
        entry = race.Entry(f"{name} ({label})", partial(_seeded, channels, classes, width, kind))
        found += [replace(entry, lr=rate) for rate in RATES]
    return found


def convnet(
    channels: int, classes: int, width: int, kind: Kind, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Three convolutions of one kind, strides 2, 2, 1; the mean of the pixels; a linear head."""
    widths = [channels, width, round(1.5 * width), 2 * width]
    layers: list[nn.Module] = []
    for n, stride in enumerate((2, 2, 1)):
        sizes = widths[n], widths[n + 1], 3, stride, 1
        if kind.basis is None:
            layers += [nn.Conv2d(*sizes), nn.BatchNorm2d(widths[n + 1]), kind.activation(widths[n + 1])]
        else:
            convolution = KANConv2d(*sizes, basis=kind.basis, residual=kind.residual, generator=generator)
            layers += [convolution, nn.BatchNorm2d(widths[n + 1])]
    last = [] if kind.basis is None else [nn.SiLU()]
    model = nn.Sequential(*layers, *last, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
    # in this layout torch's convolutions are faster; those of curves compute their weights and do not mind
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  the overload exists


def _seeded(channels: int, classes: int, width: int, kind: Kind, seed: int) -> nn.Module:
    return convnet(channels, classes, width, kind, torch.Generator().manual_seed(seed))
