"""Draws a law of fields: what was measured on held-out times, what the law predicts, and the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edgewise.discovery.fields.field_law import FieldLaw


def plot_held_out(law: FieldLaw, field: str | None = None, *, theme: str = "light") -> Any:
    """Three maps, the last on its own scale: over space and time for one axis, over space at the last time for two.

    Raises:
        ValueError: where no law was solved forward, or there is no such field.
    """
    from edgewise.viz._drawing import palette
    from edgewise.viz.charts import COLUMN, new_figure, style_axes

    shown = law.held_out
    if shown is None:
        raise ValueError(f"there is no solution to draw: {law.reason}")
    names = law.names[: len(shown.predicted)]
    name = names[0] if field is None else field
    if name not in names:
        raise ValueError(f"there is no field {name!r}; the law has {', '.join(names)}")
    f, colours = names.index(name), palette(theme)
    reached = shown.predicted.shape[1]
    measured, predicted = shown.measured[f, :reached], shown.predicted[f]
    x = law.grid.space[0]
    if len(law.grid.space) == 1:
        across, up, labels = x, shown.t[:reached], (law.axes[0], "t")
    else:
        middle = (0,) * (len(law.grid.space) - 2)
        measured, predicted = (v[(-1, slice(None), slice(None), *middle)].T for v in (measured, predicted))
        across, up, labels = x, law.grid.space[1], law.axes[:2]
    figure = new_figure(COLUMN, 2.6, theme=theme)
    figure.set_layout_engine("constrained")
    top = float(np.quantile(abs(measured), 0.999)) or 1.0
    low = -top if measured.min() < -0.2 * top else 0.0
    off = measured - predicted
    wide = float(np.quantile(abs(off), 0.999)) or 1.0
    titles = (f"{name} measured", f"{name} predicted", "measured - predicted")
    image = None
    for n, (title, values) in enumerate(zip(titles, (measured, predicted, off), strict=True)):
        ax = figure.add_subplot(1, 3, n + 1)
        scale = (
            {"vmin": low, "vmax": top, "cmap": "viridis"} if n < 2 else {"vmin": -wide, "vmax": wide, "cmap": "RdBu"}
        )
        image = ax.pcolormesh(across, up, values, shading="nearest", rasterized=True, **scale)
        style_axes(ax, colours)
        ax.set_title(title, color=colours.ink, fontsize=10, parse_math=False)
        ax.set_xlabel(labels[0], color=colours.ink, parse_math=False)
        if n == 0:
            ax.set_ylabel(labels[1], color=colours.ink, parse_math=False)
        if n > 0:
            bar = figure.colorbar(image, ax=ax)
            bar.ax.tick_params(colors=colours.ink)
    return figure
