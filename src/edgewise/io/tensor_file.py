"""Read tensors by name from files of other programs: of `torch.save` without unpickling objects, and of safetensors."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from edgewise.io.container import opened
from edgewise.io.reading import reading, require

_BEFORE_ZIP = b"\x80\x02\x8a\x0a\x6c"
"""How files of `torch.save` begin that are no archives: a pickle of a large number."""


def read_tensors(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    """The tensors of a file of safetensors, or of `torch.save`, whose checksums torch does not look at."""
    with reading(path):
        if not zipfile.is_zipfile(path):
            with Path(path).open("rb") as file:
                old = file.read(len(_BEFORE_ZIP)) == _BEFORE_ZIP
            require(not old, "it is of the kind that torch wrote before 1.6; load it and save its state dict again")
            return opened(path)[1]
        size = Path(path).stat().st_size
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
            require(stored and sum(part.file_size for part in parts) <= size, "it is packed as torch packs no tensors")
            require(archive.testzip() is None, "it is damaged: a checksum differs")
        state = torch.load(path, map_location="cpu", weights_only=True)
        require(
            isinstance(state, Mapping) and all(isinstance(t, Tensor) for t in state.values()),
            "it has more than tensors by name; load it yourself and give the state dict in it",
        )
        return state


def one_precision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, those of floating point in the widest precision among them."""
    dtypes = {t.dtype for t in state.values() if t.is_floating_point()} or {torch.get_default_dtype()}
    wide = max(dtypes, key=lambda dtype: dtype.itemsize)
    return {n: (t.to(wide) if t.is_floating_point() else t).detach().cpu() for n, t in state.items()}
