"""The graph of a subject as torch exports it: lowered, in the precision of the file, with a free number of rows."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.exporting.subject import Subject, cast, flat


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings, log lines and prints of converters, which are about themselves and not about the model."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


class FlatOutputs(nn.Module):
    """A model whose outputs are a tuple of tensors, whatever they were."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the model in order."""
        return flat(self.model(*inputs))


def exported_graph(subject: Subject, format: str, most_rows: int | None = None) -> Any:
    """The `torch.export.ExportedProgram` of the lowered model.

    Raises `ValueError` where the model cannot be exported, or not with a free number of rows.
    """
    graph = FlatOutputs(subject.lowered(format)).eval()
    inputs = example_of(subject)
    shapes: Any = None
    if subject.any_batch:
        batch = torch.export.Dim("batch", min=1, max=most_rows)
        shapes = {"inputs": tuple({0: batch} for _ in inputs)}
        if len(inputs[0]) == 1:  # one row would become a constant of the graph
            inputs = tuple(torch.cat([x, x]) for x in inputs)
    try:
        with torch.no_grad(), quietly():
            return torch.export.export(graph, inputs, dynamic_shapes=shapes)
    except Exception as error:
        advice = "; try any_batch=False, which fixes the number of rows" if subject.any_batch else ""
        kind = type(subject.model).__name__
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        raise ValueError(f"torch.export cannot export this {kind}: {reason}{advice}") from error


def example_of(subject: Subject) -> tuple[Tensor, ...]:
    """The example in the precision of the file."""
    return tuple(cast(x, subject.dtype) for x in subject.example)


def input_labels(subject: Subject) -> list[str]:
    """The names of the tensors that the file takes: those of several inputs, x for one table of features."""
    several = len(subject.example) > 1
    known = len(subject.input_names) == len(subject.example)
    return list(subject.input_names) if several and known else [f"x{n or ''}" for n in range(len(subject.example))]
