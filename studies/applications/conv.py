r"""Three convolutions of curves against three ordinary ones with as many parameters, on images.

FashionMNIST with 10,000 images to train on and 5,000 to test on, four epochs; and CIFAR-10, where its file is named.
Every network has batch normalisation. There are two kinds of curves. *Curves on taps* have functions of their own on
every tap, which cost channels at equal size. With *rational units* the taps of a channel share one trained curve,
$\phi_{ocu}(x) = w_{ocu} R_c(x)$ (Yang, Wang, arXiv 2409.10594), which costs ten parameters. What a network is made of,
of three kinds, and the better of two learning rates are chosen on a fifth of the training images, for the CNN as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from edgewise.bases import Basis, Gaussian, Hinge
from edgewise.compare import race
from edgewise.nn import GroupRational, KANConv2d
from studies.applications import classification
from studies.races import Race
from studies.study import Settings, option


@dataclass(frozen=True)
class ConvSettings(Settings):
    """Settings of the race of convolutions."""

    datasets: tuple[str, ...] = option(("FashionMNIST",), "data sets", choices=classification.DATASETS, selects=True)
    parameters: int = option(19_200, "size of every network")
    steps: int = option(624, "training steps")
    rates: tuple[float, ...] = option((0.015, 0.04), "learning rates that are tried")


@dataclass(frozen=True)
class Kind:
    """What the layers are made of: an activation for so many channels, or a basis and its residual function."""

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
"""Three kinds for every model."""


def race_of(data: classification.Split, settings: ConvSettings) -> Race:
    """The race on these images."""
    entries = {name: tries(name, data, settings) for name in KINDS}
    rehearsal = classification.task(classification.rehearsal(data))
    return Race(entries, classification.task(data), rehearsal, settings.steps, tuning_seed=0)


def tries(name: str, data: classification.Split, settings: ConvSettings) -> list[race.Entry]:
    """The kinds of one model at about the same size, each with all learning rates."""
    channels, classes = data.x.shape[1], len(data.classes)
    found = []
    for label, kind in KINDS[name].items():
        build = partial(convnet, channels, classes, kind=kind)
        width = classification.nearest(build, range(2, 64), settings.parameters)
        entry = race.Entry(f"{name} ({label})", partial(_seeded, channels, classes, width, kind))
        found += [replace(entry, lr=rate) for rate in settings.rates]
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
    # in this layout torch's convolutions are faster; those of curves compute their weights and are not affected
    return model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  the overload exists


def _seeded(channels: int, classes: int, width: int, kind: Kind, seed: int) -> nn.Module:
    return convnet(channels, classes, width, kind, torch.Generator().manual_seed(seed))


STUDY = classification.image_study(
    "conv",
    "Convolutions of curves against ordinary ones of equal size: accuracy in %",
    KINDS,
    race_of,
    ConvSettings(),
)
