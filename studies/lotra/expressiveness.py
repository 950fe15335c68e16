"""How well an update of low rank replaces the one that full fine-tuning finds."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from edgewise.adapters import add_lotra, lotra_groups
from edgewise.adapters.decompose import compose, tails, tucker
from edgewise.nn import KAN
from studies.lotra.common import TASKS, Loss, everything, mse, pretrained, rng, train, uniform
from studies.lotra.curves import Curves
from studies.study import Case, Row, Run, Settings, Study, option
from studies.table import grouped

COLUMNS = ("lower_bound", "squared_error", "upper_bound", "mse_full", "mse_truncated", "mse_trained")
RANKS = ((2, 2, 2), (4, 3, 4), (8, 4, 8), (16, 6, 16), (32, 9, 32))


@dataclass(frozen=True)
class RankSettings(Settings):
    """Settings of the study of ranks."""

    largest: int = option(32, "largest rank", selects=True)
    pretraining_steps: int = option(200, "steps of the network before")
    steps: int = option(300, "steps of full tuning and of LoTRA")


def cases(settings: RankSettings, seeds: Sequence[int]) -> list[Case]:
    """Every triple of ranks for every seed."""
    return [{"ranks": ranks, "seed": seed} for seed in seeds for ranks in RANKS if ranks[0] <= settings.largest]


def measure(case: Case, run: Run[RankSettings]) -> Row:
    """HOOI error of the update within the HOSVD bounds, and MSE of the network full, truncated and trained low."""
    seed, steps = case["seed"], run.settings.steps
    a, b, c = case["ranks"]
    base, full, loss = _tuned(seed, run.settings.pretraining_steps, steps)
    update = (_hidden(full) - _hidden(base)).double()
    energy, left = update.square().sum(), tails(update)
    approximation = compose(*tucker(update, (a, b, c)))
    bounds = torch.stack([t[r] for t, r in zip(left, (a, b, c), strict=True)]) / energy
    cut = copy.deepcopy(full)
    with torch.no_grad():
        cut.get_parameter("layers.1.coef").copy_(_hidden(base) + approximation)
    low = add_lotra(base, {"layers.1": (a, b, c), "*": (8, 4, 8)}, generator=rng(seed))
    train(low, lotra_groups(low, 0.3), loss, steps)
    error = (approximation - update).square().sum() / energy
    values = (bounds.max(), error, bounds.sum(), *map(loss, (full, cut, low)))
    return dict(zip(COLUMNS, (value.item() for value in values), strict=True))


def summarise(rows: list[Row]) -> list[Row]:
    """Every triple of ranks: medians over the seeds."""
    return [
        {"ranks": group[0]["ranks"], "seeds": len(group)}
        | {f"{key}_median": statistics.median(row[key] for row in group) for key in COLUMNS}
        for group in grouped(rows, ("ranks",))
    ]


@lru_cache(maxsize=1)
def _tuned(seed: int, pretraining_steps: int, steps: int) -> tuple[KAN, KAN, Loss]:
    """A network before and after full fine-tuning, and the loss."""
    base = pretrained(32, seed, pretraining_steps)
    x, target = uniform(512, 4, rng(seed + 100)), TASKS["shift"]
    full, loss = copy.deepcopy(base), mse(x, target(x))
    train(full, everything(full, 0.01), loss, steps)
    return base, full, loss


def _hidden(model: KAN) -> Tensor:
    return model.get_parameter("layers.1.coef").detach()


STUDY = Study(
    name="lotra-expressiveness",
    title="The update of a 32x32 layer against ranks: error of its truncation, MSE truncated and trained",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=Curves("ranks", ("mse_truncated_median", "mse_trained_median", "mse_full_median"), log="y").draw,
    settings=RankSettings(),
    tiny=RankSettings(2, 2, 2),
)
