r"""The running mean of a model's numbers, $\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta$ after every step."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class Average:
    r"""A copy of a model that follows it slowly; early on faster, by $d_n = \min(d, n / (n + 9))$.

    Args:
        model: what is followed; its structure must stay.
        decay: d, such as 0.999.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of an average must be in [0, 1), got {decay}")
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def follow_(self, model: nn.Module) -> None:
        """After a step of the optimiser: move towards the model. Buffers are copied."""
        share = 1 - min(self.decay, self.steps / (self.steps + 9))
        for mean, now in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(now.to(mean.dtype), share)
        for mean, now in zip(self.model.buffers(), model.buffers(), strict=True):
            mean.copy_(now)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.steps = state["steps"]
