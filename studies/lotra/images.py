"""Slim layers: parameters against error, compared with dense layers and with MLPs of equal size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache, partial
from itertools import pairwise, product
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.adapters import lotra_groups, slim
from edgewise.bases import BSpline
from edgewise.compare import count_parameters, mlp_widths, new_mlp
from edgewise.nn import KAN, KANLinear
from studies.lotra.common import Groups, Loss, batches, everything, rng, train, uniform, wave
from studies.lotra.curves import Curves
from studies.problems.images import load_fashion_mnist, load_mnist_5000
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import over_seeds

Samples = tuple[Tensor, Tensor]
Ranks = tuple[int, int, int]
Measure = Callable[[Tensor, Tensor], Tensor]
RATES = {"dense": (0.001, 0.003, 0.01), "slim": (0.03, 0.1, 0.3)}
WAYS = ("slim", "cut", "MLP as", "low-rank MLP as")


@dataclass(frozen=True)
class ImageSettings(Settings):
    """Settings of the training of all networks."""

    widths: tuple[int, ...] = option((64, 64, 10), "of the KAN; splines of 5 intervals and degree 3")
    epochs: int = option(15, "epochs")
    refit_epochs: int = option(5, "further epochs of a trained network that has been cut")
    batch_size: int = option(64, "samples in a batch")


@dataclass(frozen=True)
class Task:
    """What is learned.

    Args:
        slims: the layers, by a pattern, that are slim, and their ranks.
        split: a seed to samples for training, validation (which chooses the rate) and test.
        loss: of outputs and targets.
        score: what is reported.
    """

    slims: tuple[tuple[str, Ranks], ...]
    split: Callable[[int], tuple[Samples, Samples, Samples]]
    loss: Measure
    score: Measure


def cases(task: Task, settings: ImageSettings, seeds: Sequence[int]) -> list[Case]:
    """Every method for every seed."""
    methods = ["dense KAN", *(f"{way} {_text(*place)}" for place in task.slims for way in WAYS)]
    return [{"method": method, "seed": seed} for seed in seeds for method in methods]


def measure(task: Task, case: Case, run: Run[ImageSettings]) -> Row:
    """A method at the best of three rates: parameters and score on the test samples."""
    settings, seed, method = run.settings, case["seed"], case["method"]
    kind, epochs, make = "dense", settings.epochs, partial(_dense, settings, seed)
    if method != "dense KAN":
        way, (where, ranks) = next(
            (way, place) for way, place in product(WAYS, task.slims) if method == f"{way} {_text(*place)}"
        )
        drawn = partial(_slim, make, where, ranks, "random", seed)
        if way in {"slim", "cut"}:
            kind, make = "slim", drawn
        if way == "cut":
            epochs = settings.refit_epochs
            make = partial(_slim, partial(_trained_dense, task, settings, seed), where, ranks, "fit", seed)
        elif way != "slim":
            network = mlp if way == "MLP as" else low_rank_mlp
            make = partial(network, settings.widths, count_parameters(drawn()), seed)
    tries = [_trained(task, settings, seed, make(), kind, lr, epochs) for lr in RATES[kind]]
    best = min(tries, key=lambda model: _held(task, seed, model))
    return _report(task, seed, best)


def summarise(rows: list[Row], *, higher_is_better: bool) -> list[Row]:
    """Every method: parameters, median and worst score."""
    measures = ("score",)
    return over_seeds(rows, ("method",), measures, keep=("parameters",), higher_is_better=higher_is_better)


def _text(where: str, ranks: Ranks) -> str:
    return str(ranks) if where == "*" else f"{ranks} in {where}"


def _dense(settings: ImageSettings, seed: int) -> KAN:
    return KAN(settings.widths, BSpline(5, 3), generator=rng(seed))


@lru_cache(maxsize=1)
def _trained_dense(task: Task, settings: ImageSettings, seed: int) -> nn.Module:
    """A dense network to be cut, at the least rate."""
    return _trained(task, settings, seed, _dense(settings, seed), "dense", RATES["dense"][0], settings.epochs)


def _slim(make: Callable[[], nn.Module], where: str, ranks: Ranks, init: Any, seed: int) -> nn.Module:
    """A network whose layers of that pattern have these ranks, or as many as they have room for."""
    model, generator = make(), rng(seed)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, KANLinear) and fnmatchcase(name, where):
            fitting = [min(rank, room) for rank, room in zip(ranks, layer.coef.shape, strict=True)]
            model = slim(model, fitting, where=name, init=init, generator=generator)
    return model


def _trained(
    task: Task, settings: ImageSettings, seed: int, model: nn.Module, kind: str, lr: float, epochs: int
) -> nn.Module:
    (x, y), *_ = task.split(seed)
    size = settings.batch_size
    groups: Groups = lotra_groups(model, lr) if kind == "slim" else everything(model, lr)
    order = batches(len(x), size, epochs, rng(seed + 300))
    train(model, groups, _on_batches(x, y, task.loss, order), epochs * (len(x) // size))
    return model


@torch.no_grad()
def _held(task: Task, seed: int, model: nn.Module) -> float:
    """The loss at the validation samples."""
    x, y = task.split(seed)[1]
    loss = task.loss(model(x), y).item()
    return loss if math.isfinite(loss) else math.inf


@torch.no_grad()
def _report(task: Task, seed: int, model: nn.Module) -> Row:
    x, y = task.split(seed)[2]
    return {"parameters": count_parameters(model), "score": task.score(model(x), y).item()}


def _on_batches(x: Tensor, y: Tensor, loss: Measure, order: Iterator[Tensor]) -> Loss:
    def value(model: nn.Module) -> Tensor:
        rows = next(order)
        return loss(model(x[rows]), y[rows])

    return value


def mlp(widths: Sequence[int], parameters: int, seed: int) -> nn.Module:
    """The MLP with as many hidden layers as the KAN and about as many parameters."""
    hidden_layers = len(widths) - 2
    return _he_start(new_mlp(mlp_widths(widths[0], widths[-1], parameters, hidden_layers=hidden_layers)), seed)


def low_rank_mlp(widths: Sequence[int], parameters: int, seed: int) -> nn.Module:
    """The widths of the KAN, every matrix a product through as many dimensions as the parameters allow."""
    pairs = list(pairwise(widths))
    rank = (max(parameters, 900) - sum(widths[1:])) // sum(a + b for a, b in pairs)
    parts = [[nn.Linear(a, rank, bias=False), nn.Linear(rank, b), nn.SiLU()] for a, b in pairs]
    return _he_start(nn.Sequential(*itertools.chain(*parts))[:-1], seed)


def _he_start(net: nn.Sequential, seed: int) -> nn.Sequential:
    """The network with normal weights of variance 2 / inputs."""
    generator = rng(seed)
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


def _wave_split(seed: int) -> tuple[Samples, Samples, Samples]:
    sets = [uniform(n, 4, rng(seed + place)) for n, place in ((1000, 100), (500, 150), (2000, 200))]
    x, held, test = ((x, wave(x, 1.5)) for x in sets)
    return x, held, test


def _digits_split(seed: int) -> tuple[Samples, Samples, Samples]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images).float() / 8 - 1, torch.tensor(labels)
    order = torch.randperm(len(x), generator=rng(seed + 100))
    train, held, test = ((x[rows], y[rows]) for rows in order.split([1100, 200, 497]))
    return train, held, test


@lru_cache(maxsize=1)
def _mnist_split(seed: int) -> tuple[Samples, Samples, Samples]:
    images, labels = load_mnist_5000()
    order = torch.randperm(len(images), generator=rng(seed + 100))
    train, held, test = ((_pixels(images[rows]), labels[rows]) for rows in order.split([3500, 500, 1000]))
    return train, held, test


def _fashion_split(seed: int) -> tuple[Samples, Samples, Samples]:
    return _fashion()


@cache
def _fashion() -> tuple[Samples, Samples, Samples]:
    images = load_fashion_mnist()
    x, y = _pixels(images.train), images.train_labels
    return (x[:55000], y[:55000]), (x[55000:], y[55000:]), (_pixels(images.test), images.test_labels)


def _study(
    name: str,
    title: str,
    task: Task,
    settings: ImageSettings,
    *,
    seeds: int = 5,
    tiny: ImageSettings | None = None,
    higher_is_better: bool = True,
) -> Study[ImageSettings]:
    label, log = ("accuracy on test images, %", "x") if higher_is_better else ("test MSE", "xy")
    return Study(
        name=f"lotra-{name}",
        title=title,
        cases=partial(cases, task),
        measure=partial(measure, task),
        summarise=partial(summarise, higher_is_better=higher_is_better),
        draw=Curves("parameters", ("score_median",), _family, log=log, label=label).draw,
        settings=settings,
        seeds=tuple(range(seeds)),
        tiny=tiny,
    )


def _family(row: Row) -> str:
    return str(row["method"]).split(" as ", maxsplit=1)[0].split(" (", maxsplit=1)[0]


_MSE, _ENTROPY = nn.functional.mse_loss, nn.functional.cross_entropy
_WIDE = (("layers.0", (42, 4, 24)), ("*", (16, 3, 12)))
STUDIES = (
    _study(
        "functions",
        "A function of four inputs, 1,000 samples: test MSE of slim layers, dense layers and MLPs",
        Task((("*", (8, 6, 8)), ("*", (4, 4, 4))), _wave_split, _MSE, _MSE),
        ImageSettings((4, 32, 32, 1), 143, 50, 128),
        tiny=ImageSettings((4, 16, 16, 1), 1, 1, 500),
        higher_is_better=False,
    ),
    _study(
        "digits",
        "The 8x8 digits of scikit-learn: accuracy in % of slim layers, dense layers and MLPs",
        Task((("*", (16, 4, 16)), ("*", (8, 3, 8))), _digits_split, _ENTROPY, _accuracy),
        ImageSettings((64, 64, 10), 15, 5, 64),
    ),
    _study(
        "mnist",
        "5,000 digits of MNIST: accuracy in % of slim layers, dense layers and MLPs",
        Task(_WIDE, _mnist_split, _ENTROPY, _accuracy),
        ImageSettings((784, 64, 10), 20, 8, 64),
        seeds=3,
    ),
    _study(
        "fashion",
        "FashionMNIST, 55,000 images: accuracy in % of slim layers, dense layers and MLPs",
        Task(_WIDE, _fashion_split, _ENTROPY, _accuracy),
        ImageSettings((784, 64, 10), 6, 3, 256),
        seeds=3,
    ),
)
