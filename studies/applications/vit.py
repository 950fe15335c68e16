"""Images seen by a small vision transformer: curves in its feed-forward blocks against an MLP.

FashionMNIST with 10,000 images to train on and 5,000 to test on, 49 tokens of 4 x 4 pixels; and CIFAR-10 where its file
is named. All feed-forward blocks have as many parameters; each learning rate is the better of two on held-out images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from edgewise.bases import Basis, Chebyshev
from edgewise.compare import race
from edgewise.models.kan_vit import KANViT
from studies.applications import classification
from studies.races import Race
from studies.study import Settings, option

FEED_FORWARD: dict[str, str | Basis] = {
    "ViT, MLP": "mlp",
    "ViT, rational units": "rational",
    "ViT, Chebyshev": Chebyshev(3),
}


@dataclass(frozen=True)
class TransformerSettings(Settings):
    """Settings of the race of transformers."""

    datasets: tuple[str, ...] = option(("FashionMNIST",), "data sets", choices=classification.DATASETS, selects=True)
    features: int = option(48, "width of a token")
    steps: int = option(300, "training steps")
    rates: tuple[float, ...] = option((5e-3, 1e-2), "learning rates that are tried")


def race_of(data: classification.Split, settings: TransformerSettings) -> Race:
    """The race on these images."""
    entries = {
        name: [race.Entry(name, partial(_seeded, data, settings.features, kind), lr=rate) for rate in settings.rates]
        for name, kind in FEED_FORWARD.items()
    }
    rehearsal = classification.task(classification.rehearsal(data))
    return Race(entries, classification.task(data), rehearsal, settings.steps, tuning_seed=0)


def _seeded(data: classification.Split, features: int, feed_forward: str | Basis, seed: int) -> nn.Module:
    _, channels, size, _ = data.x.shape
    generator = torch.Generator().manual_seed(seed)
    return KANViT(
        size, 4, channels, len(data.classes), features=features, feed_forward=feed_forward, generator=generator
    )


STUDY = classification.image_study(
    "vit",
    "A small vision transformer with curves in its feed-forward blocks: accuracy in %",
    FEED_FORWARD,
    race_of,
    TransformerSettings(),
)
