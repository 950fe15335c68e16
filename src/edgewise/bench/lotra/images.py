"""Slim layers from scratch: parameters against error, beside dense layers and perceptrons of equal size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.adapters import lotra_groups, slim
from edgewise.bases import BSpline
from edgewise.bench.lotra.common import (
    Groups,
    Loss,
    batches,
    everything,
    rng,
    summary,
    train,
    uniform,
    wave,
)
from edgewise.data.images import load_fashion_mnist
from edgewise.fit.module import trained_numel
from edgewise.nn import KAN, KANLinear

Split = tuple[Tensor, Tensor, Tensor, Tensor]
Make = Callable[[torch.Generator], nn.Module]
RATES = {"dense": (0.003, 0.01), "slim": (0.1, 0.3), "perceptron": (0.003, 0.01)}


def functions(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """A function of four inputs, 1,000 samples, [4, 32, 32, 1]: test MSE of slim layers, 1,000 steps."""

    def split(seed: int) -> Split:
        x, test = uniform(1000, 4, rng(seed + 100)), uniform(2000, 4, rng(seed + 200))
        return x, wave(x, 1.5), test, wave(test, 1.5)

    loss = nn.functional.mse_loss
    return _compared([4, 32, 32, 1], ((8, 6, 8), (4, 4, 4)), split, seeds, loss, loss, epochs=143, size=128, worst=max)


def digits(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """The 8x8 digits of scikit-learn, [64, 64, 10], 15 epochs: accuracy in % on 497 images."""

    def split(seed: int) -> Split:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        x, y = torch.tensor(images).float() / 8 - 1, torch.tensor(labels)
        order = torch.randperm(len(x), generator=rng(seed + 100))
        x, y = x[order], y[order]
        return x[:1300], y[:1300], x[1300:], y[1300:]

    ranks = ((16, 4, 16), (8, 3, 8))
    return _compared([64, 64, 10], ranks, split, seeds, nn.functional.cross_entropy, _accuracy, epochs=15, size=64)


def fashion(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """FashionMNIST in full, [784, 64, 10], 5 epochs: accuracy in % on 10,000 images."""
    pictures = load_fashion_mnist()
    split = (_pixels(pictures.train), pictures.train_labels, _pixels(pictures.test), pictures.test_labels)
    return _compared(
        [784, 64, 10],
        ((32, 4, 16), (16, 3, 12)),
        lambda seed: split,
        seeds,
        nn.functional.cross_entropy,
        _accuracy,
        epochs=5,
        size=256,
    )


def _compared(
    widths: list[int],
    ranks: Iterable[tuple[int, int, int]],
    split: Callable[[int], Split],
    seeds: Iterable[int],
    loss: Callable[[Tensor, Tensor], Tensor],
    score: Callable[[Tensor, Tensor], Tensor],
    *,
    epochs: int,
    size: int,
    worst: Callable[[Any], float] = min,
) -> list[dict[str, Any]]:
    """Every method at two rates, chosen by the training loss."""
    found: dict[str, list[float]] = {}
    parameters: dict[str, int] = {}
    for seed in seeds:
        x, y, test, truth = split(seed)
        for name, (make, rates) in _methods(widths, ranks).items():
            tries = []
            for lr in rates:
                model = make(rng(seed))
                groups: Groups = lotra_groups(model, lr) if "slim" in name else everything(model, lr)
                order = batches(len(x), size, epochs, rng(seed + 300))
                train(model, groups, _on_batches(x, y, loss, order), epochs * (len(x) // size))
                with torch.no_grad():
                    fitted = loss(model(x[:10000]), y[:10000]).item()
                    tries.append((fitted if math.isfinite(fitted) else math.inf, score(model(test), truth).item()))
                parameters[name] = trained_numel(model)
            found.setdefault(name, []).append(min(tries)[1])
    return [{"method": n, "parameters": parameters[n], **summary("score", v, worst)} for n, v in found.items()]


def _on_batches(x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor], order: Iterator[Tensor]) -> Loss:
    def value(model: nn.Module) -> Tensor:
        rows = next(order)
        return loss(model(x[rows]), y[rows])

    return value


def _methods(widths: list[int], ranks: Iterable[tuple[int, int, int]]) -> Mapping[str, tuple[Make, tuple[float, ...]]]:
    basis = BSpline(5, 3)
    methods: dict[str, tuple[Make, tuple[float, ...]]] = {
        "dense KAN": (lambda g: KAN(widths, basis, generator=g), RATES["dense"])
    }
    for wanted in ranks:

        def small(g: torch.Generator, wanted: tuple[int, int, int] = wanted) -> KAN:
            model = KAN(widths, basis, generator=g)
            for name, layer in list(model.named_modules()):
                if isinstance(layer, KANLinear):
                    fitting = [min(rank, room) for rank, room in zip(wanted, layer.coef.shape, strict=True)]
                    model = slim(model, fitting, where=name, init="random", generator=g)
            return model

        numel = trained_numel(small(rng(0)))
        methods[f"slim {wanted}"] = (small, RATES["slim"])
        methods[f"perceptron as {wanted}"] = (lambda g, numel=numel: _perceptron(widths, numel, g), RATES["perceptron"])
        methods[f"low-rank perceptron as {wanted}"] = (
            lambda g, numel=numel: _low_rank_perceptron(widths, numel, g),
            RATES["perceptron"],
        )
    return methods


def _perceptron(widths: list[int], numel: int, generator: torch.Generator) -> nn.Module:
    """As many hidden layers as the KAN, as wide as the numbers allow."""
    layers = len(widths) - 2
    hidden = next(h for h in range(10**4, 0, -1) if _size([widths[0], *[h] * layers, widths[-1]]) <= max(numel, 900))
    return _net([widths[0], *[hidden] * layers, widths[-1]], None, generator)


def _low_rank_perceptron(widths: list[int], numel: int, generator: torch.Generator) -> nn.Module:
    """The widths of the KAN, every matrix a product through as many dimensions as the numbers allow."""
    pairs = list(pairwise(widths))
    rank = next(r for r in range(10**4, 0, -1) if sum(r * (a + b) + b for a, b in pairs) <= max(numel, 900))
    return _net(widths, rank, generator)


def _size(widths: list[int]) -> int:
    return sum((a + 1) * b for a, b in pairwise(widths))


def _net(widths: list[int], rank: int | None, generator: torch.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b)] if rank is None else [nn.Linear(a, rank, bias=False), nn.Linear(rank, b)]
        layers.append(nn.SiLU())
    net = nn.Sequential(*layers[:-1])
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
