"""A format of files: how it is written, what runs it, and the extra that both need."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from edgewise.exporting.subject import Subject

Runner = Callable[..., tuple[Tensor, ...]]
"""A loaded file: takes the inputs as tensors, returns the outputs as tensors."""


@dataclass(frozen=True)
class Format:
    """One way to write a model for a runtime.

    Args:
        name: as `export` takes it.
        suffix: of its files, such as ".onnx".
        write: writes the subject to a path, which does not exist yet and whose folder holds nothing else. More files of
            the same stem may lie beside it.
        load: opens a file of this format for the subject in its runtime; None where nothing runs it here.
        runtime: what `load` runs it in, for the report.
        extra: of edgewise, with the packages; None where nothing is needed.
        packages: the distributions that `write` and `load` need, by the module that they provide.
        any_batch: whether a written file can take any number of rows.
        most_rows: the most rows that such a file takes; None where there is no limit.
        graph: whether `write` writes the graph of torch that `Subject.lowered` describes.
    """

    name: str
    suffix: str
    write: Callable[[Subject, Path], None]
    load: Callable[[Path, Subject], Runner] | None = None
    runtime: str = ""
    extra: str | None = None
    packages: tuple[tuple[str, str], ...] = ()
    any_batch: bool = True
    most_rows: int | None = None
    graph: bool = False

    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [name for name, module in self.packages if importlib.util.find_spec(module) is None]

    def require(self) -> None:
        """Raise `ImportError`, with what to install, where a package is missing."""
        missing = self.missing()
        if missing:
            raise ImportError(
                f"the format {self.name!r} needs {', '.join(missing)}: pip install edgewise[{self.extra}]"
            )

    def versions(self) -> dict[str, str]:
        """The installed version of every package that the format needs."""
        return {name: importlib.metadata.version(name) for name, _ in self.packages}
