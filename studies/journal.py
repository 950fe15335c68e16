"""Keeps what a study has measured, one JSON line each, so that an interrupted run resumes where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """An append-only file of JSON lines; a last line that an interruption tore is dropped.

    Args:
        path: the file, made by the first entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        if path.exists():
            whole, newline, torn = path.read_bytes().rpartition(b"\n")
            self.entries = [json.loads(line) for line in whole.splitlines()]
            if torn:
                os.truncate(path, len(whole + newline))

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry; it is on the disk when this returns."""
        line = json.dumps(entry, allow_nan=False, ensure_ascii=False) + "\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.entries.append(entry)

    def remove(self) -> None:
        """Delete the file: its entries are stored elsewhere."""
        self.path.unlink(missing_ok=True)
