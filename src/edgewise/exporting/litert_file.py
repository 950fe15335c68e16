"""LiteRT files (TensorFlow Lite), for phones."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.exported_graph import FlatOutputs, example_of, quietly
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.subject import Subject


def write_litert(subject: Subject, path: Path) -> None:
    """One file for the number of rows of the example."""
    graph = FlatOutputs(subject.lowered("litert")).eval()
    with quietly():
        import litert_torch

        litert_torch.convert(graph, example_of(subject)).export(str(path))


def load_litert(path: Path, subject: Subject) -> Runner:
    """The default signature of the file in the interpreter, with the XNNPACK kernels that it chooses itself."""
    with quietly():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path), num_threads=1)
    (name,) = interpreter.get_signature_list()
    outputs = len(interpreter.get_signature_list()[name]["outputs"])
    signature = interpreter.get_signature_runner(name)

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = signature(**{f"args_{n}": x.numpy() for n, x in enumerate(inputs)})
        return tuple(torch.as_tensor(found[f"output_{n}"]) for n in range(outputs))

    return run


LITERT = Format(
    "litert",
    ".tflite",
    write_litert,
    load_litert,
    runtime="ai-edge-litert",
    extra="litert",
    packages=(("litert-torch", "litert_torch"), ("ai-edge-litert", "ai_edge_litert")),
    any_batch=False,
    graph=True,
)
