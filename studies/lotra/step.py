"""How long a training step takes: an adapter against all coefficients."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.nn import KANLinear
from studies.lotra.common import everything, rng, uniform
from studies.lotra.journal import Journal, Outcome

COLUMNS = ("full ms", "LoTRA ms", "times faster")
SIZES = ((64, 1024), (128, 1024), (256, 1024), (512, 1024), (1024, 128))


def study(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """A step of Adam on one n x n layer, 5 intervals: all coefficients against LoTRA (8, 4, 8), CPU time."""
    rounds = 2 + 3 * len(list(seeds))
    places = [(n, batch, gradient) for n, batch in SIZES for gradient in (False, True)]
    return [
        {
            "n": n,
            "batch": batch,
            "gradient of x": gradient,
            **{name: v for name, v in once(f"{n}, {batch}, {gradient}, {rounds}", measure).items() if name in COLUMNS},
        }
        for n, batch, gradient in places
        for measure in [partial(_measured, n, batch, gradient, rounds)]
    ]


def _measured(n: int, batch: int, gradient: bool, rounds: int) -> Outcome:
    """Medians over steps that take turns, without the first two."""
    layer = KANLinear(n, n, generator=rng(0))
    adapted = add_lotra(layer, generator=rng(1))
    x = uniform(batch, n, rng(2)).requires_grad_(gradient)
    steps = [_step(layer, everything(layer, 1e-3), x), _step(adapted, lotra_groups(adapted), x)]
    times: list[list[float]] = [[], []]
    for _ in range(rounds):
        for spent, step in zip(times, steps, strict=True):
            start = time.process_time()
            step()
            spent.append(time.process_time() - start)
    full, low = (1e3 * statistics.median(spent[2:]) for spent in times)
    return {name: float(f"{v:.3g}") for name, v in zip(COLUMNS, (full, low, full / low), strict=True)}


def _step(model: nn.Module, groups: Any, x: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(groups)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(x).square().mean().backward()
        optimizer.step()

    return step
