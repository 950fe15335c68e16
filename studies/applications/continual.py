"""One task after another, no sample seen twice: the error on all tasks at the end.

Five Gaussian bumps in one dimension (Liu et al., arXiv 2404.19756, section 3.4), one after the other; and the ten
digits, two classes at a time, where a network of curves forgets as any other does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.compare import count_parameters, matched_mlp, mlp_widths, new_mlp
from edgewise.nn import KAN, KANLinear
from edgewise.optim import absorb_
from edgewise.surgery import freeze_
from studies.figures import canvas, save
from studies.result import StudyResult
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import over_seeds

TASKS, SAMPLES = 5, 100
RIDGE = 1.0
PEAKS = torch.linspace(-0.8, 0.8, TASKS, dtype=torch.float64)
GRID = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:, None]
FIGURE_STEP = 10
"""One of so many points of the grid is drawn."""

Learn = Callable[[Tensor, Tensor], None]
Predict = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ContinualSettings(Settings):
    """Settings of the tasks in turn."""

    tasks: tuple[str, ...] = option(("bumps", "digits"), "some", subset=True)


def cases(settings: ContinualSettings, seeds: Sequence[int]) -> list[Case]:
    """Every learner of every series of tasks with every seed."""
    names = {"bumps": list(bump_learners(0)), "digits": list(digit_learners(0))}
    return [
        {"task": task, "name": name, "seed": seed} for task in settings.tasks for name in names[task] for seed in seeds
    ]


def measure(case: Case, run: Run[ContinualSettings]) -> Row:
    """RMSE over all bumps, or accuracy in per cent over all digits, at the end."""
    return (bumps if case["task"] == "bumps" else all_digits)(case["name"], case["seed"])


def summarise(rows: list[Row]) -> list[Row]:
    """Every learner: its parameters, the median and the worst score."""
    found = []
    for task, higher_is_better in (("bumps", False), ("digits", True)):
        some, keep = [row for row in rows if row["task"] == task], ("parameters", "measure")
        found += over_seeds(some, ("task", "name"), ("score",), keep=keep, higher_is_better=higher_is_better)
    return found


def bumps(name: str, seed: int) -> Row:
    """One learner, bump after bump; seed 0 keeps its curves after every task for the figure."""
    model, learn = bump_learners(seed)[name]
    curves = []
    for x, y in five_tasks(seed):
        learn(x, y)
        curves.append([round(value, 4) for value in model(GRID[::FIGURE_STEP]).detach()[:, 0].tolist()])
    error = (model(GRID) - target(GRID)).square().mean().sqrt().item()
    row: Row = {"measure": "RMSE", "score": error, "parameters": count_parameters(model)}
    return row | {"curves": curves} if seed == 0 else row


def all_digits(name: str, seed: int) -> Row:
    """One learner, classes 0-1, 2-3, ... one pair after the other."""
    train, test = digits(seed)
    size, learn, predict = digit_learners(seed)[name]
    for first in range(0, 10, 2):
        rows = (train[1] == first) | (train[1] == first + 1)
        learn(train[0][rows], train[1][rows])
    accuracy = 100 * (predict(test[0]).argmax(1) == test[1]).double().mean().item()
    return {"measure": "accuracy", "score": accuracy, "parameters": size}


def target(x: Tensor) -> Tensor:
    r"""$\sum_i e^{-300 (x - p_i)^2}$ over the five peaks."""
    return (-300 * (x - PEAKS).square()).exp().sum(-1, keepdim=True)


def five_tasks(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples around one peak after the other, a fifth of the interval each: a draw from every hundredth of it."""
    generator = torch.Generator().manual_seed(seed)
    for n in range(TASKS):
        places = torch.arange(SAMPLES)[:, None] + torch.rand(SAMPLES, 1, generator=generator, dtype=torch.float64)
        x = -1 + 0.4 * (n + places / SAMPLES)
        yield x, target(x)


def bump_learners(seed: int) -> dict[str, tuple[nn.Module, Learn]]:
    """The models, and how each is trained on a task."""
    generator = torch.Generator().manual_seed(seed)

    def kan(widths: Sequence[int], basis: BSpline, *, residual: str | None = None) -> KAN:
        return KAN(widths, basis, residual=residual, generator=generator, dtype=torch.float64)

    exact, local, curves = _zero(1, 1, BSpline(200, 7)), _zero(1, 1, BSpline(200, 3)), _zero(1, 1, BSpline(200, 3))
    free = kan([1, 1], BSpline(200, 3), residual="silu")
    deep = kan([1, 3, 1], BSpline(30, 3), residual="silu")
    mlp = new_mlp(mlp_widths(1, 1, 200), generator).double()
    wide = new_mlp([1, 100, 100, 1], generator).double()
    return {
        "KAN [1, 1], absorb_ with its memory": (exact, _absorb(exact, keep=True)),
        "KAN [1, 1], absorb_, nothing kept": (local, _absorb(local, keep=False)),
        "KAN [1, 1], Adam, only curves learn": (curves, _adam(curves, 2e-2)),
        "KAN [1, 1], Adam, residual and bias learn": (free, _adam(free, 2e-2)),
        "KAN [1, 3, 1], Adam": (deep, _adam(deep, 5e-3)),
        "MLP of equal size, Adam": (mlp, _adam(mlp, 5e-3)),
        "MLP 100-100, Adam": (wide, _adam(wide, 2e-3)),
    }


def digits(seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The 8x8 digits of scikit-learn in [-1, 1], three quarters to train on."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("this study needs scikit-learn: pip install edgewise[sklearn]") from error
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    x, y = torch.tensor(images / 8 - 1)[order], torch.tensor(labels)[order].long()
    cut = 3 * len(y) // 4
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def digit_learners(seed: int) -> dict[str, tuple[int, Learn, Predict]]:
    generator = torch.Generator().manual_seed(seed)
    deep = KAN([64, 16, 10], BSpline(5, 3), generator=generator, dtype=torch.float64)
    flat = KAN([64, 10], BSpline(5, 3), generator=generator, dtype=torch.float64)
    mlp = matched_mlp(deep, generator=generator).double()
    layers = {
        "KAN [64, 10], absorb_, nothing kept": (_zero(64, 10, BSpline(5, 3)), None),
        "KAN [64, 10], absorb_ with its memory": (_zero(64, 10, BSpline(5, 3)), RIDGE),
        "linear model, absorb_ with its memory": (_zero(64, 10, BSpline(1, 1)), RIDGE),
    }
    by_step: dict[str, nn.Module] = {
        "MLP of equal size, Adam": mlp,
        "KAN [64, 16, 10], Adam": deep,
        "KAN [64, 10], Adam": flat,
    }
    entries = {
        name: (count_parameters(m), _adam(m, 2e-3, steps=200, loss=nn.functional.cross_entropy), m)
        for name, m in by_step.items()
    }
    local = {
        name: (count_parameters(layer), _one_hot_first(_absorb(layer, ridge, keep=ridge is not None)), layer)
        for name, (layer, ridge) in layers.items()
    }
    return {**entries, **local}


def _zero(inputs: int, outputs: int, basis: BSpline) -> KANLinear:
    """A layer that returns zero, of which only the curves are trained."""
    layer = KANLinear(inputs, outputs, basis, residual=None, dtype=torch.float64)
    nn.init.zeros_(layer.coef)
    return freeze_(layer, "bias")


def _absorb(layer: KANLinear, ridge: float | None = None, *, keep: bool) -> Learn:
    """Learn by the least change, with the memory of earlier tasks or without."""
    size = layer.in_features * layer.basis.size
    memory = None if ridge is None else ridge**0.5 * torch.eye(size, dtype=torch.float64)

    def learn(x: Tensor, y: Tensor) -> None:
        nonlocal memory
        after = absorb_(layer, x, y, memory)
        memory = after if keep else None

    return learn


def _one_hot_first(learn: Learn) -> Learn:
    return lambda x, labels: learn(x, nn.functional.one_hot(labels, 10).double())


def _adam(
    model: nn.Module, lr: float, *, steps: int = 800, loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.mse_loss
) -> Learn:
    def learn(x: Tensor, y: Tensor) -> None:
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
            schedule.step()

    return learn


def draw(result: StudyResult, folder: Path) -> None:
    """A row for each learner of the bumps, a column for each task: the network after it, and the whole target."""
    seen = {row["name"]: row["curves"] for row in result.rows if "curves" in row}
    if not seen:
        return
    figure = canvas(11, 1.5 * len(seen))
    axes = figure.subplots(len(seen), TASKS, sharex=True, sharey=True, squeeze=False)
    x, truth = GRID[:, 0], target(GRID)[:, 0]
    for row, (name, curves) in zip(axes, seen.items(), strict=True):
        for n, (ax, curve) in enumerate(zip(row, curves, strict=True)):
            ax.axvspan(-1 + 0.4 * n, -0.6 + 0.4 * n, color="0.93")
            ax.plot(x, truth, color="0.6", lw=0.8)
            ax.plot(x[::FIGURE_STEP], curve, lw=1.2)
            ax.set(ylim=(-0.4, 1.4), yticks=[])
        row[0].set_title(name, fontsize=8, loc="left")
    save(figure, folder / f"{result.study}.png")


STUDY = Study(
    name="continual",
    title="One task after another: RMSE on five bumps, accuracy on ten digits, at the end",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=draw,
    settings=ContinualSettings(),
    seeds=(0, 1, 2),
)
