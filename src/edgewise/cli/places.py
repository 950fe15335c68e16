"""Where commands may write, checked before their work; `UsageError` is what they raise."""

from __future__ import annotations

import os
from pathlib import Path


class UsageError(ValueError):
    """A command that cannot be done as given."""


def require_place(out: Path | None, *, is_folder: bool = False) -> None:
    """Raise `UsageError` before the work where its result could not be written."""
    if out is None:
        return
    if out.exists() and out.is_dir() != is_folder:
        raise UsageError(f"{out} is a {'file' if is_folder else 'folder'}; choose another --out")
    if out.exists() and not out.is_file() and not out.is_dir():  # /dev/stdout or a pipe
        return
    place = out if out.is_dir() else (out.resolve() if out.is_symlink() else out).parent
    while is_folder and not place.exists():
        place = place.parent
    if not place.is_dir():
        raise UsageError(f"there is no folder {place} for --out; make it, or choose another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"the folder {place} of --out is not writable; choose another one")
