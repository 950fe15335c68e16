"""What a call of `fit` returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import nn

from edgewise._shown import shown
from edgewise.bases import Basis, basis_from_json
from edgewise.callbacks import Record
from edgewise.stored import read_fields

Stop: TypeAlias = Literal["finished", "early", "callback", "diverged", "interrupted", "time"]
"""Why a run ended: no steps left or nothing left to gain, early stopping, a callback, a loss that is not finite,
Ctrl-C, or the time limit."""


@shown
@dataclass(frozen=True)
class FitReport:
    """What was done, how it ended, and how good the returned model is; losses are in the units of the data.

    Args:
        method: what trained the model: "auto", "lm", the name of the optimiser or of its factory.
        loss_name: name of the loss.
        steps: optimiser steps done; of the search of "auto" those of all stages.
        stopped: why the run ended.
        seconds: duration in seconds.
        seed: seed of the run.
        loss: loss of the returned model on the training samples, without penalties.
        parameters: number of parameters: of curves, biases and symbols ("auto", and "lm" on a whole KAN), of what is
            trained ("lm" on other modules), or of the whole model (other methods).
        validation: loss of the returned model on the held-out samples; None where there are none.
        basis: basis of the first layer of a searched KAN; None for other methods.
        smoothed: whether its curves are smoothed; None for other methods.
        restored_step: step whose state is returned where that is not the last one; None where it is.
        notes: what a reader should know: a method that was replaced, and why; a divergence.
    """

    method: str
    loss_name: str
    steps: int
    stopped: Stop
    seconds: float
    seed: int
    loss: float
    parameters: int
    validation: float | None = None
    basis: Basis | None = None
    smoothed: bool | None = None
    restored_step: int | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        held = "" if self.validation is None else f", {self.validation:.4g} on held-out samples"
        how = f"{self.method}: {self.stopped} after {self.steps:,} steps and {self.seconds:.3g} s"
        return "\n".join([f"{self.loss_name} {self.loss:.4g}{held}; {self.parameters:,} parameters", how, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """The fields as a JSON object, read back by `from_json`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "basis": None if self.basis is None else self.basis.to_json(), "notes": list(self.notes)}

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> FitReport:
        """The report that `to_json` described."""
        basis = None if not isinstance(report, Mapping) else report.get("basis")
        return read_fields(cls, report, "a report of `fit`", basis=None if basis is None else basis_from_json(basis))


@dataclass(frozen=True)
class Shape:
    """A network of the front that `Auto(widths="auto")` finds; `error` is its held-out loss."""

    widths: tuple[int, ...]
    edges: int
    parameters: int
    error: float
    model: nn.Module


@shown
@dataclass(frozen=True)
class FitResult:
    """The trained model, one record per evaluation, and a report.

    Args:
        model: a new model; the one given to `fit` is unchanged.
        history: rows with "step" and "loss", and "penalty", "validation", "stage", "parameters", "widths" where there
            are any.
        report: what was done, how it ended, and how good the model is.
        front: with `Auto(widths="auto")`, the shapes that no other one beats in both edges and error, small ones first.
    """

    model: nn.Module
    history: list[Record]
    report: FitReport
    front: tuple[Shape, ...] = ()

    def __str__(self) -> str:
        front = [f"front: {list(s.widths)}, {s.edges} edges, error {s.error:.4g}" for s in self.front]
        return "\n".join([f"a trained {type(self.model).__name__} in .model", str(self.report), *front])

    def to_json(self) -> dict[str, Any]:
        """History, report and front as a JSON object."""
        front = [
            {"widths": s.widths, "edges": s.edges, "parameters": s.parameters, "error": s.error} for s in self.front
        ]
        return {"history": self.history, "report": self.report.to_json(), "front": front}
