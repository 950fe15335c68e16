"""Draws the answer of `discover_dynamics`: every component over time, and the phase portrait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgewise.viz._drawing import Palette, palette
from edgewise.viz.charts import new_figure

if TYPE_CHECKING:
    from edgewise.discovery.dynamics.dynamics_value import Dynamics


def plot_dynamics(found: Dynamics, *, theme: str = "light") -> Any:
    """The first trajectory with a held-out part: observations as dots, the law as lines, what was held out shaded.

    Raises:
        ValueError: where the value was read from a file, which has no observations.
    """
    if found.data is None or found.held_out is None:
        raise ValueError("this value was read from a file, without observations; draw `simulate(x0, t)` instead")
    colours, d, held = palette(theme), len(found.states), found.held_out.paths[0]
    n = next(i for i, p in enumerate(found.data.paths) if p.label == held.label and p.t[-1] == held.t[-1])
    whole, law = found.data.paths[n], None
    if found.law is not None:
        law = found.simulate(found.initial[n], whole.t, whole.u if found.controls else None)
    figure = new_figure(10.0 if d > 1 else 7.0, 1.5 + 1.4 * d, theme=theme)
    figure.set_layout_engine("constrained")
    grid = figure.add_gridspec(d, 2 if d > 1 else 1, width_ratios=[1.6, 1] if d > 1 else None)
    style: dict[str, Any] = {"linestyle": "none", "marker": "."} if found.kind == "map" else {"linewidth": 1.3}
    for i, name in enumerate(found.states):
        axes = figure.add_subplot(grid[i, 0])
        axes.axvspan(held.t[0], held.t[-1], alpha=0.1, color=colours.series[1], linewidth=0)
        axes.plot(whole.t, whole.x[:, i], ".", markersize=3, color=colours.frame)
        if law is not None:
            axes.plot(whole.t, law[:, i], color=colours.series[0], markersize=2, **style)
        _frame(axes, colours, "", name, whole.x[:, i])
        if i == d - 1:
            axes.set_xlabel("step" if found.kind == "map" else "time", color=colours.ink)
    if d > 1:
        axes = figure.add_subplot(grid[:, 1])
        axes.plot(whole.x[:, 0], whole.x[:, -1], ".", markersize=3, color=colours.frame, label="observed")
        if law is not None:
            axes.plot(law[:, 0], law[:, -1], color=colours.series[0], markersize=2, label="law", **style)
        _frame(axes, colours, found.states[0], found.states[-1], whole.x[:, -1])
        axes.legend(loc="best", frameon=False, labelcolor=colours.ink)
    return figure


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
