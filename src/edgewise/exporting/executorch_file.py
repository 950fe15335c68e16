r"""ExecuTorch files, for devices: portable kernels, no delegate.

Its kernels of layer and group normalisation take the variance as $E[x^2] - E[x]^2$ in single precision, which loses the
digits of what varies little around a large mean (ExecuTorch 1.5.1: 0.03 of an output of 1 where the deviation is a
hundredth of the mean). The graph that is written subtracts the mean first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
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
    aten = torch.ops.aten
    written = {aten.layer_norm.default: _layer_norm, aten.group_norm.default: _group_norm}
    graph = exported_graph(subject, "executorch", MOST_ROWS).run_decompositions(written)
    with quietly():
        from executorch.exir import to_edge

        facts = json.dumps(subject.metadata_texts(), ensure_ascii=True)
        to_edge(graph, constant_methods={METADATA: facts}).to_executorch().save(str(path))


def _layer_norm(
    x: Tensor,
    shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """The function of torch in operations that keep its digits."""
    return _scaled(_normalised(x, len(shape), eps), weight, bias)


def _group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """The function of torch on (batch, channels, *space), in operations that keep its digits."""
    y = _normalised(x.unflatten(1, (groups, -1)), x.ndim - 1, eps).flatten(1, 2)
    channels = (-1, *[1] * (x.ndim - 2))
    parts = (None if part is None else part.reshape(channels) for part in (weight, bias))
    return _scaled(y, *parts)


def _normalised(x: Tensor, axes: int, eps: float) -> Tensor:
    r"""$(x - E x) / \sqrt{E (x - E x)^2 + \epsilon}$ over the last axes."""
    last = list(range(-axes, 0))
    centred = x - x.mean(last, keepdim=True)
    return centred * torch.rsqrt((centred * centred).mean(last, keepdim=True) + eps)


def _scaled(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


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
