"""Draws the terms of an additive model on one page: curves with bands, levels with intervals, surfaces as maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgewise.viz._drawing import Palette, palette, short
from edgewise.viz.charts import COLUMN, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
SHOWN_LEVELS = 12


@dataclass(frozen=True, eq=False)
class TermPanel:
    """One term as it is drawn; sequences are lists of numbers, or arrays.

    Args:
        title: above the panel.
        kind: "curve", "levels" or "surface".
        labels: of the axes.
        x: the arguments of a curve, the names of levels, or the arguments along both axes of a surface.
        y: the values; of a surface one row per argument of the first axis.
        low: the lower end of the band or of the intervals.
        high: the upper end.
        seen: arguments of training rows: numbers of a curve, pairs of numbers of a surface, the count of every level.
        missing: the value of missing cells with the ends of its interval, where the term has one.
    """

    title: str
    kind: str
    labels: tuple[str, ...]
    x: Any
    y: Any
    low: Any = None
    high: Any = None
    seen: Any = ()
    missing: tuple[float, float, float] | None = None


def draw_panels(panels: Sequence[TermPanel], *, theme: str = "light", title: str = "") -> Figure:
    """All panels on one page; curves and levels share their height, so that flat terms look flat.

    Args:
        panels: what to draw.
        theme: "light" or "dark".
        title: a line above them.
    """
    if not panels:
        raise ValueError("the model has no terms; there is nothing to draw")
    colours = palette(theme)
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(COLUMN * columns / COLUMNS, 2.3 * rows + (0.6 if title else 0.3), theme=theme)
    figure.set_layout_engine("constrained")
    plain = []
    for n, panel in enumerate(panels):
        ax = figure.add_subplot(rows, columns, n + 1)
        style_axes(ax, colours)
        {"curve": _curve, "levels": _levels, "surface": _surface}[panel.kind](ax, panel, colours)
        ax.set_title(short(panel.title), color=colours.ink, fontsize=10, parse_math=False)
        if panel.kind != "surface":
            plain.append(ax)
    if plain:
        limits = [ax.get_ylim() for ax in plain]
        for ax in plain:
            ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    if title:
        figure.suptitle(title, color=colours.ink, fontsize=11, parse_math=False)
    return figure


def _curve(ax: Axes, panel: TermPanel, colours: Palette) -> None:
    """The curve with its band, ticks where rows are, and a bar at the right edge for missing cells."""
    ax.fill_between(panel.x, panel.low, panel.high, color=colours.product, alpha=0.18, linewidth=0)
    ax.plot(panel.x, panel.y, color=colours.product, linewidth=1.8)
    ax.axhline(0.0, color=colours.frame, linewidth=0.8)
    rows, across = [0.02] * len(panel.seen), ax.get_xaxis_transform()
    ax.plot(panel.seen, rows, "|", transform=across, color=colours.soft, alpha=0.3)
    if panel.missing is not None:
        value, low, high = panel.missing
        width = max(panel.x) - min(panel.x)
        at = max(panel.x) + 0.1 * width
        ax.errorbar([at], [value], [[value - low], [high - value]], fmt="o", color=colours.symbol, ms=4, capsize=3)
        where: Any = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center"}
        ax.annotate("missing", (at, high), fontsize=7, color=colours.symbol, **where)
        ax.set_xlim(right=at + 0.07 * width)
    ax.locator_params(axis="x", nbins=5)


def _levels(ax: Axes, panel: TermPanel, colours: Palette) -> None:
    """Bars with intervals, of the levels with the most rows in the order of their values."""
    names, values = list(panel.x), list(panel.y)
    most = sorted(range(len(names)), key=lambda k: -panel.seen[k])[:SHOWN_LEVELS]
    order = sorted(most, key=lambda k: values[k])
    heights = [values[k] for k in order]
    below, above = [values[k] - panel.low[k] for k in order], [panel.high[k] - values[k] for k in order]
    places = list(range(len(order)))
    shown = [f"{short(names[k])[:12]}\n{panel.seen[k]:,}" for k in order]
    if panel.missing is not None:
        value, low, high = panel.missing
        heights, below, above = [*heights, value], [*below, value - low], [*above, high - value]
        places, shown = [*places, len(places)], [*shown, "missing"]
    colour = [colours.product] * len(order) + [colours.symbol] * (len(places) - len(order))
    ax.bar(places, heights, color=colour, alpha=0.55, width=0.7)
    ax.errorbar(places, heights, [below, above], fmt="none", ecolor=colours.ink, elinewidth=1, capsize=3)
    ax.axhline(0.0, color=colours.frame, linewidth=0.8)
    many = len(places) > 5
    ax.set_xticks(places, shown, parse_math=False, fontsize=7, rotation=60 if many else 0)
    if len(names) > len(order):
        ax.set_xlabel(f"{len(order)} of {len(names)} levels", color=colours.soft, fontsize=8)


def _surface(ax: Axes, panel: TermPanel, colours: Palette) -> None:
    """A map: red above 0, blue below, points where rows are; levels are named."""
    sides = [_places(side) for side in panel.x]
    largest = max(max(abs(float(v)) for v in row) for row in panel.y) or 1.0
    values = [list(row) for row in zip(*panel.y, strict=True)]
    look: Any = {"cmap": "RdBu_r", "shading": "nearest"}
    image = ax.pcolormesh(*sides, values, vmin=-largest, vmax=largest, rasterized=True, **look)
    ax.grid(False)
    for axis, side in ((ax.xaxis, panel.x[0]), (ax.yaxis, panel.x[1])):
        if isinstance(side[0], str):
            axis.set_ticks(range(len(side)), [short(name)[:12] for name in side], parse_math=False, fontsize=7)
    if panel.seen:
        ax.plot(*zip(*panel.seen, strict=True), ".", color=colours.ink, alpha=0.25, ms=1.5)
    ax.set_xlabel(short(panel.labels[0]), color=colours.soft, fontsize=8, parse_math=False)
    ax.set_ylabel(short(panel.labels[1]), color=colours.soft, fontsize=8, parse_math=False)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.ax.tick_params(colors=colours.soft, labelsize=7)


def _places(side: Any) -> list[float]:
    return list(range(len(side))) if isinstance(side[0], str) else list(side)
