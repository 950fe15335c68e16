"""The one door of every reader: a file that is damaged or of another kind ends in one `FileFormatError`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_TEXT = 1 << 26  # bytes of a text that is parsed; Python objects take up to a hundred times as much


class FileFormatError(ValueError):
    """The file is not what it should be, or it is damaged; the message names the file and what to do."""


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], remedy: str = "") -> Iterator[None]:
    """Whatever a malformed file makes a reader raise becomes a `FileFormatError` with the name of the file.

    An `OSError`, such as that of a missing file, and an `ImportError` pass; so does a `FileFormatError` of a file that
    was read inside, with the remedy.
    """
    try:
        yield
    except (OSError, ImportError):
        raise
    except FileFormatError as error:
        raise FileFormatError(f"{error}{remedy}") from error
    except Exception as error:
        known = isinstance(error, ValueError) and type(error).__module__ in ("builtins", "json.decoder")
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        raise FileFormatError(
            f"{os.fspath(path)} cannot be loaded: {reason or type(error).__name__}{remedy}"
        ) from error


def require(condition: bool, message: str) -> None:
    """Raise `ValueError` unless the condition holds; `reading` adds the name of the file."""
    if not condition:
        raise ValueError(message)


def read_text(path: str | os.PathLike[str], most: int = MAX_TEXT) -> str:
    """The UTF-8 text of a file of at most so many bytes."""
    with reading(path):
        size = Path(path).stat().st_size
        require(size <= most, f"it has {size:,} bytes; at most {most:,} are read")
        return Path(path).read_text(encoding="utf-8")


def read_json(path: str | os.PathLike[str], most: int = MAX_TEXT) -> Any:
    """The value of a JSON file."""
    with reading(path):
        return json.loads(read_text(path, most))
