"""The container of every file: safetensors with one JSON header and a SHA-256 digest of both, never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from edgewise._version import __version__
from edgewise.io.reading import reading, require
from edgewise.io.whole import write_whole

FORMAT = 1


def write_file(path: str | os.PathLike[str], header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name and a JSON object that describes them: the container of every file of this package."""
    # clone: the format refuses tensors that share memory, as tied layers do.
    tensors = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    shown = {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()}
    header = {"format": FORMAT, "version": __version__, **header, "tensors": shown}
    try:
        digest = _digest(_canonical(header), tensors)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`extra` and the settings of the bases must be JSON, without NaN: {error}") from error
    # One entry: the format stores several in no fixed order, and equal networks must make equal files.
    write_whole(path, to_bytes(tensors, {"edgewise": _canonical(header | {"sha256": digest})}))


def read_file(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The header and the tensors that `write_file` wrote, checked against their digest."""
    with Path(path).open("rb"):  # a missing file is an OSError that says so
        pass
    with reading(path):
        metadata, tensors = opened(path)
        require("edgewise" in metadata, "it was not written by edgewise.save")
        header = json.loads(metadata["edgewise"])
        require(metadata["edgewise"] == _canonical(header), "its header is damaged")
        require(header["format"] == FORMAT, f"it has format {header['format']!r}; this version reads {FORMAT}")
        digest = header.pop("sha256")
        require(digest == _digest(_canonical(header), tensors), "its SHA-256 digest does not match; it is damaged")
        require(isinstance(header["extra"], dict), "`extra` is not an object")
        shown = {name: [str(t.dtype).removeprefix("torch."), list(t.shape)] for name, t in tensors.items()}
        require(header["tensors"] == shown, "its tensors are not those that its header lists")
    return header, tensors


def opened(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors of any file of safetensors."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
    except SafetensorError as error:
        raise ValueError(f"it is not a safetensors file, or it is damaged: {error}") from error


def _canonical(header: dict[str, Any]) -> str:
    """The canonical text of a header."""
    return json.dumps(header, allow_nan=False, sort_keys=True)


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the header and of every tensor by name."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sha.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
