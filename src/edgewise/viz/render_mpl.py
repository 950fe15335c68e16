"""Render a diagram as a matplotlib figure: one axes, few artists, no file written and no global state changed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from edgewise.viz._drawing import (
    NAME_SIZE,
    NOTE_SIZE,
    SYMBOL_SIZE,
    Palette,
    band_outline,
    bezier_points,
    bounds,
    curve_lines,
    idle,
    links,
    opacity,
    palette,
    radius,
    rounded_box,
    short,
    wires,
)
from edgewise.viz.charts import new_figure
from edgewise.viz.diagram_data import BOX_HEIGHT, Diagram, Node
from edgewise.viz.from_model import diagram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNIT, _WIDEST, _HIGHEST = 0.5, 16.0, 20.0  # inches: of one unit of the diagram, and the largest figure


def plot(
    model: nn.Module | Diagram,
    x: Any = None,
    *,
    theme: str = "light",
    title: str | None = None,
    ax: Axes | None = None,
    **options: Any,
) -> Figure:
    """Draw a network: every edge as its curve in a box, stronger where it matters more, symbols in colour.

    Args:
        model: what `diagram` takes, or a `Diagram`.
        x: inputs, as for `diagram`.
        theme: "light" or "dark".
        title: a line above the diagram.
        ax: where to draw; by default a new figure.
        options: passed to `diagram`, such as `scores`, `input_names` or `max_edges`.
    """
    colours = palette(theme)
    if isinstance(model, Diagram):
        if x is not None or options:
            raise TypeError("a Diagram is drawn as it is; give x and options to `diagram(model, x, ...)`")
        drawing = model
    else:
        drawing = diagram(model, x, **options)
    left, top, right, bottom = bounds(drawing)
    if ax is None:
        unit, head = min(_UNIT, _WIDEST / (right - left), _HIGHEST / (bottom - top)), 0.4 if title else 0.0
        figure = new_figure((right - left) * unit, (bottom - top) * unit + head, theme=theme)
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0 - head / figure.get_figheight()))
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set_axis_off()
    _draw(ax, drawing, colours)
    if title:
        ax.set_title(title, color=colours.ink, parse_math=False)
    return cast("Figure", ax.figure)


def _draw(ax: Axes, drawing: Diagram, colours: Palette) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    point = _points_per_unit(ax)
    edges = drawing.edges
    colour = [colours.symbol if edge.kind == "symbol" else colours.ink for edge in edges]
    strength = [opacity(edge.importance) for edge in edges]
    pairs = list(zip(edges, colour, strength, strict=True))
    lines = [(bezier_points(w), to_rgba(c, 0.75 * s)) for e, c, s in pairs for w in wires(drawing, e)]
    lines += [(bezier_points(link), to_rgba(colours.product)) for link in links(drawing)]
    _lines(ax, lines, 0.035 * point, 1)
    frames = [to_rgba(colours.symbol if e.kind == "symbol" else colours.frame, 0.3 + 0.7 * s) for e, _, s in pairs]
    outlines = [rounded_box(edge) for edge in edges]
    ax.add_collection(
        PolyCollection(outlines, facecolors=colours.box, edgecolors=frames, linewidths=0.03 * point, zorder=2)
    )
    bands = [(band, to_rgba(c, 0.18)) for e, c, _ in pairs if (band := band_outline(e))]
    if bands:
        ax.add_collection(PolyCollection([b for b, _ in bands], facecolors=[c for _, c in bands], zorder=3))
    _lines(ax, [(line, to_rgba(c, s)) for e, c, s in pairs for line in curve_lines(e)], 0.06 * point, 4)
    for edge in edges:
        if edge.symbol is not None:
            x, y = edge.center[0], edge.center[1] - BOX_HEIGHT / 2 - 0.07
            _text(ax, x, y, short(edge.symbol), SYMBOL_SIZE * point, colours.symbol, "center")
    _nodes(ax, drawing, colours, point)
    if drawing.note():
        left, _, right, bottom = bounds(drawing)
        _text(ax, (left + right) / 2, bottom - NOTE_SIZE, drawing.note(), NOTE_SIZE * point, colours.soft, "center")


def _nodes(ax: Axes, drawing: Diagram, colours: Palette, point: float) -> None:
    """Dots for the inputs, circles with a plus or a cross for sums and products, names at both ends."""
    from matplotlib.collections import EllipseCollection
    from matplotlib.colors import to_rgba

    unused = idle(drawing)
    sizes = [2 * radius(node) for node in drawing.nodes]
    fill = [
        to_rgba(colours.product if node.kind in ("product", "factor") else colours.ink, 0.3 if node in unused else 1.0)
        for node in drawing.nodes
    ]
    centers = [(node.x, node.y) for node in drawing.nodes]
    ax.add_collection(
        EllipseCollection(
            sizes,
            sizes,
            [0.0] * len(sizes),
            units="xy",
            offsets=centers,
            transOffset=ax.transData,
            zorder=5,
            facecolors=fill,
            edgecolors="none",
        )
    )
    signs = [(line, to_rgba(colours.paper)) for node in drawing.nodes for line in _sign(node)]
    _lines(ax, signs, 0.05 * point, 6)
    for node in drawing.nodes:
        if node.name:
            side, align = (-1, "right") if node.kind == "input" else (1, "left")
            x, y = node.x + side * (radius(node) + 0.12), node.y + 0.35 * NAME_SIZE
            _text(ax, x, y, short(node.name), NAME_SIZE * point, colours.soft if node in unused else colours.ink, align)


def _sign(node: Node) -> list[list[tuple[float, float]]]:
    """The plus or cross inside a node."""
    if node.kind == "input":
        return []
    a = 0.55 * radius(node)
    if node.kind == "product":
        a *= math.sqrt(0.5)
        ends = [(a, a), (a, -a)]
    else:
        ends = [(a, 0.0), (0.0, a)]
    return [[(node.x - u, node.y - v), (node.x + u, node.y + v)] for u, v in ends]


def _lines(ax: Axes, lines: list[tuple[list[tuple[float, float]], Any]], width: float, zorder: float) -> None:
    from matplotlib.collections import LineCollection

    paths, colours = [line for line, _ in lines], [colour for _, colour in lines]
    ax.add_collection(LineCollection(paths, colors=colours, linewidths=width, capstyle="round", zorder=zorder))


def _text(ax: Axes, x: float, y: float, text: str, size: float, colour: str, align: str) -> None:
    ax.text(x, y, text, fontsize=size, color=colour, ha=align, va="baseline", zorder=7, parse_math=False)


def _points_per_unit(ax: Axes) -> float:
    """How many typographic points one unit of the diagram is long."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    box, dpi = ax.get_window_extent(), cast("Figure", ax.figure).dpi
    return 72 / dpi * min(box.width / abs(right - left), box.height / abs(bottom - top))
