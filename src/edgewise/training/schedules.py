"""Learning rates that change during a run: a factor that depends on the share of the steps done."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from torch import Tensor
from torch.optim import Optimizer

Factor: TypeAlias = Callable[[float], float]
"""The share of the steps done, in [0, 1), to the factor of the learning rate."""

SHAPES: Mapping[str, Factor] = MappingProxyType(
    {
        "constant": lambda share: 1.0,
        "linear": lambda share: 1 - share,
        "cosine": lambda share: (1 + math.cos(math.pi * share)) / 2,
    }
)


@dataclass(frozen=True)
class Schedule:
    r"""A learning rate that rises during a warm-up and falls afterwards.

    At the share $s$ of the steps the learning rate is multiplied by

    $$ \frac{s}{w} \quad (s < w), \qquad e + (1 - e)\, h\Big(\frac{s - w}{1 - w}\Big) \quad (s \ge w), $$

    where $h(t)$ is 1 for "constant", $1 - t$ for "linear" and $(1 + \cos \pi t)/2$ for "cosine" (Loshchilov and Hutter,
    ICLR 2017, without restarts).

    Args:
        shape: "constant", "linear" or "cosine".
        warmup: the share $w$ of the steps, in [0, 1).
        end: the factor $e$ at the end, in [0, 1].
    """

    shape: str = "cosine"
    warmup: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"Schedule: shape must be one of {', '.join(map(repr, SHAPES))}, got {self.shape!r}")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"Schedule: warmup is a share of the steps in [0, 1), such as 0.05, got {self.warmup}")
        if not 0 <= self.end <= 1:
            raise ValueError(f"Schedule: end is a factor in [0, 1], got {self.end}")

    def __call__(self, share: float) -> float:
        """The factor of the learning rate at a share of the steps."""
        if share < self.warmup:
            return share / self.warmup
        return self.end + (1 - self.end) * SHAPES[self.shape]((share - self.warmup) / (1 - self.warmup))


def get_schedule(schedule: str | Factor | None) -> Factor | None:
    """The schedule of this name without a warm-up, or the given function; None for a constant rate."""
    if isinstance(schedule, str):
        if schedule not in SHAPES:
            raise ValueError(
                f"unknown schedule {schedule!r}; choose {', '.join(map(repr, SHAPES))}, or give "
                "Schedule(shape, warmup=...) or a function of the share of the steps"
            )
        return Schedule(schedule)
    if schedule is not None and not callable(schedule):
        raise TypeError(
            f"schedule must be a name, Schedule(...) or a function of the share of the steps, got {schedule!r}"
        )
    return schedule


def name_of(schedule: str | Factor) -> str:
    """What a checkpoint knows a schedule by: its settings, or the name of a function, the same in every process."""
    return getattr(schedule, "__qualname__", None) or re.sub(r" at 0x[0-9a-f]+", "", repr(get_schedule(schedule)))


def set_rates_(optimizer: Optimizer, schedule: str | Factor | None, step: int, steps: int) -> None:
    """Set the learning rate of this step in every group; the initial one is kept as `initial_lr`, torch's name for it.

    The share of the steps is step / steps, but half a step at the first one, where a warm-up would give the rate 0.
    """
    factor = get_schedule(schedule)
    if factor is None or step >= steps:
        return
    value = factor((step or 0.5) / steps)
    if not 0 <= value < math.inf:
        raise ValueError(f"a schedule must give a factor >= 0 of the learning rate, got {value} at step {step}/{steps}")
    for group in optimizer.param_groups:
        rate = float(group.setdefault("initial_lr", float(group["lr"]))) * value
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
