"""The folder of a run: it appears whole or not at all, and an interrupted run goes on where it was.

While a run lasts everything stands in `NAME.partial` beside the folder, one file for every stage that is complete. At
the end the stages are dropped and the folder is renamed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from edgewise.io import load, save
from edgewise.nn import KAN

T = TypeVar("T")
STAGES = "stages"


class RunDirectoryError(ValueError):
    """A folder that cannot be used; the message says why and what to do."""


class RunDirectory:
    """Stages are computed once: a second run with the same `fingerprint` reads what the first one stored.

    Args:
        out: the folder to make.
        fingerprint: everything that the results depend on.
        force: replace an existing folder.
    """

    def __init__(self, out: Path, fingerprint: Mapping[str, Any], *, force: bool = False) -> None:
        self.out, self.force = out, force
        self.partial = out.with_name(f"{out.name}.partial")
        if out.exists() and not force:
            raise RunDirectoryError(f"{out} exists; choose another --out, or replace it with --force")
        if out.exists() and not (out / "metrics.json").is_file() and (out.is_file() or any(out.iterdir())):
            raise RunDirectoryError(f"{out} is not the folder of a run, so --force does not replace it")
        text = json.dumps(fingerprint, sort_keys=True)
        marker = self.partial / "run.json"
        self.resumed = marker.is_file() and marker.read_text() == text
        if not self.resumed:
            shutil.rmtree(self.partial, ignore_errors=True)
            (self.partial / STAGES).mkdir(parents=True)
            write_text(marker, text)

    def json(self, stage: str, compute: Callable[[], T]) -> T:
        """The JSON value of a stage."""
        path = self.partial / STAGES / f"{stage}.json"
        if not path.is_file():
            value = compute()
            write_text(path, json.dumps(value))
        return json.loads(path.read_text())

    def model(self, stage: str, compute: Callable[[], KAN]) -> KAN:
        """The network of a stage."""
        path = self.partial / STAGES / f"{stage}.safetensors"
        if not path.is_file():
            save(compute(), path)
        model = load(path)
        assert isinstance(model, KAN)
        return model

    def write(self, name: str, text: str) -> None:
        """A file of the result."""
        write_text(self.partial / name, text)

    def commit(self) -> None:
        """Make the folder: what was there is replaced in one step."""
        shutil.rmtree(self.partial / STAGES)
        (self.partial / "run.json").unlink()
        old = self.out.with_name(f"{self.out.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        if self.out.exists():
            os.replace(self.out, old)
        os.replace(self.partial, self.out)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """The file is either the old or the new one, never a part."""
    aside = path.with_name(f"{path.name}.part")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
