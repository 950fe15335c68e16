"""What an export measured: how far the file is from the model, where, and how large it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgewise._shown import shown
from edgewise.stored import read_fields


class ExportError(ValueError):
    """The file does not compute what the model computes, or cannot be written or run; nothing of it was kept."""


@shown
@dataclass(frozen=True)
class ExportReport:
    """A written file and its check.

    Args:
        path: the file.
        format: its name.
        size: bytes, of all files and of folders with what is in them.
        error: the largest difference of file and model, relative to 1 (or what the output reaches, where that is less),
            the outputs and their sensitivity to the inputs: the equation is in `edgewise.exporting.file_check`; None
            where nothing here runs the file.
        forward_error: the same without the sensitivity; far outside the grids it is larger where the model
            itself is sensitive to rounding.
        inputs: how many inputs were compared: in the span of the grids, on knots, at both ends, outside and far off.
        tolerance: that `error` had to keep.
        runtime: what ran the file, with its version; empty where nothing did.
        packages: the versions of the packages that wrote it.
        rows: the number of rows that the file takes, such as "any", "1 to 64" or "4".
        digest: SHA-256 of the file; of a folder, of the digests of its files by name.
        sums: "plain" or "compensated", see `export`.
    """

    path: str
    format: str
    size: int
    error: float | None
    forward_error: float | None
    inputs: int
    tolerance: float
    runtime: str
    packages: Mapping[str, str]
    rows: str
    digest: str
    sums: str = "plain"

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object, read back by `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ExportReport:
        """The report that `to_json` described."""
        return read_fields(cls, fields, "a report of an export")

    def __str__(self) -> str:
        checked = "not run" if self.error is None else f"error {self.error:.1e} on {self.inputs} inputs"
        where = f" in {self.runtime}" if self.runtime else ""
        return f"{self.path}: {self.format}, {self.size:,} bytes, {checked}{where}"
