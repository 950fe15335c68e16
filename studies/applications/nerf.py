"""A scene seen from 24 sides: a field of curves against the perceptron of equal size, at equal steps and equal time.

The scene is ours: three balls and a chequered floor, traced exactly, so that nothing is downloaded.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.compare import race
from edgewise.models.kan_nerf import KANNeRF, MLPNeRF, render
from edgewise.viz.charts import new_figure
from studies import timing

PIXELS, VIEWS, HELD_OUT = 40, 24, 6
NEAR, FAR = 1.5, 4.5
RAYS, SAMPLES, STEPS = 384, 32, 500

CENTERS = torch.tensor([[-0.35, 0.0, -0.15], [0.35, 0.3, -0.25], [0.2, -0.4, -0.3]])
RADII = torch.tensor([0.4, 0.3, 0.25])
COLOURS = torch.tensor([[0.9, 0.25, 0.2], [0.2, 0.45, 0.9], [0.95, 0.8, 0.2]])
FLOOR, SIDE = -0.55, 0.8
LIGHT = torch.nn.functional.normalize(torch.tensor([0.4, -0.5, 0.8]), dim=0)

MLP, CURVES = "MLP 64-64-64 on sines", "KAN of products"
TRIES = {
    MLP: [race.Entry(MLP, lambda _: MLPNeRF(64), lr) for lr in (1e-2, 2e-2, 4e-2)],
    CURVES: [race.Entry(CURVES, lambda _: KANNeRF(), lr) for lr in (3e-2, 5e-2, 8e-2)],
}


class Rays(NamedTuple):
    """Where rays begin, where they go, and the colour they see."""

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    colours: Float[Tensor, "rays 3"]


def main(seeds: int = 3, steps: int = STEPS) -> None:
    """The study: a table on the terminal, `nerf.json` and a picture of views held out."""
    timing.begin_study()
    train, test, chooser = views(VIEWS, 0.0), views(HELD_OUT, 0.5), views(3, 0.25)
    task, choice = task_of(train, test), task_of(train, chooser)
    entries = [race.best(tries, choice, steps=steps // 2) for tries in TRIES.values()]
    times = race.step_times(entries, task)
    entries, models = race.remembering(entries)
    rows = race.race(entries, task, steps=steps, seeds=seeds, times=times)
    path = timing.write_rows("nerf", task.measure, rows, step=times)
    print(race.table(rows, task.measure))
    _picture(test, {name: pictures(model, test) for name, model in models.items()}, str(path.with_suffix(".png")))


def task_of(train: Rays, test: Rays) -> race.Task:
    """Squared error of rendered rays, and the peak signal-to-noise ratio of the views held out."""

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        pick = torch.randint(len(train.origins), (RAYS,), generator=generator)
        seen = _render(model, train.origins[pick], train.directions[pick], generator)
        return (seen - train.colours[pick]).square().mean()

    return race.Task(loss, lambda m: psnr(pictures(m, test), test.colours), "PSNR, dB", higher_is_better=True)


def psnr(seen: Tensor, truth: Tensor) -> float:
    r"""$-10 \log_{10}$ of the mean squared error of colours in [0, 1]."""
    return -10 * (seen - truth).square().mean().log10().item()


@torch.no_grad()
def pictures(model: nn.Module, rays: Rays) -> Float[Tensor, "rays 3"]:
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


def _picture(test: Rays, seen: dict[str, Tensor], path: str, columns: int = 4) -> None:
    """A row of true views held out, and a row per model."""
    rows = {"truth": test.colours, **seen}
    figure = new_figure(2.2 * columns, 2.4 * len(rows))
    axes = figure.subplots(len(rows), columns)
    for line, (name, colours) in zip(axes, rows.items(), strict=True):
        for ax, image in zip(line, colours.reshape(-1, PIXELS, PIXELS, 3)[:columns], strict=True):
            ax.imshow(image.numpy(), interpolation="nearest")
            ax.set_axis_off()
        decibel = "" if name == "truth" else f", {psnr(colours, test.colours):.1f} dB over all views held out"
        line[0].set_title(name + decibel, fontsize=9, loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
