"""A scene seen from 24 sides: a field of curves against an MLP of equal size, at equal steps and equal time.

The scene is ours: three balls and a chequered floor, traced exactly, so that nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.compare import race
from edgewise.models.kan_nerf import KANNeRF, MLPNeRF, render
from studies.figures import canvas, pack, save, unpack
from studies.races import Race, race_study
from studies.result import StudyResult
from studies.study import Settings, option

PIXELS, VIEWS, HELD_OUT = 40, 24, 6
NEAR, FAR = 1.5, 4.5
RAYS, SAMPLES = 384, 32

CENTERS = torch.tensor([[-0.35, 0.0, -0.15], [0.35, 0.3, -0.25], [0.2, -0.4, -0.3]])
RADII = torch.tensor([0.4, 0.3, 0.25])
COLOURS = torch.tensor([[0.9, 0.25, 0.2], [0.2, 0.45, 0.9], [0.95, 0.8, 0.2]])
FLOOR, SIDE = -0.55, 0.8
LIGHT = torch.nn.functional.normalize(torch.tensor([0.4, -0.5, 0.8]), dim=0)

FIGURE_VIEWS = 4

MLP, CURVES = "MLP 64-64-64 on sines", "KAN of products"
MODELS: dict[str, Callable[[], nn.Module]] = {MLP: lambda: MLPNeRF(64), CURVES: KANNeRF}


@dataclass(frozen=True)
class FieldSettings(Settings):
    """Settings of the race of fields."""

    steps: int = option(500, "training steps")
    mlp_rates: tuple[float, ...] = option((1e-2, 2e-2, 4e-2), "learning rates that are tried for the MLP")
    kan_rates: tuple[float, ...] = option((3e-2, 5e-2, 8e-2), "learning rates that are tried for the KAN")


class Rays(NamedTuple):
    """Where rays begin, where they go, and the colour they see."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    colours: Float[Tensor, "rays 3"]


def fields_race(settings: FieldSettings) -> Race:
    """The race on the views of the scene."""
    train, test, chooser = views(VIEWS, 0.0), views(HELD_OUT, 0.5), views(3, 0.25)
    rates = {MLP: settings.mlp_rates, CURVES: settings.kan_rates}
    entries = {
        name: [race.Entry(name, lambda _, build=build: build(), rate) for rate in rates[name]]
        for name, build in MODELS.items()
    }
    task, rehearsal = task_of(train, test), task_of(train, chooser)
    return Race(entries, task, rehearsal, settings.steps, tuning_seed=0, keep_all=False)


def task_of(train: Rays, test: Rays) -> race.Task:
    """Squared error of rendered rays, and the peak signal-to-noise ratio of held-out views."""

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        pick = torch.randint(len(train.origins), (RAYS,), generator=generator)
        found = _render(model, train.origins[pick], train.directions[pick], generator)
        return (found - train.colours[pick]).square().mean()

    def keep(model: nn.Module) -> str:
        return pack(seen(model, test)[: FIGURE_VIEWS * PIXELS**2])

    return race.Task(loss, lambda m: psnr(seen(m, test), test.colours), "PSNR, dB", higher_is_better=True, keep=keep)


def psnr(found: Tensor, truth: Tensor) -> float:
    r"""$-10 \log_{10}$ of the mean squared error of colours in [0, 1]."""
    return -10 * (found - truth).square().mean().log10().item()


@torch.no_grad()
def seen(model: nn.Module, rays: Rays) -> Float[Tensor, "rays 3"]:
    """What a trained field shows along the rays."""
    parts = zip(rays.origins.split(2000), rays.directions.split(2000), strict=True)
    return torch.cat([_render(model, o, d, None) for o, d in parts])


def views(count: int, offset: float) -> Rays:
    """Cameras around the scene at three heights, `offset` of a step further; all look at the middle."""
    rays = []
    for n in range(count):
        azimuth = torch.tensor(2 * torch.pi * (n + offset) / count)
        height = torch.tensor([0.35, 0.6, 0.9][n % 3])
        eye = 3 * torch.stack([azimuth.cos() * height.cos(), azimuth.sin() * height.cos(), height.sin()])
        o, d = _camera(eye)
        rays.append(Rays(o, d, trace_scene(o, d)))
    return Rays(*(torch.cat(parts) for parts in zip(*rays, strict=True)))


def trace_scene(o: Float[Tensor, "rays 3"], d: Float[Tensor, "rays 3"]) -> Float[Tensor, "rays 3"]:
    """The colour of the first thing that each ray meets, lit from one side; white where there is none."""
    to = o[:, None] - CENTERS
    b, c = (to * d[:, None]).sum(-1), to.square().sum(-1) - RADII.square()
    root = b.square() - c
    entry = -b - root.clamp(min=0).sqrt()
    t = torch.where((root > 0) & (entry > 0), entry, torch.inf)
    floor = (FLOOR - o[:, 2]) / d[:, 2]
    at = o + floor[:, None] * d
    on_floor = (floor > 0) & (at[:, :2].abs().amax(1) < SIDE)
    t = torch.cat([t, torch.where(on_floor, floor, torch.inf)[:, None]], 1)
    nearest, which = t.min(1)
    hit = which.clamp(max=2)
    normal = (o + nearest.nan_to_num(posinf=0.0)[:, None] * d - CENTERS[hit]) / RADII[hit, None]
    shade = 0.35 + 0.65 * (normal @ LIGHT).clamp(min=0)
    ball = COLOURS[hit] * shade[:, None]
    chequer = ((at[:, :2] / 0.4).floor().sum(1) % 2)[:, None]
    tile = 0.3 + 0.5 * chequer.expand(-1, 3)
    colour = torch.where((which == 3)[:, None], tile, ball)
    return torch.where(nearest.isinf()[:, None], 1.0, colour)


def _camera(eye: Float[Tensor, " 3"]) -> tuple[Tensor, Tensor]:
    """Rays through the pixels of a camera that looks from `eye` at the middle."""
    forward = -eye / eye.norm()
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    up = torch.linalg.cross(right, forward)
    s = ((torch.arange(PIXELS) + 0.5) / PIXELS - 0.5) * 0.8
    v, u = torch.meshgrid(-s, s, indexing="ij")
    d = torch.nn.functional.normalize(forward + u[..., None] * right + v[..., None] * up, dim=-1).reshape(-1, 3)
    return eye.expand_as(d), d


def _render(model: nn.Module, o: Tensor, d: Tensor, generator: torch.Generator | None) -> Tensor:
    return render(model, o, d, near=NEAR, far=FAR, samples=SAMPLES, generator=generator)


def draw(result: StudyResult, folder: Path) -> None:
    """A row of true held-out views, and a row for each model of seed 0."""
    kept = {f"{r['name']}, {r['score']:.1f} dB over all held-out views": r["kept"] for r in result.rows if "kept" in r}
    if not kept:
        return
    shape = (FIGURE_VIEWS, PIXELS, PIXELS, 3)
    truth = views(HELD_OUT, 0.5).colours[: FIGURE_VIEWS * PIXELS**2].view(shape)
    rows = {"truth": truth, **{title: unpack(text, shape) for title, text in kept.items()}}
    figure = canvas(2.2 * FIGURE_VIEWS, 2.4 * len(rows))
    for line, (title, images) in zip(figure.subplots(len(rows), FIGURE_VIEWS), rows.items(), strict=True):
        for ax, image in zip(line, images, strict=True):
            ax.imshow(image.numpy(), interpolation="nearest")
            ax.set_axis_off()
        line[0].set_title(title, fontsize=9, loc="left")
    save(figure, folder / f"{result.study}.png")


STUDY = race_study(
    "nerf",
    "A small NeRF of curves against an MLP of equal size: PSNR in dB",
    MODELS,
    fields_race,
    FieldSettings(),
    higher_is_better=True,
    draw=draw,
)
