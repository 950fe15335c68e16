"""Callables that see the state of a run and may end it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import nn

from edgewise.training.result import Record


@dataclass(frozen=True)
class State:
    """A run after one evaluation: the live model (read it, do not change its structure) and the newest record."""

    model: nn.Module
    step: int
    record: Record


Callback: TypeAlias = Callable[[State], bool | None]
"""Called after every evaluation; a true answer ends the run."""


def ended_by(callbacks: Sequence[Callback], state: State) -> bool:
    """Show the state to all callbacks; True where one of them ends the run."""
    return any([callback(state) for callback in callbacks])


@dataclass(frozen=True)
class EarlyStopping:
    """End the run when the loss has not improved for `patience` evaluations.

    The validation loss counts where there is one, else the training loss; an improvement is more than `min_delta`.
    """

    patience: int = 20
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {self.patience}")

    def waited(self, history: Sequence[Record]) -> bool:
        """True where the last `patience` records brought no improvement."""
        best, since = math.inf, 0
        for record in history:
            value = record.get("validation", record["loss"])
            best, since = (value, 0) if value < best - self.min_delta else (best, since + 1)
        return since >= self.patience
