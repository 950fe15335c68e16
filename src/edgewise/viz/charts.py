"""Charts by matplotlib: single edges with their axes, training curves, and the importance of the inputs.

`new_figure` and `save_figure` serve every other chart of the project: no pyplot, no global state, whole files.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from edgewise.io.whole import write_whole
from edgewise.nn.layers import EdgeLike, edge_key
from edgewise.viz._drawing import Palette, palette, short
from edgewise.viz.diagram_data import Edge
from edgewise.viz.from_model import LayerView, input_importance, layer_view

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgewise.viz._agg_figure import AggFigure


COLUMN = 7.2
"""Inches: a figure of this width fits the column of a notebook or page, so that it is not shrunk and can be read."""


def new_figure(width: float, height: float, *, theme: str = "light") -> AggFigure:
    """An empty matplotlib figure of this size in inches: outside pyplot's registry, yet shown by notebooks.

    Raises:
        ImportError: naming the extra, where matplotlib is missing.
    """
    try:
        from edgewise.viz._agg_figure import AggFigure
    except ImportError as error:
        raise ImportError("drawing needs matplotlib: pip install edgewise[viz]") from error
    return AggFigure(width, height, palette(theme).paper)


def new_axes(width: float, height: float, *, theme: str = "light") -> Axes:
    """The only axes of a new figure of this size in inches."""
    figure = new_figure(width, height, theme=theme)
    figure.set_layout_engine("constrained")
    return figure.add_subplot()


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 110) -> Path:
    """Write a figure as PNG, whole or not at all; returns the path."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return write_whole(path, stream.getvalue())


def plot_edge(
    model: nn.Module,
    x: Any,
    edge: EdgeLike,
    *,
    theme: str = "light",
    ax: Axes | None = None,
) -> Figure:
    """Draw one edge with its axes; the ticks below the curve are the inputs that it saw.

    Args:
        model: any module with KAN layers.
        x: inputs of the model; None spreads points over the grid of a `KAN`.
        edge: an `EdgeKey` or a tuple (layer, source, target), the layer by its index or its module name.
        theme: "light" or "dark".
        ax: where to draw; by default a new figure.
    """
    colours = palette(theme)
    layer, source, target = edge_key(edge)
    view = layer_view(model, x, layer, (source, target))
    ax = ax if ax is not None else new_axes(5.0, 3.4, theme=theme)
    _draw_edge(ax, view, view.edges[0], colours)
    ax.set_xlabel(short(view.sources[source]), color=colours.ink, parse_math=False)
    return cast("Figure", ax.figure)


def plot_edges(
    model: nn.Module,
    x: Any,
    layer: int | str = 0,
    *,
    limit: int = 24,
    same_scale: bool = True,
    theme: str = "light",
) -> Figure:
    """Draw the edges of one layer side by side, the most important first.

    With `same_scale` every chart spans the same height, so that flat curves look flat; the values may be shifted
    against each other, as an additive model leaves the constants of its curves open.
    """
    colours = palette(theme)
    view = layer_view(model, x, layer, limit=limit)
    if not view.edges:
        raise ValueError(f"layer {layer!r} has no edges; all of them are absent")
    columns = min(3, len(view.edges))
    rows = math.ceil(len(view.edges) / columns)
    figure = new_figure(COLUMN * columns / 3, 2.1 * rows + 0.3, theme=theme)
    figure.set_layout_engine("constrained")
    for n, edge in enumerate(view.edges):
        ax = figure.add_subplot(rows, columns, n + 1)
        _draw_edge(ax, view, edge, colours)
    if same_scale:
        tallest = max(high - low for low, high in (ax.get_ylim() for ax in figure.axes))
        for ax in figure.axes:
            middle = sum(ax.get_ylim()) / 2
            ax.set_ylim(middle - tallest / 2, middle + tallest / 2)
    return figure


def plot_history(history: Any, *, theme: str = "light", ax: Axes | None = None) -> Figure:
    """Draw training curves: every value of the records over the step, a dotted line where a new stage began.

    Args:
        history: a `FitResult`, or a list of records such as {"step": 10, "loss": 0.1, "validation": 0.2}.
        theme: "light" or "dark".
        ax: where to draw; by default a new figure.
    """
    records: list[Mapping[str, Any]] = list(getattr(history, "history", history))
    if not records:
        raise ValueError("the history is empty; there is nothing to draw")
    colours = palette(theme)
    ax = ax if ax is not None else new_axes(6.0, 3.6, theme=theme)
    names = dict.fromkeys(key for record in records for key in record if key not in ("step", "epoch", "stage"))
    steps = [record.get("step", n) for n, record in enumerate(records)]
    positive, drawn = True, 0
    for name in names:
        points = [(step, r[name]) for step, r in zip(steps, records, strict=True) if _is_number(r.get(name))]
        if not points:
            continue
        marker = "." if len(points) < 30 else None
        colour = colours.series[drawn % len(colours.series)]
        ax.plot(*zip(*points, strict=True), label=short(name), color=colour, marker=marker, linewidth=1.6)
        positive, drawn = positive and min(value for _, value in points) > 0, drawn + 1
    stages = [record.get("stage") for record in records]
    for before, after, step in zip(stages, stages[1:], steps[1:], strict=False):
        if before != after:
            ax.axvline(step, color=colours.frame, linewidth=1, linestyle=":")
    if positive:
        ax.set_yscale("log")
    style_axes(ax, colours)
    ax.set_xlabel("step", color=colours.ink)
    if drawn > 1:
        ax.legend(frameon=False, labelcolor=colours.ink)
    elif drawn:
        ax.set_ylabel(str(ax.get_lines()[0].get_label()), color=colours.ink, parse_math=False)
    return cast("Figure", ax.figure)


def plot_importance(
    model: nn.Module,
    x: Any = None,
    *,
    scores: Mapping[str, Tensor] | None = None,
    input_names: Iterable[str] | None = None,
    limit: int = 30,
    theme: str = "light",
    ax: Axes | None = None,
) -> Figure:
    """Draw the importance of the inputs as bars: the sum of the scores of the edges that leave them, largest first."""
    colours = palette(theme)
    best = input_importance(model, x, scores, input_names)[:limit]
    ax = ax if ax is not None else new_axes(6.0, 0.6 + 0.28 * len(best), theme=theme)
    ax.barh(range(len(best)), [share for _, share in best], color=colours.product, height=0.7)
    ax.set_yticks(range(len(best)), [short(name) for name, _ in best], parse_math=False)
    ax.invert_yaxis()
    style_axes(ax, colours)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("importance", color=colours.ink)
    return cast("Figure", ax.figure)


def _draw_edge(ax: Axes, view: LayerView, edge: Edge, colours: Palette) -> None:
    colour = colours.symbol if edge.kind == "symbol" else colours.ink
    y = [math.nan if value is None else value for value in edge.y]
    if edge.band is not None:
        ax.fill_between(edge.x, *edge.band, color=colour, alpha=0.15, linewidth=0)
    ax.plot(edge.x, y, color=colour, linewidth=1.8)
    seen = view.inputs[:, edge.source]
    seen = seen[:: math.ceil(len(seen) / 300)].double().tolist()
    ax.plot(seen, [0.02] * len(seen), "|", transform=ax.get_xaxis_transform(), color=colours.soft, alpha=0.35, ms=5)
    ax.margins(y=0.12)
    style_axes(ax, colours)
    name = f"{short(view.sources[edge.source])} → {short(view.targets[edge.target])}"
    title = f"{name}:  {edge.symbol}" if edge.symbol else name
    ax.set_title(title, color=colour, fontsize=10, parse_math=False)


def style_axes(ax: Axes, colours: Palette) -> None:
    """Thin lines and small labels in the colours of a theme."""
    ax.set_facecolor(colours.paper)
    ax.tick_params(colors=colours.soft, labelsize=8, which="both")
    ax.grid(True, color=colours.frame, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=colours.frame)


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and bool(torch.isfinite(value))
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
