"""Draws the answer of `discover_dynamics`: every component over time, and the phase portrait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewise.viz.charts import new_figure

if TYPE_CHECKING:
    from edgewise.discovery.dynamics.dynamics_value import Dynamics


def plot_dynamics(found: Dynamics, *, theme: str = "light") -> Any:
    """Observations as dots, the law as lines, the held-out part shaded: of the first trajectory that is held out.

    Raises:
        ValueError: where the value was read from a file, which has no observations.
    """
    if found.data is None or found.held_out is None:
        raise ValueError("this value was read from a file, without observations; draw `simulate(x0, t)` instead")
    d = len(found.states)
    figure = new_figure(10.0 if d > 1 else 7.0, 1.5 + 1.4 * d, theme=theme)
    figure.set_layout_engine("constrained")
    axes = None
    grid = figure.add_gridspec(d, 2 if d > 1 else 1, width_ratios=[1.6, 1] if d > 1 else None)
    held = found.held_out.paths[0]
    whole = next(path for path in found.data.paths if path.t[-1] == held.t[-1] and path.label == held.label)
    n = found.data.paths.index(whole)
    law = None if found.law is None else found.simulate(found.initial[n], whole.t, whole.u if found.controls else None)
    for i, name in enumerate(found.states):
        axes = figure.add_subplot(grid[i, 0])
        axes.plot(whole.t, whole.x[:, i], ".", markersize=3, color="0.6")
        if law is not None:
            axes.plot(whole.t, law[:, i], linewidth=1.2, color="C0")
        axes.axvspan(held.t[0], held.t[-1], alpha=0.08, color="C3")
        axes.set_ylabel(name, parse_math=False)
        spread = whole.x[:, i].max() - whole.x[:, i].min()
        axes.set_ylim(whole.x[:, i].min() - 0.1 * spread, whole.x[:, i].max() + 0.1 * spread)
    assert axes is not None
    axes.set_xlabel("step" if found.kind == "map" else "time")
    if d > 1:
        portrait = figure.add_subplot(grid[:, 1])
        portrait.plot(whole.x[:, 0], whole.x[:, -1], ".", markersize=2, color="0.6", label="observed")
        if law is not None:
            portrait.plot(
                law[:, 0],
                law[:, -1],
                "." if found.kind == "map" else "-",
                linewidth=1,
                markersize=2,
                color="C0",
                label="law",
            )
        portrait.set_xlabel(found.states[0], parse_math=False)
        portrait.set_ylabel(found.states[-1], parse_math=False)
        portrait.legend(loc="best", frameon=False)
    return figure
