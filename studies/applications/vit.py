"""Clothes and photographs seen by a small vision transformer: curves in its feed-forward blocks beside the perceptron.

FashionMNIST with 10,000 pictures to learn from and 5,000 to test on, 49 tokens of 4 x 4 pixels; and CIFAR-10 where its
file is named. All feed-forward blocks have as many parameters; each learning rate is the better of two on pictures
held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from edgewise.bases import Basis, Chebyshev
from edgewise.compare import race
from edgewise.models.kan_vit import KANViT
from studies import timing
from studies.applications import pictures

STEPS = 300
FEATURES = 48
RATES = (5e-3, 1e-2)
FEED_FORWARD: dict[str, str | Basis] = {
    "ViT, perceptron": "mlp",
    "ViT, rational units": "rational",
    "ViT, Chebyshev": Chebyshev(3),
}


def main(cifar: str | None = None, seeds: int = 3) -> None:
    """The study: a table, `vit.json` and the confusions.

    Args:
        cifar: file of CIFAR-10 (see `load_cifar10`), by default the environment's EDGEWISE_CIFAR10; without it, that
            part is left out.
        seeds: runs per model and budget.
    """
    timing.begin_study()
    rows: list[dict[str, Any]] = []
    times: dict[str, Any] = {}
    for name, data in pictures.parts(cifar).items():
        entries = pictures.tuned(networks(data), data, RATES, steps=STEPS // 2)
        found, times[name], models = study(entries, data, seeds=seeds)
        rows += [{**row, "name": f"{name}: {row['name']}"} for row in found]
        pictures.draw_answers(models, data, timing.RESULTS / f"vit_{name}.png")
    timing.write_rows("vit", "accuracy in %", rows, step=times)
    print(race.table(rows, "accuracy in %"))
    for name, step in times.items():
        print(f"{name}: training steps take", ", ".join(f"{1 / t.speed:.2f} ({n})" for n, t in step.items()))


def study(
    entries: Sequence[race.Entry], data: pictures.Split, *, steps: int = STEPS, seeds: int = 3, rounds: int = 20
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, nn.Module]]:
    """The rows of the race, the times of a training step, and the networks of seed 0."""
    job = pictures.task(data)
    times = race.step_times(entries, job, rounds=rounds)
    entries, models = race.remembering(entries)
    return race.race(entries, job, steps=steps, seeds=seeds, times=times), times, models


def networks(data: pictures.Split, features: int = FEATURES) -> list[race.Entry]:
    """The three transformers."""
    return [race.Entry(name, partial(_seeded, data, features, kind)) for name, kind in FEED_FORWARD.items()]


def _seeded(data: pictures.Split, features: int, feed_forward: str | Basis, seed: int) -> nn.Module:
    _, channels, size, _ = data.x.shape
    generator = torch.Generator().manual_seed(seed)
    return KANViT(
        size, 4, channels, len(data.classes), features=features, feed_forward=feed_forward, generator=generator
    )
