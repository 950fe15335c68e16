"""OpenVINO files: the graph in NAME.xml, the numbers in NAME.bin."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.exported_graph import exported_graph, input_labels, quietly
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.subject import Subject

SECTION = "edgewise"


def write_openvino(subject: Subject, path: Path) -> None:
    """Two files, float32."""
    import openvino

    graph = exported_graph(subject, "openvino")
    with quietly():
        model = openvino.convert_model(graph)
    for port, name in zip(model.inputs, input_labels(subject), strict=True):
        port.get_tensor().set_names({name})
    for key, text in subject.metadata_texts().items():
        model.set_rt_info(text, [SECTION, key])
    # Weights are halved to float16 by default.
    openvino.save_model(model, path, compress_to_fp16=False)


def load_openvino(path: Path, subject: Subject) -> Runner:
    """The file on the CPU, in float32: on processors with bfloat16 the default precision is that."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(path, "CPU", settings)

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = compiled([x.numpy() for x in inputs])
        return tuple(torch.from_numpy(found[n].copy()) for n in range(len(compiled.outputs)))

    return run


OPENVINO = Format(
    "openvino",
    ".xml",
    write_openvino,
    load_openvino,
    runtime="openvino",
    extra="openvino",
    packages=(("openvino", "openvino"),),
    graph=True,
)
