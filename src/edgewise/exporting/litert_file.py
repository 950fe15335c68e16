"""LiteRT files (TensorFlow Lite), for phones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.exported_graph import FlatOutputs, example_of, quietly
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.subject import Subject
from edgewise.io.whole import write_whole

METADATA = "edgewise"
"""The name of the metadata entry."""


def write_litert(subject: Subject, path: Path) -> None:
    """One file for the number of rows of the example."""
    graph = FlatOutputs(subject.lowered("litert")).eval()
    with quietly():
        import litert_torch

        litert_torch.convert(graph, example_of(subject)).export(str(path))
    _add_metadata(path, json.dumps(subject.metadata_texts()).encode())


def _add_metadata(path: Path, content: bytes) -> None:
    """A buffer of the model that a metadata entry of this name points to; interpreters pass over it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(content)
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    write_whole(path, bytes(builder.Output()))


def read_litert_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a file that `export` wrote, as texts by key; empty where there is none."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(Path(path).read_bytes(), 0))
    named = (entry for entry in model.metadata or [] if entry.name in (METADATA, METADATA.encode()))
    found = next(named, None)
    return {} if found is None else json.loads(bytes(model.buffers[found.buffer].data))


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
