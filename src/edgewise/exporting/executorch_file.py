"""ExecuTorch files, for devices: portable kernels, no delegate."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch import Tensor

from edgewise.exporting.exported_graph import exported_graph, quietly
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.subject import Subject

METADATA = "edgewise"
"""The method of the program that returns the metadata as JSON."""

MOST_ROWS = 64
"""The memory of a program is planned for its largest batch."""


def write_executorch(subject: Subject, path: Path) -> None:
    """One file, for up to `MOST_ROWS` rows."""
    graph = exported_graph(subject, "executorch", MOST_ROWS)
    with quietly():
        from executorch.exir import to_edge

        facts = json.dumps(subject.metadata_texts(), ensure_ascii=True)
        to_edge(graph, constant_methods={METADATA: facts}).to_executorch().save(str(path))


def read_executorch_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a file that `export` wrote, as texts by key."""
    with quietly():
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(Path(path))
    method = program.load_method(METADATA)
    assert method is not None
    return json.loads(method.execute([])[0])


def load_executorch(path: Path, subject: Subject) -> Runner:
    """The method `forward` of the program."""
    with quietly():
        from executorch.runtime import Runtime

        program = Runtime.get().load_program(path)
    method = program.load_method("forward")
    assert method is not None

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        # The outputs lie in memory of the program, which the next call overwrites.
        return tuple(y.clone() for y in method.execute([x.contiguous() for x in inputs]))

    run.program = program  # pyright: ignore[reportFunctionMemberAccess]  # it owns the memory of the method
    return run


EXECUTORCH = Format(
    "executorch",
    ".pte",
    write_executorch,
    load_executorch,
    runtime="executorch",
    extra="executorch",
    packages=(("executorch", "executorch"),),
    most_rows=MOST_ROWS,
    graph=True,
)
