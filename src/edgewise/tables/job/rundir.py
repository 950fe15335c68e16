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
from edgewise.io.sealed import SUMS, check_sums, read_sealed, write_sealed, write_sums
from edgewise.io.whole import alone
from edgewise.nn import KAN
from edgewise.tables.job.record import RunRecord, check_format

T = TypeVar("T")
STAGES, LOCK, MODEL, RECORD = "stages", "lock", "model.safetensors", "metrics.json"


class RunDirectoryError(ValueError):
    """A folder that cannot be used; the message says why and what to do."""


class RunDirectory:
    """Every stage is computed once: a second run with the same `fingerprint` reads what the first one stored.

    Args:
        out: the folder to make.
        fingerprint: everything that the results depend on.
        force: replace an existing folder.

    One run at a time has the folder, until `close` or the end of `with`; `RunDirectoryError` says that another has it.
    """

    def __init__(self, out: Path, fingerprint: Mapping[str, Any], *, force: bool = False) -> None:
        self.out, self.force = out, force
        self.partial = _partial(out)
        self.result = self.partial / "result"
        self._require_free()
        self.partial.mkdir(parents=True, exist_ok=True)
        self._lock = (self.partial / LOCK).open("ab")
        try:
            if alone(self._lock) is False:
                raise RunDirectoryError(
                    f"another run is writing to {self.partial}; wait for it, or choose another --out"
                )
            self._require_free()
            self.resumed = self._begin(json.dumps(fingerprint, sort_keys=True))
        except BaseException:
            self.close()
            raise

    def _begin(self, fingerprint: str) -> bool:
        """Keep the stages that the same command left, and nothing else; True where it did."""
        marker = self.partial / "run.json"
        resumed = marker.is_file() and marker.read_bytes() == fingerprint.encode()
        for entry in self.partial.rglob(".*.part") if resumed else self.partial.iterdir():
            if entry.name != LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for folder in (self.partial / STAGES, self.result):
            folder.mkdir(exist_ok=True)
        if not resumed:
            write_whole(marker, fingerprint)
        return resumed

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another run have the folder."""
        self._lock.close()

    def _require_free(self) -> None:
        out = self.out
        if out.exists() and not self.force:
            raise RunDirectoryError(f"{out} exists; choose another --out, or replace it with --force")
        if out.exists() and not (out / RECORD).is_file() and (out.is_file() or any(out.iterdir())):
            raise RunDirectoryError(f"{out} is not the folder of a run, so --force does not replace it")

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
        self._require_free()
        write_sums(self.result)
        old = self.out.with_name(f"{self.out.name}.replaced")
        shutil.rmtree(old, ignore_errors=True)
        if self.out.exists():
            os.replace(self.out, old)
        os.replace(self.result, self.out)
        self.close()
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(self.partial, ignore_errors=True)

    @property
    def _remedy(self) -> str:
        return f"; delete {self.partial} to start afresh"


def kept_of(out: Path) -> str:
    """What an interrupted run to this folder has kept, in words."""
    stages = sorted(path.stem for path in (_partial(out) / STAGES).glob("[!.]*"))
    if not stages:
        return "no stage was complete, nothing is kept"
    return f"{_partial(out)} keeps the complete stages ({', '.join(stages)}), and the same command resumes the run"


def read_record(run: Path) -> RunRecord:
    """The record of a finished run, whose files are checked against their digests.

    Raises `RunDirectoryError` where there is no run, and `FileFormatError` where one of its files has changed.
    """
    path = run / RECORD
    if not path.is_file():
        hint = "; its run was interrupted, give the same `edgewise fit` command to finish it" * _partial(run).is_dir()
        raise RunDirectoryError(f"{run} is not the folder of a run: it has no {RECORD}{hint}")
    with reading(run, "; run `edgewise fit` again"):
        if not (run / SUMS).exists():  # as in runs of older versions
            check_format(read_json(path))
        check_sums(run, (RECORD, MODEL))
        return RunRecord.from_json(read_json(path))


def _partial(out: Path) -> Path:
    return out.with_name(f"{out.name}.partial")
