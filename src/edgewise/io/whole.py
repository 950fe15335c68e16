"""Write files that are either whole or not there: written aside, flushed to the disk, then renamed."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

_LOCK = "lock"


def write_whole(path: str | os.PathLike[str], content: str | bytes | Iterable[bytes]) -> Path:
    """Replace a file by new content in one step; an interruption leaves the old file as it was. Returns the path.

    Text is written as UTF-8 with the line ends that it has, parts as they come. The folder must exist. What a killed
    process left there of the same file is removed. A link stays one; a device or a pipe is written to as it is.
    """
    target, data = Path(path), content.encode() if isinstance(content, str) else content
    parts = [data] if isinstance(data, bytes) else data
    if target.exists() and not target.is_file() and not target.is_dir():
        with target.open("wb") as file:
            file.writelines(parts)
        return target
    target = Path(os.path.realpath(target))
    _remove_leftovers(target)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with aside.open("xb") as file:
            alone(file)
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            aside.chmod(target.stat().st_mode & 0o777)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return Path(path)


@contextlib.contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path of the same name in an empty folder beside it, for writers that need a path and may write several files.

    At the end all that is in the folder moves beside `path`, the file of that name last, and replaces what was there;
    after an exception nothing of it is kept. What a killed process left is removed. Only a folder replaces a folder.
    """
    target = Path(os.path.realpath(path))
    for old in target.parent.glob(f".{glob.escape(target.name)}.{'[0-9a-f]' * 32}.folder"):
        with contextlib.suppress(OSError), (old / _LOCK).open("rb") as file:
            if alone(file):
                shutil.rmtree(old)
    folder = target.with_name(f".{target.name}.{uuid.uuid4().hex}.folder")
    folder.mkdir()
    try:
        with (folder / _LOCK).open("xb") as lock:
            alone(lock)
            (folder / "new").mkdir()
            yield folder / "new" / target.name
            parts = sorted((folder / "new").iterdir(), key=lambda part: part.name == target.name)
            for part in parts:
                if not part.is_dir() and target.with_name(part.name).is_dir():
                    raise IsADirectoryError(f"{target.with_name(part.name)} is a folder; give the path of a file")
            for part in parts:
                old = target.with_name(part.name)
                if old.is_dir():
                    old.replace(folder / f"old-{part.name}")
                part.replace(old)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def alone(file: IO[Any]) -> bool | None:
    """Lock an open file until it is closed or the process ends; False where another holds it, None where none can."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_leftovers(target: Path) -> None:
    for old in target.parent.glob(f".{glob.escape(target.name)}.{'[0-9a-f]' * 32}.part"):
        with contextlib.suppress(OSError), old.open("rb") as file:
            if alone(file):
                old.unlink()
