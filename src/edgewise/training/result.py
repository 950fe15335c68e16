"""What a training run returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Shape:
    """A network of the front that `widths="auto"` walks along; `error` is its loss held out."""

    widths: tuple[int, ...]
    edges: int
    parameters: int
    error: float
    model: nn.Module


@dataclass(frozen=True)
class FitResult:
    """The trained model, one plain record per evaluation, and a report.

    Attributes:
        model: a new model; the one given to `fit` is as it was.
        history: dicts with "step" and "loss", and "penalty", "validation", "stage" where there are any.
        report: what was done and how it ended: "optimizer", "steps", "seconds", "stopped" ("finished", "early",
            "callback", "diverged", "interrupted", "time"), "loss", "validation", "parameters", "notes".
        front: the shapes tried with `widths="auto"` that no other beats in both edges and error, small ones first.
    """

    model: nn.Module
    history: list[dict[str, Any]]
    report: dict[str, Any]
    front: tuple[Shape, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """History, report and front as a JSON object."""
        front = [
            {"widths": s.widths, "edges": s.edges, "parameters": s.parameters, "error": s.error} for s in self.front
        ]
        return {"history": self.history, "report": self.report, "front": front}
