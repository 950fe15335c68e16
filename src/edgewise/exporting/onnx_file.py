"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.exported_graph import exported_graph, input_labels, quietly
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.subject import Subject


def write_onnx(subject: Subject, path: Path) -> None:
    """One file; weights above 2 GB lie beside it."""
    graph = exported_graph(subject, "onnx")
    with quietly():
        program = torch.onnx.export(graph, dynamo=True, input_names=input_labels(subject), verbose=False)
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # source lines and paths of this machine, most of a small file
    for value in (*program.model.graph.inputs, *program.model.graph.outputs):
        value.metadata_props.clear()
    program.model.metadata_props.update(subject.metadata_texts())
    program.save(path)


def load_onnx(path: Path, subject: Subject) -> Runner:
    """A session on the CPU with one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        given = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        return tuple(torch.as_tensor(y) for y in session.run(None, given))

    return run


ONNX = Format(
    "onnx",
    ".onnx",
    write_onnx,
    load_onnx,
    runtime="onnxruntime",
    extra="onnx",
    packages=(("onnx", "onnx"), ("onnxscript", "onnxscript"), ("onnxruntime", "onnxruntime")),
    graph=True,
)
