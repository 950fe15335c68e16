"""What a training run returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class FitResult:
    """The trained model, one plain record per evaluation, and a report.

    Attributes:
        model: a new model; the one given to `fit` is as it was.
        history: dicts with "step" and "loss", and "penalty", "validation", "stage" where there are any.
        report: what was done and how it ended: "optimizer", "steps", "seconds", "stopped" ("finished", "early",
            "callback", "diverged", "interrupted", "time"), "loss", "validation", "parameters", "notes".
    """

    model: nn.Module
    history: list[dict[str, Any]]
    report: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """History and report as a JSON object."""
        return {"history": self.history, "report": self.report}
