"""What may watch a run: callables that see its state and may end it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class State:
    """A run after one evaluation: the live model (read it, do not change its structure) and the newest record."""

    model: nn.Module
    step: int
    record: dict[str, Any]


Callback = Callable[[State], bool | None]
"""Called after every evaluation; a true answer ends the run."""


@dataclass
class EarlyStopping:
    """End the run when the watched loss has not improved for `patience` evaluations.

    Watches the validation loss where there is one, else the training loss; an improvement is more than `min_delta`.
    """

    patience: int = 20
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ValueError(f"EarlyStopping: patience must be at least 1, got {self.patience}")

    def waited(self, history: list[dict[str, Any]]) -> bool:
        """True where the last `patience` records brought no improvement."""
        best, since = math.inf, 0
        for record in history:
            value = record.get("validation", record["loss"])
            best, since = (value, 0) if value < best - self.min_delta else (best, since + 1)
        return since >= self.patience
