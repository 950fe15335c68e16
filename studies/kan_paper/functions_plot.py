"""Pictures of the studies of functions: error beside error on a logarithmic axis, and error over grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgewise.viz.charts import new_figure

Rows = Sequence[Mapping[str, Any]]


def draw(group: str, rows: Rows, path: Path) -> None:
    """One PNG file for a group of `studies.kan_paper.functions`."""
    figure = _scaling(rows) if group == "scaling" else _errors(rows)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _errors(rows: Rows) -> Any:
    """A line per function: the network from its median to its worst seed, the perceptron, the paper."""
    figure = new_figure(7.0, 1.1 + 0.27 * len(rows))
    ax = figure.subplots()
    places = list(range(len(rows)))[::-1]
    ax.hlines(places, [row["median"] for row in rows], [row["worst"] for row in rows], color="C0", lw=2, alpha=0.5)
    ax.plot([row["median"] for row in rows], places, "o", color="C0", ms=5, label="KAN, median to worst")
    ax.plot([row["mlp median"] for row in rows], places, "s", color="C1", ms=4, label="MLP of equal size, LM")
    known = [(row["paper"], place) for row, place in zip(rows, places, strict=True) if row["paper"]]
    if known:
        ax.plot(*zip(*known, strict=True), "|", color="black", ms=10, mew=1.5, label="paper's best")
    ax.set_xscale("log")
    ax.set_yticks(places, [f"{row['function']} {row['shape']}" for row in rows], fontsize=7)
    ax.set_xlabel("test RMSE")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=7, frameon=False)
    return figure


def _scaling(rows: Rows) -> Any:
    """A panel per degree: error over intervals, and the line of slope -(k + 1)."""
    degrees = sorted({row["degree"] for row in rows})
    figure = new_figure(3.6 * len(degrees), 3.4)
    for ax, degree in zip(figure.subplots(1, len(degrees), sharey=True, squeeze=False)[0], degrees, strict=True):
        here = [row for row in rows if row["degree"] == degree]
        for row in here:
            ax.plot(row["intervals"], row["median"], "o-", ms=4, lw=1, label=f"{row['function']}: {row['exponent']}")
        low, high = (pick(g for row in here for g in row["intervals"]) for pick in (min, max))
        top = max(row["median"][0] for row in here)
        ax.plot([low, high], [top, top * (low / high) ** (degree + 1)], "k--", lw=0.8, label=f"slope {degree + 1}")
        ax.set(title=f"degree {degree}", xscale="log", yscale="log", xlabel="intervals")
        ax.set_xticks([low, high], [str(low), str(high)])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
        ax.legend(fontsize=6, frameon=False)
    return figure
