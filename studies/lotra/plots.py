"""One picture per study, from the rows of its table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgewise.viz.charts import new_figure

Row = Mapping[str, Any]
Read = Callable[[Row], Any]


@dataclass(frozen=True)
class Plot:
    """What of a row stands where; rows that meet in one point are drawn as their geometric mean.

    Args:
        x: column of the horizontal axis.
        y: columns of the vertical axis; several are several curves.
        series: what makes a curve of its own.
        panel: what makes a panel of its own.
        log: the axes with a logarithmic scale.
        lines: join the points of a curve.
        label: of the vertical axis.
        top: of the vertical axis: runs that diverged need no room.
    """

    x: str
    y: Sequence[str]
    series: Read = lambda row: ""
    panel: Read = lambda row: ""
    log: str = ""
    lines: bool = True
    label: str = "MSE"
    top: float | None = None


def _family(row: Row) -> str:
    return str(row["method"]).split(" as ", maxsplit=1)[0].split(" (", maxsplit=1)[0]


_SIZES = Plot("parameters", ("score median",), _family, log="x", label="accuracy on test images, %")
PLOTS: Mapping[str, Plot] = {
    "rates": Plot(
        "lr",
        ("test median",),
        lambda r: r["rule"],
        lambda r: f"width {r['width']}, mean of the tasks",
        log="xy",
        label="test MSE",
        top=1.0,
    ),
    "transfer": Plot(
        "share",
        ("error / full median",),
        lambda r: r["method"],
        lambda r: f"{r['target'].split(',')[0]} targets",
        log="xy",
        lines=False,
        label="error / error of full tuning",
    ),
    "expressiveness": Plot("ranks", ("MSE truncated", "MSE trained", "MSE full"), log="y"),
    "functions": Plot("parameters", ("score median",), _family, log="xy", label="test MSE"),
    "digits": _SIZES,
    "mnist": _SIZES,
    "fashion": _SIZES,
    "sequential": Plot("task", ("test MSE median",), lambda r: r["method"], log="y", lines=False, label="test MSE"),
    "step": Plot(
        "n",
        ("times faster",),
        lambda r: "with the gradient of x" if r["gradient of x"] else "without",
        log="x",
        label="times faster than all coefficients",
    ),
}


def plot(study: str, rows: Sequence[Row], path: Path) -> None:
    """Draw the rows of a study into a PNG file."""
    what = PLOTS[study]
    points = _points(what, rows)
    figure = new_figure(4.6 * len(points), 3.6)
    panels = figure.subplots(1, len(points), squeeze=False, sharey=True)[0]
    names = list(dict.fromkeys(name for curves in points.values() for name in curves))
    for ax, (title, curves) in zip(panels, points.items(), strict=True):
        words = list(dict.fromkeys(x for curve in curves.values() for x in curve if isinstance(x, str)))
        for name, curve in curves.items():
            colour = f"C{names.index(name) % 10}"
            places = [words.index(x) for x in curve] if words else list(curve)
            ax.plot(places, list(curve.values()), "o-" if what.lines else "o", color=colour, ms=5, lw=1.2, label=name)
        ax.set(title=title, xlabel=what.x)
        ax.set_xscale("log" if "x" in what.log else "linear")
        ax.set_yscale("log" if "y" in what.log else "linear")
        if words:
            ax.set_xticks(range(len(words)), words, fontsize=7)
        if "x" in what.log:
            ticks = sorted({x for curve in curves.values() for x in curve})
            ax.set_xticks(_apart(ticks), [f"{x:g}" for x in _apart(ticks)])
            ax.minorticks_off()
        ax.grid(alpha=0.3)
    panels[0].set_ylabel(what.label)
    if what.top is not None:
        panels[0].set_ylim(top=what.top)
    panels[-1].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def _points(what: Plot, rows: Sequence[Row]) -> dict[str, dict[str, dict[Any, float]]]:
    """Panel, curve, place: value."""
    found: dict[str, dict[str, dict[Any, list[float]]]] = {}
    for row in rows:
        if "x" in what.log and not row[what.x] > 0:
            continue
        for column in what.y:
            name = what.series(row) if len(what.y) == 1 else column
            curve = found.setdefault(what.panel(row), {}).setdefault(name, {})
            curve.setdefault(row[what.x], []).append(row[column])
    return {
        panel: {name: {x: _mean(values) for x, values in curve.items()} for name, curve in curves.items()}
        for panel, curves in found.items()
    }


def _apart(ticks: Sequence[float]) -> list[float]:
    """Those that are far enough from the one before to be labelled on a logarithmic axis."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or tick > kept[-1] * (ticks[-1] / ticks[0]) ** 0.15:
            kept.append(tick)
    return kept


def _mean(values: Sequence[float]) -> float:
    if len(values) == 1 or min(values) <= 0:
        return sum(values) / len(values)
    return math.exp(sum(map(math.log, values)) / len(values))
