"""Grey and white matter on slices of the MNI152 template: a U-KAN against a U-Net of equal size and its own ablation.

25 slices to train on and 25 to test on, from slabs of the head that do not touch, with a random bias field and noise on
each. One template is one subject: the study shows how well and how fast the models train, nothing about patients.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from edgewise.bases import BSpline
from edgewise.compare import race
from edgewise.models.u_kan import UKAN
from studies.figures import canvas, pack, save, unpack
from studies.problems.images import Tissues, load_mni152
from studies.races import Race, race_study
from studies.result import StudyResult
from studies.study import Settings, option

SIZE = (96, 112)
TRAIN, TEST = range(16, 41), range(44, 69)
BATCH = 8
CHANNELS = (12, 18, 24, 24)
UNET_CHANNELS = (9, 18, 36)
BASIS = BSpline(3, 2)
CLASSES = ("other", "grey matter", "white matter")
NAMES = ("U-Net", "U-KAN", "U-KAN, MLPs for curves", "U-KAN, linear for curves")


class Slices(NamedTuple):
    """Images and the class of every pixel."""

    images: Float[Tensor, "slices 1 height width"]
    labels: Int[Tensor, "slices height width"]


@dataclass(frozen=True)
class TissueSettings(Settings):
    """Settings of the race of segmentation."""

    steps: int = option(120, "training steps")
    rates: tuple[float, ...] = option((0.01, 0.02, 0.04), "learning rates that are tried")


def race_of(entries: Sequence[race.Entry], train: Slices, test: Slices, settings: TissueSettings) -> Race:
    """The race on these slices; every fifth of the training slices chooses the rates."""
    held = torch.arange(len(train.images)) % 5 == 2
    rehearsal = task(Slices(train.images[~held], train.labels[~held]), Slices(train.images[held], train.labels[held]))
    tries = {entry.name: [replace(entry, lr=rate) for rate in settings.rates] for entry in entries}
    return Race(tries, task(train, test), rehearsal, settings.steps, tuning_seed=0, keep_all=False)


def tissue_race(settings: TissueSettings) -> Race:
    """The race on the template; $EDGEWISE_MNI152 may name the wheel of nilearn or its folder."""
    head = load_mni152(os.environ.get("EDGEWISE_MNI152"), download=True)
    return race_of(networks(), slices(head, TRAIN, 0), slices(head, TEST, 1), settings)


def networks(scale: float = 1.0) -> list[race.Entry]:
    """The U-Net, the U-KAN, and the U-KAN with MLPs, then linear layers, instead of curves."""
    channels = tuple(max(1, round(scale * width)) for width in CHANNELS)
    wide = tuple(max(1, round(scale * width)) for width in UNET_CHANNELS)

    def u_kan(seed: int, kan: bool = True, matched: bool = False) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        return UKAN(
            2,
            1,
            len(CLASSES),
            channels=channels,
            token_levels=1,
            kan=kan,
            matched=matched,
            basis=BASIS,
            generator=generator,
        )

    return [
        race.Entry(NAMES[0], lambda _: UNet(1, len(CLASSES), wide)),
        race.Entry(NAMES[1], u_kan),
        race.Entry(NAMES[2], partial(u_kan, kan=False, matched=True)),
        race.Entry(NAMES[3], partial(u_kan, kan=False)),
    ]


class UNet(nn.Module):
    """The usual U-Net: two convolutions per level, maximum pooling, skips joined as channels."""

    def __init__(self, in_channels: int, out_channels: int, channels: Sequence[int] = (9, 18, 36)) -> None:
        super().__init__()
        pairs = list(zip([in_channels, *channels], channels, strict=False))
        self.down = nn.ModuleList(_pair(a, b) for a, b in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in reversed(pairs[1:]))
        self.up = nn.ModuleList(_pair(2 * a, a) for a, _ in reversed(pairs[1:]))
        self.head = nn.Conv2d(channels[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for n, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if n else x)
            seen.append(x)
        for narrow, level, skip in zip(self.narrow, self.up, reversed(seen[:-1]), strict=True):
            x = F.interpolate(narrow(x), skip.shape[2:], mode="bilinear", align_corners=False)
            x = level(torch.cat([x, skip], 1))
        return self.head(x)


def slices(head: Tissues, places: Sequence[int], seed: int) -> Slices:
    """Horizontal slices at half the resolution, each with its own smooth bias field and noise."""
    generator = torch.Generator().manual_seed(seed)
    signal, labels = head.signal[::2, ::2, ::2], head.labels[::2, ::2, ::2]
    corner = [(n - size) // 2 for n, size in zip(signal.shape, SIZE, strict=False)]
    window = [slice(c, c + size) for c, size in zip(corner, SIZE, strict=True)]
    images = signal[*window, list(places)].movedim(-1, 0)
    axes = [torch.linspace(-1, 1, size) for size in SIZE]
    u, v = torch.meshgrid(*axes, indexing="ij")
    shapes = torch.stack([u, v, u * v, u**2, v**2])
    field = torch.einsum("ns,shw->nhw", 0.2 * torch.randn(len(images), 5, generator=generator), shapes).exp()
    images = images * field + 0.05 * torch.randn(images.shape, generator=generator)
    return Slices((3 * images - 1)[:, None], labels[*window, list(places)].movedim(-1, 0))


def task(train: Slices, test: Slices) -> race.Task:
    """Cross entropy and the overlap, on slices mirrored at random; scored by the mean IoU of the tissues."""

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(train.images), (BATCH,), generator=generator)
        x, y = train.images[rows], train.labels[rows]
        for axis in (1, 2):
            if torch.rand((), generator=generator) < 0.5:
                x, y = x.flip(axis + 1), y.flip(axis)
        logits = model(x)
        return F.cross_entropy(logits, y) + _dice_loss(logits, y)

    def keep(model: nn.Module) -> dict[str, Any]:
        return figure_data(test) | {"masks": pack(masks(model, test)[figure_rows(test)] / 2)}

    def score(model: nn.Module) -> float:
        return mean_iou(masks(model, test), test.labels)

    return race.Task(loss, score, "mIoU", higher_is_better=True, keep=keep)


def masks(model: nn.Module, data: Slices) -> Int[Tensor, "slices height width"]:
    """The class that the model gives every pixel."""
    model.eval()
    with torch.no_grad():
        return model(data.images).argmax(1)


def mean_iou(found: Tensor, truth: Tensor) -> float:
    """The mean over the two tissues of intersection / union, over all slices together."""
    overlaps = [((found == k) & (truth == k)).sum() / ((found == k) | (truth == k)).sum() for k in (1, 2)]
    return float(sum(overlaps)) / len(overlaps)


def _dice_loss(logits: Tensor, y: Tensor) -> Tensor:
    share = logits.softmax(1)
    truth = F.one_hot(y, logits.shape[1]).movedim(-1, 1)
    both = (share * truth).sum((0, 2, 3))
    return 1 - (2 * both / (share.sum((0, 2, 3)) + truth.sum((0, 2, 3))))[1:].mean()


def _pair(before: int, width: int) -> nn.Sequential:
    def unit(a: int) -> list[nn.Module]:
        return [nn.Conv2d(a, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]

    return nn.Sequential(*unit(before), *unit(width))


def figure_rows(data: Slices) -> list[int]:
    """The three slices of the figure."""
    return [len(data.images) * n // 4 for n in (1, 2, 3)]


def figure_data(data: Slices) -> dict[str, Any]:
    """The signal and the truth of the slices of the figure."""
    rows = figure_rows(data)
    signal = data.images[rows, 0]
    low, high = signal.amin(), signal.amax()
    shape, truth = list(signal.shape), pack(data.labels[rows] / 2)
    return {"rows": rows, "shape": shape, "signal": pack((signal - low) / (high - low)), "truth": truth}


def draw(result: StudyResult, folder: Path) -> None:
    """Three test slices with the masks of grey and white matter over them, one row per source."""
    kept = {row["name"]: row["kept"] for row in result.rows if "kept" in row and row["name"] in NAMES[:2]}
    if not kept:
        return
    data = next(iter(kept.values()))
    signal = unpack(data["signal"], data["shape"])
    found = {"signal": None, "truth": data["truth"], **{name: k["masks"] for name, k in kept.items()}}
    figure = canvas(7.5, 3 * len(found))
    for line, (name, text) in zip(figure.subplots(len(found), 3, squeeze=False), found.items(), strict=True):
        masks = None if text is None else (2 * unpack(text, data["shape"])).round()
        for n, axis in enumerate(line):
            axis.imshow(signal[n].T.numpy(), cmap="gray", origin="lower")
            if masks is not None:
                mask = masks[n].T
                mask = mask.where(mask > 0, torch.nan).numpy()
                axis.imshow(mask, cmap="coolwarm", vmin=1, vmax=2, alpha=0.6, origin="lower")
            axis.set_title(name if n == 0 else f"slice {data['rows'][n]}", fontsize=9)
            axis.set_axis_off()
    save(figure, folder / f"{result.study}.png", dpi=100)


STUDY = race_study(
    "segmentation",
    "U-KAN against a U-Net of equal size and its own ablation: mean IoU of tissues",
    NAMES,
    tissue_race,
    TissueSettings(),
    higher_is_better=True,
    draw=draw,
)
