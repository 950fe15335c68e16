"""Packages of native code that torch compiles ahead of time (AOTInductor), for the processor of this machine."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.exported_graph import exported_graph, quietly
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.subject import Subject, flat


def write_package(subject: Subject, path: Path) -> None:
    """One file, loaded by `torch._inductor.aoti_load_package` or by libtorch; a C++ compiler is needed."""
    graph = exported_graph(subject, "torch")
    with quietly():
        torch._inductor.aoti_compile_and_package(
            graph, package_path=str(path), inductor_configs={"aot_inductor.metadata": subject.metadata_texts()}
        )


def load_package(path: Path, subject: Subject) -> Runner:
    """The package in this process."""
    model = torch._inductor.aoti_load_package(str(path))

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return flat(model(*inputs))

    return run


TORCH = Format(
    "torch", ".pt2", write_package, load_package, runtime="torch", packages=(("torch", "torch"),), graph=True
)
