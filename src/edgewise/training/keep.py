"""The states that a run keeps: the best one, the running mean, and a file from which an interrupted run resumes."""

from __future__ import annotations

import copy
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from edgewise.io.reading import reading
from edgewise.io.sealed import read_sealed, write_sealed

Kept = TypeVar("Kept")

FORMAT = 3  # of the files


@dataclass
class Best(Generic[Kept]):
    """The state with the least value so far; the first one that is offered is kept in any case."""

    value: float = math.inf
    state: Kept | None = None

    def beaten_by(self, value: float, share: float = 1.0) -> bool:
        """True where `value` is less than this share of the best one, or nothing is kept yet."""
        return self.state is None or value < share * self.value

    def keep(self, value: float, state: Kept) -> None:
        """Replace what is kept."""
        self.value, self.state = value, state


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often a run stores its state.

    Args:
        path: the file; its folder must exist.
        every: epochs between two stores; a step on all samples is one epoch.
    """

    path: str | Path
    every: int = 20

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"Checkpoint: every must be at least 1, got {self.every}")

    def save(self, settings: dict[str, Any], state: dict[str, Any]) -> None:
        """Write the state of a run with these settings; the file is either the old or the new one, never a part."""
        buffer = io.BytesIO()
        torch.save({"settings": {"format": FORMAT, **settings}, **state}, buffer)
        write_sealed(self.path, buffer.getvalue())

    def load(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The stored state, or None where there is no file; it must come from a run with the same settings."""
        path = Path(self.path)
        if not path.exists():
            return None
        with reading(path, "; it is not a checkpoint that this version of `fit` wrote: remove it to start afresh"):
            state = torch.load(io.BytesIO(read_sealed(path)), weights_only=True)
            stored = {key: repr(value) for key, value in state["settings"].items()}  # whatever the values are
        changed = [
            f"{key} {stored.get(key)} -> {value!r}"
            for key, value in {"format": FORMAT, **settings}.items()
            if stored.get(key) != repr(value)
        ]
        if changed:
            raise ValueError(f"{path} belongs to another run ({'; '.join(changed)}); remove it to start afresh")
        return state


class Average:
    r"""The running mean of a model's parameters, $\bar\theta \leftarrow d_n\bar\theta + (1 - d_n)\theta$ after step n.

    Early on it is faster: $d_n = \min(d, n / (n + 9))$.

    Args:
        model: the model to follow; its structure must stay.
        decay: d in [0, 1), such as 0.999.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def follow_(self, model: nn.Module) -> None:
        """Move towards the model after a step of the optimiser; buffers are copied."""
        share = 1 - min(self.decay, self.steps / (self.steps + 9))
        for mean, now in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(now.to(mean.dtype), share)
        for mean, now in zip(self.model.buffers(), model.buffers(), strict=True):
            mean.copy_(now)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """The mean and the number of steps."""
        return {"model": self.model.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.steps = state["steps"]
