"""How well an update of low rank stands for the one that full fine-tuning finds."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.adapters.decompose import compose, tails, tucker
from edgewise.bench.lotra.common import TASKS, everything, mse, pretrained, rng, summary, train, uniform
from edgewise.nn import KAN

RANKS = ((2, 2, 2), (4, 3, 4), (8, 4, 8), (16, 6, 16), (32, 9, 32))


def study(seeds: Iterable[int]) -> list[dict[str, Any]]:
    """The update of a 32x32 layer against ranks: HOOI error within the HOSVD bounds, MSE truncated, MSE trained."""
    found: dict[tuple[int, ...], list[dict[str, float]]] = {}
    for seed in seeds:
        base = pretrained(32, seed)
        x, target = uniform(512, 4, rng(seed + 100)), TASKS["shift"]
        loss = mse(x, target(x))
        full = copy.deepcopy(base)
        train(full, everything(full, 0.01), loss, 300)
        update = (_hidden(full) - _hidden(base)).double()
        energy, left = update.square().sum(), tails(update)
        for ranks in RANKS:
            approximation = compose(*tucker(update, ranks))
            bounds = torch.stack([t[r] for t, r in zip(left, ranks, strict=True)]) / energy
            cut = copy.deepcopy(full)
            with torch.no_grad():
                cut.get_parameter("layers.1.coef").copy_(_hidden(base) + approximation)
            tuned = add_lotra(base, {"layers.1": ranks, "*": None}, generator=rng(seed))
            train(tuned, lotra_groups(tuned, 0.3), loss, 300)
            found.setdefault(ranks, []).append(
                {
                    "lower bound": bounds.max().item(),
                    "squared error": ((approximation - update).square().sum() / energy).item(),
                    "upper bound": bounds.sum().item(),
                    "MSE full": loss(full).item(),
                    "MSE truncated": loss(cut).item(),
                    "MSE trained": loss(tuned).item(),
                }
            )
    return [
        {"ranks": str(ranks)} | {k: summary(k, [row[k] for row in rows])[f"{k} median"] for k in rows[0]}
        for ranks, rows in found.items()
    ]


def _hidden(model: KAN) -> Tensor:
    return model.get_parameter("layers.1.coef").detach()
