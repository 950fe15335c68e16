"""Draws the summary of a study as curves in panels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studies.figures import canvas, save
from studies.result import StudyResult
from studies.study import Row

Read = Callable[[Row], Any]


@dataclass(frozen=True)
class Curves:
    """Which columns of the summary are drawn; rows that meet in one point are drawn as their geometric mean.

    Args:
        x: column of the horizontal axis.
        y: columns of the vertical axis; several are several curves.
        series: a row to the name of its curve.
        panel: a row to the title of its panel.
        log: the axes with a logarithmic scale.
        lines: join the points of a curve.
        label: of the vertical axis.
        top: of the vertical axis: diverged runs need no room.
    """

    x: str
    y: Sequence[str]
    series: Read = lambda row: ""
    panel: Read = lambda row: ""
    log: str = ""
    lines: bool = True
    label: str = "MSE"
    top: float | None = None

    def draw(self, result: StudyResult, folder: Path) -> None:
        """Write `folder/NAME.png`."""
        points = self._points(result.summary)
        figure = canvas(4.6 * len(points), 3.6)
        panels = figure.subplots(1, len(points), squeeze=False, sharey=True)[0]
        names = list(dict.fromkeys(name for curves in points.values() for name in curves))
        for ax, (title, curves) in zip(panels, points.items(), strict=True):
            self._draw_panel(ax, curves, names)
            ax.set(title=title, xlabel=self.x)
        panels[0].set_ylabel(self.label)
        if self.top is not None:
            panels[0].set_ylim(top=self.top)
        panels[-1].legend(fontsize=7, frameon=False)
        save(figure, folder / f"{result.study}.png")

    def _draw_panel(self, ax: Any, curves: dict[str, dict[Any, float]], names: list[str]) -> None:
        words = list(dict.fromkeys(x for curve in curves.values() for x in curve if isinstance(x, str)))
        for name, curve in curves.items():
            places = [words.index(x) for x in curve] if words else list(curve)
            style, colour = "o-" if self.lines else "o", f"C{names.index(name) % 10}"
            ax.plot(places, list(curve.values()), style, color=colour, ms=5, lw=1.2, label=name)
        ax.set_xscale("log" if "x" in self.log else "linear")
        ax.set_yscale("log" if "y" in self.log else "linear")
        if words:
            ax.set_xticks(range(len(words)), words, fontsize=7)
        if "x" in self.log:
            ticks = _apart(sorted({x for curve in curves.values() for x in curve}))
            ax.set_xticks(ticks, [f"{x:g}" for x in ticks])
            ax.minorticks_off()
        ax.grid(alpha=0.3)

    def _points(self, rows: Sequence[Row]) -> dict[str, dict[str, dict[Any, float]]]:
        """Panel, curve, place: value."""
        found: dict[str, dict[str, dict[Any, list[float]]]] = {}
        for row in rows:
            place = row[self.x] if isinstance(row[self.x], int | float) else str(row[self.x])
            if "x" in self.log and not place > 0:
                continue
            for column in self.y:
                name = self.series(row) if len(self.y) == 1 else column.removesuffix("_median").replace("_", " ")
                curve = found.setdefault(self.panel(row), {}).setdefault(name, {})
                curve.setdefault(place, []).append(math.inf if row[column] is None else row[column])
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
