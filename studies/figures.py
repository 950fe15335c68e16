"""Makes figures without a display and writes them in one step."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.viz.charts import new_figure, save_figure


def canvas(width: float, height: float) -> Any:
    """An empty matplotlib figure of this size in inches, drawn without a display."""
    return new_figure(width, height)


def save(figure: Any, path: Path, *, dpi: int = 110, tight: bool = True) -> Path:
    """Write the figure as a PNG file that is whole or not there; returns the path."""
    if tight:
        figure.tight_layout()
    return save_figure(figure, path, dpi=dpi)


def pack(values: Tensor) -> str:
    """Values in [0, 1] as text, in 255 steps: what a figure shows of a trained model, for a row of the result."""
    steps = (255 * values.detach().clamp(0, 1)).round().to(torch.uint8)
    return base64.b64encode(zlib.compress(steps.contiguous().numpy().tobytes(), 9)).decode()


def unpack(text: str, shape: Sequence[int]) -> Tensor:
    """The values that `pack` was given, in this shape."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return torch.from_numpy(raw.copy()).view(*shape) / 255
