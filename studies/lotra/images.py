"""Slim layers: parameters against error, beside dense layers and perceptrons of equal size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.adapters import lotra_groups, slim
from edgewise.bases import BSpline
from edgewise.compare import count_parameters
from edgewise.nn import KAN, KANLinear
from studies.lotra.common import Groups, Loss, batches, everything, rng, summary, train, uniform, wave
from studies.lotra.journal import Journal
from studies.problems.images import load_fashion_mnist, load_mnist_5000

Samples = tuple[Tensor, Tensor]
Ranks = tuple[int, int, int]
Measure = Callable[[Tensor, Tensor], Tensor]
RATES = {"dense": (0.001, 0.003, 0.01), "slim": (0.03, 0.1, 0.3)}


@dataclass(frozen=True)
class Task:
    """What is learnt, and by which KAN.

    Args:
        widths: of the KAN; splines of 5 intervals and degree 3.
        slims: the layers, by a pattern, that are slim, and their ranks.
        split: a seed to samples for training, validation (which chooses the rate) and test.
        loss: of outputs and targets.
        score: what is reported.
        epochs: of batches of `size`.
        refit: epochs more, of a trained network that has been cut.
        worst: of the scores over the seeds.
    """

    widths: Sequence[int]
    slims: Sequence[tuple[str, Ranks]]
    split: Callable[[int], tuple[Samples, Samples, Samples]]
    loss: Measure
    score: Measure
    epochs: int
    refit: int
    size: int
    worst: Callable[[Any], float] = min
    rates: Mapping[str, Sequence[float]] = field(default_factory=lambda: RATES)


def functions(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """A function of four inputs, 1,000 samples, [4, 32, 32, 1]: test MSE of slim layers, 1,000 steps."""

    def split(seed: int) -> tuple[Samples, Samples, Samples]:
        sets = [uniform(n, 4, rng(seed + place)) for n, place in ((1000, 100), (500, 150), (2000, 200))]
        x, held, test = ((x, wave(x, 1.5)) for x in sets)
        return x, held, test

    loss = nn.functional.mse_loss
    slims = [("*", (8, 6, 8)), ("*", (4, 4, 4))]
    return _compared(Task([4, 32, 32, 1], slims, split, loss, loss, 143, 50, 128, max), seeds, once)


def digits(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """The 8x8 digits of scikit-learn, [64, 64, 10], 15 epochs: accuracy in % on 497 images."""

    def split(seed: int) -> tuple[Samples, Samples, Samples]:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        x, y = torch.tensor(images).float() / 8 - 1, torch.tensor(labels)
        order = torch.randperm(len(x), generator=rng(seed + 100))
        train, held, test = ((x[rows], y[rows]) for rows in order.split([1100, 200, 497]))
        return train, held, test

    slims = [("*", (16, 4, 16)), ("*", (8, 3, 8))]
    loss = nn.functional.cross_entropy
    return _compared(Task([64, 64, 10], slims, split, loss, _accuracy, 15, 5, 64), seeds, once)


def mnist(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """5,000 digits of MNIST, [784, 64, 10], 20 epochs: accuracy in % on 1,000 of them, drawn by the seed."""
    load = cache(load_mnist_5000)

    def split(seed: int) -> tuple[Samples, Samples, Samples]:
        images, labels = load()
        order = torch.randperm(len(images), generator=rng(seed + 100))
        train, held, test = ((_pixels(images[rows]), labels[rows]) for rows in order.split([3500, 500, 1000]))
        return train, held, test

    slims = [("layers.0", (42, 4, 24)), ("*", (16, 3, 12))]
    loss = nn.functional.cross_entropy
    return _compared(Task([784, 64, 10], slims, cache(split), loss, _accuracy, 20, 8, 64), seeds, once)


def fashion(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """FashionMNIST, 55,000 images and 5,000 to choose the rate, [784, 64, 10], 6 epochs: accuracy in % on 10,000."""

    @cache
    def load() -> tuple[Samples, Samples, Samples]:
        pictures = load_fashion_mnist()
        x, y = _pixels(pictures.train), pictures.train_labels
        return (x[:55000], y[:55000]), (x[55000:], y[55000:]), (_pixels(pictures.test), pictures.test_labels)

    slims = [("layers.0", (42, 4, 24)), ("*", (16, 3, 12))]
    loss = nn.functional.cross_entropy
    return _compared(Task([784, 64, 10], slims, lambda seed: load(), loss, _accuracy, 6, 3, 256), seeds, once)


def _compared(task: Task, seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """Every method at three rates."""
    found: dict[str, list[dict[str, Any]]] = {}
    settings = f"{list(task.widths)}, {task.epochs} epochs of {task.size}"
    for seed in seeds:
        for name, measure in _methods(task, seed).items():
            key = f"seed {seed}, {name}, {settings}" + f" + {task.refit}" * name.startswith("cut")
            found.setdefault(name, []).append(once(key, measure))
    return [
        {
            "method": name,
            "parameters": outcomes[0]["parameters"],
            **summary("score", [o["score"] for o in outcomes], task.worst),
        }
        for name, outcomes in found.items()
    ]


def _methods(task: Task, seed: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """By name what trains a method at its rates and reports the best one."""

    def dense() -> KAN:
        return KAN(task.widths, BSpline(5, 3), generator=rng(seed))

    def tuned(make: Callable[[], nn.Module], kind: str, epochs: int = task.epochs) -> dict[str, Any]:
        tries = [_trained(task, seed, make(), kind, lr, epochs) for lr in task.rates[kind]]
        return _report(task, seed, min(tries, key=lambda model: _held(task, seed, model)))

    @cache
    def trained() -> nn.Module:
        """A dense network to be cut, at the least rate."""
        return _trained(task, seed, dense(), "dense", task.rates["dense"][0], task.epochs)

    methods: dict[str, Callable[[], dict[str, Any]]] = {"dense KAN": partial(tuned, dense, "dense")}
    for where, ranks in task.slims:
        what = str(ranks) if where == "*" else f"{ranks} in {where}"
        drawn, cut = (
            partial(_slim, make, where, ranks, init, seed) for make, init in ((dense, "random"), (trained, "fit"))
        )
        numel = count_parameters(drawn())
        methods |= {
            f"slim {what}": partial(tuned, drawn, "slim"),
            f"cut {what}": partial(tuned, cut, "slim", task.refit),
            f"perceptron as {what}": partial(tuned, partial(_perceptron, task.widths, numel, seed), "dense"),
            f"low-rank perceptron as {what}": partial(tuned, partial(_low_rank, task.widths, numel, seed), "dense"),
        }
    return methods


def _slim(make: Callable[[], nn.Module], where: str, ranks: Ranks, init: Any, seed: int) -> nn.Module:
    """A network whose layers of that pattern have these ranks, or as many as they have room for."""
    model, generator = make(), rng(seed)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, KANLinear) and fnmatchcase(name, where):
            fitting = [min(rank, room) for rank, room in zip(ranks, layer.coef.shape, strict=True)]
            model = slim(model, fitting, where=name, init=init, generator=generator)
    return model


def _trained(task: Task, seed: int, model: nn.Module, kind: str, lr: float, epochs: int) -> nn.Module:
    (x, y), *_ = task.split(seed)
    groups: Groups = lotra_groups(model, lr) if kind == "slim" else everything(model, lr)
    order = batches(len(x), task.size, epochs, rng(seed + 300))
    train(model, groups, _on_batches(x, y, task.loss, order), epochs * (len(x) // task.size))
    return model


@torch.no_grad()
def _held(task: Task, seed: int, model: nn.Module) -> float:
    """The loss at the validation samples."""
    x, y = task.split(seed)[1]
    loss = task.loss(model(x), y).item()
    return loss if math.isfinite(loss) else math.inf


@torch.no_grad()
def _report(task: Task, seed: int, model: nn.Module) -> dict[str, Any]:
    x, y = task.split(seed)[2]
    return {"parameters": count_parameters(model), "score": task.score(model(x), y).item()}


def _on_batches(x: Tensor, y: Tensor, loss: Measure, order: Iterator[Tensor]) -> Loss:
    def value(model: nn.Module) -> Tensor:
        rows = next(order)
        return loss(model(x[rows]), y[rows])

    return value


def _perceptron(widths: Sequence[int], numel: int, seed: int) -> nn.Module:
    """As many hidden layers as the KAN, as wide as the numbers allow."""
    layers = len(widths) - 2
    hidden = next(h for h in range(10**4, 0, -1) if _size([widths[0], *[h] * layers, widths[-1]]) <= max(numel, 900))
    return _net([widths[0], *[hidden] * layers, widths[-1]], None, seed)


def _low_rank(widths: Sequence[int], numel: int, seed: int) -> nn.Module:
    """The widths of the KAN, every matrix a product through as many dimensions as the numbers allow."""
    pairs = list(pairwise(widths))
    rank = next(r for r in range(10**4, 0, -1) if sum(r * (a + b) + b for a, b in pairs) <= max(numel, 900))
    return _net(widths, rank, seed)


def _size(widths: Sequence[int]) -> int:
    return sum((a + 1) * b for a, b in pairwise(widths))


def _net(widths: Sequence[int], rank: int | None, seed: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b)] if rank is None else [nn.Linear(a, rank, bias=False), nn.Linear(rank, b)]
        layers.append(nn.SiLU())
    net, generator = nn.Sequential(*layers[:-1]), rng(seed)
    with torch.no_grad():
        for module in net:
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=(2 / module.in_features) ** 0.5, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
    return net


def _accuracy(logits: Tensor, truth: Tensor) -> Tensor:
    return 100 * (logits.argmax(-1) == truth).double().mean()


def _pixels(images: Tensor) -> Tensor:
    return images.flatten(1).float() / 127.5 - 1
