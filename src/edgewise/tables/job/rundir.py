"""The folder of a run: whole or not there, and an interrupted run resumes after its last complete stage.

During a run everything is in `NAME.partial` beside the folder, one file per complete stage, and the files of the result
in a folder in there, which is moved out at the end. Every file is written whole: a stage is complete exactly where its
file exists. Every stage carries its SHA-256 digest, and the folder has those of all its files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from edgewise.io import load, save, write_whole
from edgewise.io.reading import read_json, reading
from edgewise.io.sealed import check_sums, read_sealed, write_sealed, write_sums
from edgewise.nn import KAN
from edgewise.tables.job.record import RunRecord

T = TypeVar("T")
STAGES, MODEL, RECORD = "stages", "model.safetensors", "metrics.json"


class RunDirectoryError(ValueError):
    """A folder that cannot be used; the message says why and what to do."""


class RunDirectory:
    """Every stage is computed once: a second run with the same `fingerprint` reads what the first one stored.

    Args:
        out: the folder to make.
        fingerprint: everything that the results depend on.
        force: replace an existing folder.
    """

    def __init__(self, out: Path, fingerprint: Mapping[str, Any], *, force: bool = False) -> None:
        self.out, self.force = out, force
        self.partial = _partial(out)
        self.result = self.partial / "result"
        if out.exists() and not force:
            raise RunDirectoryError(f"{out} exists; choose another --out, or replace it with --force")
        if out.exists() and not (out / RECORD).is_file() and (out.is_file() or any(out.iterdir())):
            raise RunDirectoryError(f"{out} is not the folder of a run, so --force does not replace it")
        text = json.dumps(fingerprint, sort_keys=True)
        marker = self.partial / "run.json"
        self.resumed = marker.is_file() and marker.read_bytes() == text.encode()
        if not self.resumed:
            shutil.rmtree(self.partial, ignore_errors=True)
        for folder in (self.partial / STAGES, self.result):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.resumed:
            write_whole(marker, text)

    def has(self, stage: str) -> bool:
        """True for a stage that is complete."""
        return any((self.partial / STAGES).glob(f"{stage}.*"))

    def json(self, stage: str, compute: Callable[[], T]) -> T:
        """The JSON value of a stage: read where the stage is complete, else computed and stored."""
        path = self.partial / STAGES / f"{stage}.json"
        if not path.is_file():
            write_sealed(path, json.dumps(compute()).encode())
        with reading(path, self._remedy):
            return json.loads(read_sealed(path))

    def model(self, stage: str, compute: Callable[[], KAN]) -> KAN:
        """The network of a stage: read where the stage is complete, else computed and stored."""
        path = self.partial / STAGES / f"{stage}.safetensors"
        if not path.is_file():
            save(compute(), path)
        with reading(path, self._remedy):
            model = load(path)
        assert isinstance(model, KAN)
        return model

    def write(self, name: str, text: str) -> None:
        """Write a file of the result."""
        write_whole(self.result / name, text)

    def commit(self) -> None:
        """Make the folder; an earlier one is replaced in one step."""
        write_sums(self.result)
        old = self.out.with_name(f"{self.out.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        if self.out.exists():
            os.replace(self.out, old)
        os.replace(self.result, self.out)
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(self.partial, ignore_errors=True)

    @property
    def _remedy(self) -> str:
        return f"; delete {self.partial} to start afresh"


def read_record(run: Path) -> RunRecord:
    """The record of a finished run, whose files are checked against their digests.

    Raises `RunDirectoryError` where there is no run, and `FileFormatError` where one of its files has changed.
    """
    path = run / RECORD
    if not path.is_file():
        hint = "; its run was interrupted, give the same `edgewise fit` command to finish it" * _partial(run).is_dir()
        raise RunDirectoryError(f"{run} is not the folder of a run: it has no {RECORD}{hint}")
    with reading(run, "; run `edgewise fit` again"):
        check_sums(run, (RECORD, MODEL))
        return RunRecord.from_json(read_json(path))


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")
