"""What the studies of pictures share: a split as numbers, the task of naming the class, equal sizes, and one chart."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise.compare import race
from studies.problems.images import Images, load_cifar10, load_fashion_mnist

BATCH = 64


class Split(NamedTuple):
    """Standardised pictures with their classes, in a fixed order without meaning."""

    x: Float[Tensor, "train channels height width"]
    y: Int[Tensor, " train"]
    test_x: Float[Tensor, "test channels height width"]
    test_y: Int[Tensor, " test"]
    classes: tuple[str, ...]


def split(images: Images, train: int | None = None, test: int | None = None) -> Split:
    """The first pictures of each part, with the mean and deviation of the training ones as units."""
    x = images.train[:train].float()
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    test_x = (images.test[:test].float() - mean) / std
    return Split((x - mean) / std, images.train_labels[:train], test_x, images.test_labels[:test], images.classes)


def parts(cifar: str | None) -> dict[str, Split]:
    """10,000 pictures of FashionMNIST to learn from and 5,000 to test on; so many of CIFAR-10 if its file is known."""
    found = {"FashionMNIST": split(load_fashion_mnist(download=True), 10_000, 5_000)}
    cifar = cifar or os.environ.get("EDGEWISE_CIFAR10")
    if cifar:
        found["CIFAR-10"] = split(load_cifar10(cifar), 10_000, 5_000)
    return found


def tuned(entries: Sequence[race.Entry], data: Split, rates: Sequence[float], *, steps: int) -> list[race.Entry]:
    """The entries at the rates with the best accuracy on pictures held out; seed 0."""
    return race.tuned(entries, task(rehearsal(data)), rates, steps=steps, seed=0)


def rehearsal(data: Split) -> Split:
    """The training pictures alone: the last fifth of them is there to choose by."""
    cut = len(data.x) * 4 // 5
    return Split(data.x[:cut], data.y[:cut], data.x[cut:], data.y[cut:], data.classes)


def task(data: Split) -> race.Task:
    """Cross entropy on random batches, scored by the accuracy in per cent."""

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(data.x), (BATCH,), generator=generator)
        return nn.functional.cross_entropy(model(data.x[rows]), data.y[rows])

    return race.Task(loss, lambda model: accuracy(model, data), "accuracy in %", higher_is_better=True)


def accuracy(model: nn.Module, data: Split) -> float:
    """The share of the test pictures whose class is right, in per cent."""
    return 100 * float((predicted(model, data.test_x) == data.test_y).float().mean())


def predicted(model: nn.Module, x: Tensor) -> Tensor:
    """The class of every picture."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in x.split(500)])


def nearest(build: Callable[[int], nn.Module], sizes: Iterable[int], parameters: int) -> int:
    """The size whose model is nearest to a number of parameters."""
    return min(sizes, key=lambda size: abs(race.count_parameters(build(size)) - parameters))


def confusion(found: Tensor, truth: Tensor, classes: int) -> Int[Tensor, "classes classes"]:
    """How often a picture of class r was taken for one of class c, at [r, c]."""
    return (truth * classes + found).bincount(minlength=classes**2).view(classes, classes)


def draw_answers(models: Mapping[str, nn.Module], data: Split, path: Path) -> None:
    """Where trained networks are wrong."""
    tables = {
        name: confusion(predicted(model, data.test_x), data.test_y, len(data.classes)) for name, model in models.items()
    }
    draw_confusions(tables, data.classes, path)


def draw_confusions(tables: dict[str, Tensor], classes: tuple[str, ...], path: Path) -> None:
    """The confusions side by side, right answers left out, as a picture file."""
    plt: Any = pyplot()
    figure, axes = plt.subplots(1, len(tables), figsize=(4.5 * len(tables), 5), squeeze=False, layout="constrained")
    top = max(int((t - t.diag().diag()).max()) for t in tables.values())
    for axis, (name, counts) in zip(axes[0], tables.items(), strict=True):
        axis.imshow((counts - counts.diag().diag()).numpy(), vmin=0, vmax=top, cmap="Blues")
        axis.set_xticks(range(len(classes)), classes, rotation=90)
        axis.set_yticks(range(len(classes)), classes)
        axis.set_title(f"{name}\n{100 * float(counts.diag().sum() / counts.sum()):.1f} % right", fontsize=10)
        axis.set_xlabel("taken for")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def pyplot() -> Any:
    """matplotlib without a window."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("the picture of a study needs matplotlib: pip install edgewise[viz]") from error
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt
