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
        stream = io.BytesIO()
        self.savefig(stream, format="png", bbox_inches="tight", facecolor=self.get_facecolor())
        return stream.getvalue()
