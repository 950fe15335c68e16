"""Draws the answer of `discover_dynamics`: every component over time, and the phase portrait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.viz._drawing import Palette, palette
from edgewise.viz.charts import COLUMN, new_figure

if TYPE_CHECKING:
    from edgewise.discovery.dynamics.dynamics_value import Dynamics
    from edgewise.discovery.dynamics.trajectories import Path


def plot_dynamics(found: Dynamics, *, theme: str = "light") -> Any:
    """The first trajectory with a held-out part, which is shaded: observations as dots, the law as lines.

    Before the held-out part the line is the trajectory of the law that was fitted to the observations; in it, the
    prediction from its begin.

    Raises:
        ValueError: where the value was read from a file, which has no observations.
    """
    if found.data is None or found.held_out is None:
        raise ValueError("this value was read from a file, without observations; draw `simulate(x0, t)` instead")
    colours, d, held = palette(theme), len(found.states), found.held_out.paths[0]
    n = next(i for i, p in enumerate(found.data.paths) if p.label == held.label and p.t[-1] == held.t[-1])
    whole = found.data.paths[n]
    lines = [] if found.law is None else _lines(found, n, whole, held)
    figure = new_figure(COLUMN, 1.2 + 1.3 * d, theme=theme)
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(d, 2 if d > 1 else 1, width_ratios=[1.6, 1] if d > 1 else None)
    style: dict[str, Any] = {"linestyle": "none", "marker": "."} if found.kind == "map" else {"linewidth": 1.3}
    for i, name in enumerate(found.states):
        axes = figure.add_subplot(grid[i, 0])
        axes.axvspan(held.t[0], held.t[-1], alpha=0.1, color=colours.series[1], linewidth=0)
        axes.plot(whole.t, whole.x[:, i], ".", markersize=3, color=colours.frame)
        for (_, colour), (t, x) in zip(_parts(colours), lines, strict=False):
            axes.plot(t, x[:, i], color=colour, markersize=2, **style)
        _frame(axes, colours, "", name, whole.x[:, i])
        if i == d - 1:
            axes.set_xlabel("step" if found.kind == "map" else "time", color=colours.ink)
    if d > 1:
        axes = figure.add_subplot(grid[:, 1])
        axes.plot(whole.x[:, 0], whole.x[:, -1], ".", markersize=3, color=colours.frame, label="observed")
        for (label, colour), (_, x) in zip(_parts(colours), lines, strict=False):
            axes.plot(x[:, 0], x[:, -1], color=colour, markersize=2, label=label, **style)
        _frame(axes, colours, found.states[0], found.states[-1], whole.x[:, -1])
        axes.legend(loc="best", frameon=False, labelcolor=colours.ink)
    return figure


def _parts(colours: Palette) -> list[tuple[str, Any]]:
    return [("law, fitted", colours.series[0]), ("law, predicted", colours.series[1])]


def _lines(found: Dynamics, n: int, whole: Path, held: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The fitted trajectory up to the held-out part, and the prediction of that part: times and states."""
    fitted = found.followed[n] if n < len(found.followed) else whole.x[:0]
    before = whole.t[: len(fitted)] <= held.t[0]
    start = found.begins[0] if found.begins[0] is not None else held.x[0]
    predicted = found.simulate(start, held.t, held.u if found.controls else None)
    return [(whole.t[: len(fitted)][before], fitted[before]), (held.t, predicted)]


def _frame(axes: Any, colours: Palette, x: str, y: str, values: np.ndarray) -> None:
    """Labels and colours; the range is that of the observations, wherever the law goes."""
    axes.set_facecolor(colours.paper)
    axes.tick_params(colors=colours.soft)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(colours.frame)
    axes.set_xlabel(x, color=colours.ink, parse_math=False)
    axes.set_ylabel(y, color=colours.ink, parse_math=False)
    margin = 0.1 * (values.max() - values.min())
    axes.set_ylim(values.min() - margin, values.max() + margin)
