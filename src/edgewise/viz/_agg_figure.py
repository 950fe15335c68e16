"""A matplotlib figure outside pyplot's registry that notebooks still show.

The only module of the package that imports matplotlib at its top; `charts` imports it inside a function.
"""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class AggFigure(Figure):
    """A figure drawn by the Agg renderer, shown by notebooks as PNG without any pyplot state."""

    def __init__(self, width: float, height: float, colour: str) -> None:
        super().__init__(figsize=(width, height), facecolor=colour)
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        return self.to_png(bbox_inches="tight")

    def to_png(self, dpi: float | str = "figure", bbox_inches: str | None = None) -> bytes:
        """The figure as the bytes of a PNG file."""
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=dpi, bbox_inches=bbox_inches, facecolor=self.get_facecolor())
        return stream.getvalue()
