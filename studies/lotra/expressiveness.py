"""How well an update of low rank stands for the one that full fine-tuning finds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.adapters.decompose import compose, tails, tucker
from edgewise.nn import KAN
from studies.lotra.common import TASKS, Loss, everything, mse, pretrained, rng, summary, train, uniform
from studies.lotra.journal import Journal, Outcome

COLUMNS = ("lower bound", "squared error", "upper bound", "MSE full", "MSE truncated", "MSE trained")
RANKS = ((2, 2, 2), (4, 3, 4), (8, 4, 8), (16, 6, 16), (32, 9, 32))


def study(seeds: Iterable[int], once: Journal) -> list[dict[str, Any]]:
    """The update of a 32x32 layer against ranks: HOOI error within the HOSVD bounds, MSE truncated, MSE trained."""
    found: dict[tuple[int, ...], list[Outcome]] = {}
    for seed in seeds:
        tuned = cache(partial(_tuned, seed))
        for ranks in RANKS:
            outcome = once(f"seed {seed}, {ranks}", partial(_measured, tuned, ranks, seed))
            found.setdefault(ranks, []).append(outcome)
    return [
        {"ranks": str(ranks)} | {k: summary(k, [o[k] for o in outcomes])[f"{k} median"] for k in COLUMNS}
        for ranks, outcomes in found.items()
    ]


def _tuned(seed: int) -> tuple[KAN, KAN, Loss]:
    """A network before and after full fine-tuning, and the loss."""
    base = pretrained(32, seed)
    x, target = uniform(512, 4, rng(seed + 100)), TASKS["shift"]
    full, loss = copy.deepcopy(base), mse(x, target(x))
    train(full, everything(full, 0.01), loss, 300)
    return base, full, loss


def _measured(tuned: Callable[[], tuple[KAN, KAN, Loss]], ranks: tuple[int, int, int], seed: int) -> Outcome:
    base, full, loss = tuned()
    update = (_hidden(full) - _hidden(base)).double()
    energy, left = update.square().sum(), tails(update)
    approximation = compose(*tucker(update, ranks))
    bounds = torch.stack([t[r] for t, r in zip(left, ranks, strict=True)]) / energy
    cut = copy.deepcopy(full)
    with torch.no_grad():
        cut.get_parameter("layers.1.coef").copy_(_hidden(base) + approximation)
    low = add_lotra(base, {"layers.1": ranks, "*": (8, 4, 8)}, generator=rng(seed))
    train(low, lotra_groups(low, 0.3), loss, 300)
    values = (
        bounds.max(),
        (approximation - update).square().sum() / energy,
        bounds.sum(),
        *map(loss, (full, cut, low)),
    )
    return dict(zip(COLUMNS, (value.item() for value in values), strict=True))


def _hidden(model: KAN) -> Tensor:
    return model.get_parameter("layers.1.coef").detach()
