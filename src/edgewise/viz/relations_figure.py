"""Draws relations among columns: columns as nodes, relations as hyperedges, and a level set for each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from edgewise.viz._drawing import NAME_LETTERS, Palette, palette
from edgewise.viz.charts import COLUMN, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgewise.viz._agg_figure import AggFigure

MOST_PANELS = 9
PANELS_PER_ROW = 3
GRAPH, PANEL = 4.4, 2.5  # inches of height


@dataclass(frozen=True, eq=False)
class Bond:
    """A relation as it is drawn.

    Attributes:
        columns: the columns that it binds.
        target: the column on the vertical axis of its level set.
        strength: the share explained, in [0, 1].
        law: whether it is drawn as a law (full line) or as a tendency (dashes).
        text: a formula for the title of its level set; empty without one.
        points: a function of the target, and what the others predict for it.
    """

    columns: tuple[str, ...]
    target: str
    strength: float
    law: bool
    text: str
    points: Float[np.ndarray, "rows 2"]


def relations_figure(columns: Sequence[str], bonds: Sequence[Bond], *, theme: str = "light") -> AggFigure:
    """The columns on a circle with the relations between them, and below it up to nine level sets."""
    colours, shown = palette(theme), list(bonds)[:MOST_PANELS]
    rows = math.ceil(len(shown) / PANELS_PER_ROW)
    figure = new_figure(COLUMN, GRAPH + PANEL * rows, theme=theme)
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(1 + rows, PANELS_PER_ROW, height_ratios=[GRAPH, *([PANEL] * rows)])
    _draw_graph(figure.add_subplot(grid[0, :]), columns, shown, colours)
    for n, bond in enumerate(shown):
        _draw_level_set(figure.add_subplot(grid[1 + n // PANELS_PER_ROW, n % PANELS_PER_ROW]), n, bond, colours)
    return figure


def middle_cut(name: str) -> str:
    """The name on one line, without its middle where it is long: names of one table often begin alike."""
    name = " ".join(name.split())
    if len(name) <= NAME_LETTERS:
        return name
    tail = NAME_LETTERS // 2
    return f"{name[: NAME_LETTERS - tail - 1]}…{name[-tail:]}"


def _draw_graph(ax: Axes, columns: Sequence[str], bonds: Sequence[Bond], colours: Palette) -> None:
    place = {
        name: (math.sin(2 * math.pi * n / len(columns)), math.cos(2 * math.pi * n / len(columns)))
        for n, name in enumerate(columns)
    }
    taken: list[tuple[float, float]] = []
    for n, bond in enumerate(bonds):
        ends = [place[c] for c in bond.columns]
        centre = _free((float(np.mean([x for x, _ in ends])), float(np.mean([y for _, y in ends]))), taken)
        taken.append(centre)
        colour = colours.series[n % len(colours.series)]
        style = "-" if bond.law else (0, (4, 2))
        for x, y in ends:
            ax.plot([centre[0], x], [centre[1], y], color=colour, lw=1 + 2 * bond.strength, ls=style, alpha=0.75)
        ax.plot(*centre, marker="s", ms=13, color=colours.paper, mec=colour, mew=1.6, zorder=3)
        ax.text(*centre, str(n + 1), color=colour, ha="center", va="center", fontsize=8, zorder=4)
    bound = {c for bond in bonds for c in bond.columns}
    for name, (x, y) in place.items():
        ink = colours.ink if name in bound else colours.soft
        ax.plot(x, y, "o", ms=8, color=ink if name in bound else colours.paper, mec=ink, zorder=3)
        side = "left" if x > 0.05 else "right" if x < -0.05 else "center"
        rise = 0.1 if y > 0.95 else -0.1 if y < -0.95 else 0.0
        ax.text(
            1.1 * x, 1.1 * y + rise, middle_cut(name), color=ink, ha=side, va="center", fontsize=8, parse_math=False
        )
    ax.set(xlim=(-2.0, 2.0), ylim=(-1.35, 1.35), aspect="equal")
    ax.axis("off")


def _free(centre: tuple[float, float], taken: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The nearest place on a spiral around the centre that no other relation has."""
    for step in range(200):
        radius, angle = 0.02 * step, 2.4 * step
        x, y = centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)
        if all(math.hypot(x - a, y - b) > 0.26 for a, b in taken):
            return x, y
    return centre


def _draw_level_set(ax: Axes, n: int, bond: Bond, colours: Palette) -> None:
    colour = colours.series[n % len(colours.series)]
    if len(bond.points):
        ax.plot(bond.points[:, 1], bond.points[:, 0], ".", ms=3, color=colour, alpha=0.6)
        ends = [float(bond.points.min()), float(bond.points.max())]
        ax.plot(ends, ends, color=colours.soft, lw=0.8, zorder=0)
    title = bond.text if 0 < len(bond.text) <= 34 else ", ".join(middle_cut(c) for c in bond.columns)
    wrapped = title if len(title) <= 34 else title[:33] + "…"
    ax.set_title(f"{n + 1}: {wrapped}", fontsize=7.5, color=colours.ink, parse_math=False)
    others = [middle_cut(c) for c in bond.columns if c != bond.target]
    ax.set_xlabel(
        "f(" + (", ".join(others) if len(", ".join(others)) < 34 else "others") + ")", fontsize=7, parse_math=False
    )
    ax.set_ylabel(f"φ({middle_cut(bond.target)})", fontsize=7, parse_math=False)
    ax.tick_params(labelsize=6, colors=colours.soft)
    ax.set_facecolor(colours.paper)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(colours.ink)
    for spine in ax.spines.values():
        spine.set_color(colours.frame)
    ax.text(0.04, 0.95, f"{bond.strength:.3g}", transform=ax.transAxes, fontsize=7, va="top", color=colours.ink)
