"""What the studies of adapters share: a training loop, and functions to transfer between."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.nn import KAN

Groups = list[dict[str, Any]]
Loss = Callable[[nn.Module], Tensor]


def rng(seed: int) -> torch.Generator:
    """A generator of random numbers."""
    return torch.Generator().manual_seed(seed)


def train(model: nn.Module, groups: Groups, loss: Loss, steps: int, optimizer: Any = torch.optim.Adam) -> None:
    """Adam with a cosine schedule to zero."""
    optimizer = optimizer(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        loss(model).backward()
        optimizer.step()
        schedule.step()


def everything(model: nn.Module, lr: float) -> Groups:
    """One group of all trained parameters."""
    return [{"params": [p for p in model.parameters() if p.requires_grad], "lr": lr}]


def mse(x: Tensor, y: Tensor) -> Loss:
    """The mean squared error on these rows."""
    return lambda model: (model(x) - y).square().mean()


def wave(x: Tensor, pace: float = 1.0) -> Tensor:
    """A smooth function of four inputs with variance near 1."""
    a, b, c, d = x.unbind(-1)
    return (torch.sin(pace * math.pi * a) + b * c * 2 + torch.cos(pace * math.pi * c) * d)[:, None]


TASKS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "shift": lambda x: wave(x + 0.25),
    "faster": lambda x: wave(x, 1.5),
    "mix": lambda x: wave(x) + torch.sin(math.pi * x[:, :1] * x[:, 3:]),
}


@lru_cache(maxsize=2)
def pretrained(n: int, seed: int, steps: int = 200) -> KAN:
    """A network of two hidden layers of n nodes that is trained on `wave`; not to be changed, for it is kept."""
    generator = rng(seed)
    model = KAN([4, n, n, 1], generator=generator)
    x = uniform(512, 4, generator)
    train(model, everything(model, min(0.01, 0.3 / n)), mse(x, wave(x)), steps)
    return model


def uniform(n: int, features: int, generator: torch.Generator) -> Tensor:
    """Points in [-1, 1]."""
    return 2 * torch.rand(n, features, generator=generator) - 1


def batches(rows: int, size: int, epochs: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of shuffled batches, the last incomplete one of an epoch left out."""
    for _ in range(epochs):
        order = torch.randperm(rows, generator=generator)
        yield from order[: rows - rows % size].split(size)
