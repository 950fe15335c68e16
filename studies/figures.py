"""Makes figures without a display and writes them in one step."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from edgewise.io.whole import write_whole
from edgewise.viz.mpl import canvas_class


def canvas(width: float, height: float) -> Any:
    """An empty matplotlib figure of this size in inches, drawn without a display."""
    return canvas_class()(width, height, "white")


def save(figure: Any, path: Path, *, dpi: int = 110, tight: bool = True) -> Path:
    """Write the figure as a PNG file that is whole or not there; returns the path."""
    if tight:
        figure.tight_layout()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return write_whole(path, stream.getvalue())
