"""Files that are not shipped: downloaded once, checked by their SHA-256, kept in a folder of the user."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

_CHUNK = 1 << 20


def fetch(url: str, sha256: str, name: str, folder: str | Path | None = None) -> Path:
    """The file `name`, downloaded from `url` unless it lies in `folder` already; it must have this SHA-256.

    Without a connection, put the file there by hand, under this name.

    Args:
        url: where it can be had.
        sha256: of the whole file, hexadecimal.
        name: its name in the folder.
        folder: `data_folder()` by default.
    """
    path = (data_folder() if folder is None else Path(folder)) / name
    if path.exists():
        found = _digest(path)
        if found != sha256:
            raise ValueError(f"{path} has the SHA-256 {found}, expected {sha256}; remove it to download it again")
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _download(url, file, path)
        found = _digest(Path(aside))
        if found != sha256:
            raise ValueError(f"{url} has the SHA-256 {found}, expected {sha256}; nothing was kept")
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)
    return path


def data_folder() -> Path:
    """Where downloads are kept: EDGEWISE_DATA, else the platform's place for caches."""
    if "EDGEWISE_DATA" in os.environ:
        return Path(os.environ["EDGEWISE_DATA"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "edgewise" / "data"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "edgewise" / "data"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edgewise" / "data"


def _download(url: str, file, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise ConnectionError(
            f"{url} cannot be downloaded ({error}); fetch it elsewhere and save it as {path}, or set EDGEWISE_DATA "
            f"to a folder that has {path.name}"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
