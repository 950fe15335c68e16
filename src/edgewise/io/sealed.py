"""SHA-256 digests: of one file in its first line, and of all files of a folder in a list that `sha256sum -c` reads."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from edgewise.io.reading import FileFormatError, require
from edgewise.io.whole import write_whole

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\\\n]+)\n")


def write_sealed(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file whose first line is the digest of the rest."""
    write_whole(path, _line(content) + content)


def read_sealed(path: str | os.PathLike[str]) -> bytes:
    """What `write_sealed` wrote. Raises `FileFormatError` where one bit of the file differs."""
    data = Path(path).read_bytes()
    content = data.partition(b"\n")[2]
    if data != _line(content) + content:
        raise FileFormatError(
            f"{os.fspath(path)} is damaged, or of another kind or version: its SHA-256 does not match"
        )
    return content


def write_sums(folder: Path) -> None:
    """Write the digests of all files of a folder into its file `SHA256SUMS`."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    write_whole(folder / SUMS, "".join(f"{digest_of(path)}  {path.name}\n" for path in files))


def check_sums(folder: Path, needed: Iterable[str]) -> None:
    """Raise `ValueError` for the first file of a folder that changed since `write_sums`.

    A file may be added or deleted, except those that are `needed`.
    """
    path = folder / SUMS
    require(path.is_file(), f"it has no {SUMS}, so nobody knows whether its files are those that were written")
    text = path.read_bytes().decode("latin-1")
    sums = {name: digest for digest, name in _LINE.findall(text)}
    listed = "".join(f"{digest}  {name}\n" for name, digest in sums.items()) == text and set(needed) <= set(sums)
    require(listed, f"its {SUMS} is damaged")
    for name, digest in sums.items():
        same = not (folder / name).exists() or digest_of(folder / name) == digest
        require(same, f"its {name} is not the file that was written: the SHA-256 differs from that in {SUMS}")


def _line(content: bytes) -> bytes:
    return f"sha256 {hashlib.sha256(content).hexdigest()}\n".encode()


def digest_of(path: Path) -> str:
    """The SHA-256 digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
