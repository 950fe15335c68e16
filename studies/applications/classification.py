"""What the studies of image classification share: a split in standard units, its task, and the figure of confusions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise.compare import count_parameters, race
from studies.figures import canvas, save
from studies.problems.images import Images, load_cifar10, load_fashion_mnist
from studies.races import Race, race_cases, race_summary
from studies.result import StudyResult
from studies.study import Case, Row, Run, Study

BATCH = 64
DATASETS = ("FashionMNIST", "CIFAR-10")
TRAIN, TEST = 10_000, 5_000


class Split(NamedTuple):
    """Standardised images with their classes, in a fixed order without meaning."""

    x: Float[Tensor, "train channels height width"]
    y: Int[Tensor, " train"]
    test_x: Float[Tensor, "test channels height width"]
    test_y: Int[Tensor, " test"]
    classes: tuple[str, ...]


def image_study(
    name: str, title: str, names: Iterable[str], race_of: Callable[[Split, Any], Race], settings: Any
) -> Study[Any]:
    """The study of a race on each of `settings.datasets`; `race_of` makes it of a split and the settings."""
    models, built = list(names), lru_cache(maxsize=1)(lambda dataset, settings: race_of(load(dataset), settings))

    def cases(settings: Any, seeds: Sequence[int]) -> list[Case]:
        return [case for dataset in settings.datasets for case in race_cases(models, seeds, dataset=dataset)]

    def measure(case: Case, run: Run[Any]) -> Row:
        dataset = case["dataset"]
        run.once(f"{dataset} classes", lambda: list(load(dataset).classes))
        return replace(built(dataset, run.settings), label=dataset).measure(case, run)

    return Study(
        name=name,
        title=title,
        cases=cases,
        measure=measure,
        summarise=partial(race_summary, higher_is_better=True, by=("dataset", "name", "budget")),
        draw=draw_answers,
        settings=settings,
        seeds=(0, 1, 2),
    )


@lru_cache(maxsize=1)
def load(dataset: str) -> Split:
    """10,000 images to train on and 5,000 to test on; CIFAR-10 is read from the file $EDGEWISE_CIFAR10."""
    if dataset == "FashionMNIST":
        return split(load_fashion_mnist(download=True), TRAIN, TEST)
    path = os.environ.get("EDGEWISE_CIFAR10")
    if not path:
        raise OSError("CIFAR-10 is read from a file: set EDGEWISE_CIFAR10 to its path")
    return split(load_cifar10(path), TRAIN, TEST)


def split(images: Images, train: int | None = None, test: int | None = None) -> Split:
    """The first images of each part, in units of the mean and standard deviation of the training part."""
    x = images.train[:train].float()
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    test_x = (images.test[:test].float() - mean) / std
    return Split((x - mean) / std, images.train_labels[:train], test_x, images.test_labels[:test], images.classes)


def rehearsal(data: Split) -> Split:
    """The training images alone: the last fifth of them chooses between tries."""
    cut = len(data.x) * 4 // 5
    return Split(data.x[:cut], data.y[:cut], data.x[cut:], data.y[cut:], data.classes)


def task(data: Split) -> race.Task:
    """Cross entropy on random batches, scored by the accuracy in per cent; keeps the confusions."""

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(data.x), (BATCH,), generator=generator)
        return nn.functional.cross_entropy(model(data.x[rows]), data.y[rows])

    def keep(model: nn.Module) -> list[list[int]]:
        return confusion(predicted(model, data.test_x), data.test_y, len(data.classes)).tolist()

    return race.Task(loss, lambda model: accuracy(model, data), "accuracy in %", higher_is_better=True, keep=keep)


def accuracy(model: nn.Module, data: Split) -> float:
    """The share of the test images whose class is right, in per cent."""
    return 100 * float((predicted(model, data.test_x) == data.test_y).float().mean())


def predicted(model: nn.Module, x: Tensor) -> Tensor:
    """The class of every image."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in x.split(500)])


def nearest(build: Callable[[int], nn.Module], sizes: Iterable[int], parameters: int) -> int:
    """The size whose model is nearest to a number of parameters."""
    return min(sizes, key=lambda size: abs(count_parameters(build(size)) - parameters))


def confusion(found: Tensor, truth: Tensor, classes: int) -> Int[Tensor, "classes classes"]:
    """How often an image of class r was taken for one of class c, at [r, c]."""
    return (truth * classes + found).bincount(minlength=classes**2).view(classes, classes)


def draw_answers(result: StudyResult, folder: Path) -> None:
    """Where the models of seed 0 are wrong, a figure for each data set."""
    for dataset in dict.fromkeys(row["dataset"] for row in result.rows):
        tables = {
            row["entry"]: torch.tensor(row["kept"])
            for row in result.rows
            if row["dataset"] == dataset and row["seed"] == 0 and row["budget"] == "steps" and "kept" in row
        }
        if tables:
            classes = result.shared[f"{dataset} classes"]
            draw_confusions(tables, classes, folder / f"{result.study}_{dataset}.png")


def draw_confusions(tables: Mapping[str, Tensor], classes: Iterable[str], path: Path) -> None:
    """The confusions next to each other, without the right answers."""
    names = list(classes)
    figure = canvas(4.5 * len(tables), 5)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(1, len(tables), squeeze=False)[0]
    top = max(int((t - t.diag().diag()).max()) for t in tables.values())
    for axis, (name, counts) in zip(axes, tables.items(), strict=True):
        axis.imshow((counts - counts.diag().diag()).numpy(), vmin=0, vmax=top, cmap="Blues")
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
        axis.set_title(f"{name}\n{100 * float(counts.diag().sum() / counts.sum()):.1f} % right", fontsize=10)
        axis.set_xlabel("taken for")
    save(figure, path, dpi=100, tight=False)
