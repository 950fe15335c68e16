"""Files that let an interrupted run go on: plain tensors and numbers, written aside and then renamed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often (in epochs; a full batch is one) a run writes its state."""

    path: str | Path
    every: int = 20

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"Checkpoint: every must be at least 1, got {self.every}")

    def save(self, state: dict[str, Any]) -> None:
        """Write the state; the file is either the old or the new one, never a part."""
        path = Path(self.path)
        aside = path.with_name(f"{path.name}.{os.getpid()}.part")
        torch.save(state, aside)
        os.replace(aside, path)

    def load(self, settings: dict[str, Any]) -> dict[str, Any] | None:
        """The stored state, or None where there is no file; it must come from a run with the same settings."""
        path = Path(self.path)
        if not path.exists():
            return None
        try:
            state = torch.load(path, weights_only=True)
            stored = state["settings"]
        except Exception as error:
            raise ValueError(f"{path} is not a checkpoint that `fit` wrote; remove it to start afresh") from error
        changed = [
            f"{key} {stored.get(key)!r} -> {value!r}" for key, value in settings.items() if stored.get(key) != value
        ]
        if changed:
            raise ValueError(f"{path} belongs to another run ({'; '.join(changed)}); remove it to start afresh")
        return state
