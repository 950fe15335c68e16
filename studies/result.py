"""Defines `StudyResult`, the one JSON schema of `studies/results`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from edgewise.io.whole import write_whole
from studies.study import Row

SCHEMA = 1
INNERMOST = re.compile(r"\[\n[^][{}]*\]")
"""A list of numbers or strings in indented JSON; it is written in one line."""
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class StudyResult:
    """What a study measured, where, and its summary.

    Args:
        study: its name.
        title: one line.
        settings: all of its settings, as they were.
        environment: of `studies.environment.environment`: the commit, the versions and the machine.
        rows: one for each case: its values, what was measured, "cpu_seconds" and the "commit" that measured it. A row
            of an older layout has what does not fit under "legacy".
        summary: the rows of the table, over the seeds.
        shared: what was computed once for all cases.
        missing: the number of cases that were not measured.
        schema: the version of this layout.
    """

    study: str
    title: str
    settings: dict[str, Any]
    environment: dict[str, Any]
    rows: list[Row]
    summary: list[Row]
    shared: dict[str, Any] = field(default_factory=dict)
    missing: int = 0
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The result as the text of a JSON file."""
        content = {"schema": self.schema} | asdict(self)
        text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
        return INNERMOST.sub(lambda found: re.sub(r"\n\s*", " ", found[0]), text) + "\n"

    @classmethod
    def from_json(cls, text: str) -> StudyResult:
        """The result of the text of a JSON file; `ValueError` where it is none."""
        found = json.loads(text)
        if not isinstance(found, Mapping) or found.get("schema") != SCHEMA:
            raise ValueError(f"this is no result of a study of schema {SCHEMA}")
        known = {f.name for f in fields(cls)}
        if set(found) - known or known - set(found):
            raise ValueError(f"a result has the keys {sorted(known)}, this one has {sorted(found)}")
        return cls(**found)

    @classmethod
    def read(cls, name: str, folder: Path = RESULTS) -> StudyResult | None:
        """The stored result of a study, or None where there is none."""
        path = folder / f"{name}.json"
        try:
            return cls.from_json(path.read_text(encoding="utf-8")) if path.exists() else None
        except ValueError as error:
            raise ValueError(f"{path} is not readable ({error}); move it away to measure anew") from error

    def write(self, folder: Path = RESULTS) -> Path:
        """Write `folder/STUDY.json` in one step."""
        folder.mkdir(parents=True, exist_ok=True)
        return write_whole(folder / f"{self.study}.json", self.to_json())

    @property
    def has_legacy(self) -> bool:
        """Whether rows have values of an older layout, which the study cannot summarise."""
        return any("legacy" in row for row in self.rows)
