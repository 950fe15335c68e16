"""The file of a model as bytes: what archives and the states of estimators hold."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from edgewise.io.files import load, save
from edgewise.io.whole import write_whole
from edgewise.nn import KAN, KANLinear, Surface

NAME = "model.safetensors"


def bytes_of(model: KAN | KANLinear | Surface) -> bytes:
    """What `save` writes of the model, and its errors."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        save(model, path)
        return path.read_bytes()


def model_of(data: bytes) -> KAN | KANLinear | Surface:
    """The model whose file has these bytes; `FileFormatError` where they are something else."""
    with TemporaryDirectory() as folder:
        return load(write_whole(Path(folder) / NAME, data))
