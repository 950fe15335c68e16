"""Draws the studies of functions: error of each function on a logarithmic axis, and error over the grid."""

from __future__ import annotations

from pathlib import Path

from studies.figures import canvas, save
from studies.result import StudyResult


def draw_errors(result: StudyResult, folder: Path) -> None:
    """A line for each function: the KAN from its median to its worst seed, the MLP, the paper."""
    rows = result.summary
    figure = canvas(7.0, 1.1 + 0.27 * len(rows))
    ax = figure.subplots()
    places = list(range(len(rows)))[::-1]
    medians = [row["rmse_median"] for row in rows]
    ax.hlines(places, medians, [row["rmse_worst"] for row in rows], color="C0", lw=2, alpha=0.5)
    ax.plot(medians, places, "o", color="C0", ms=5, label="KAN, median to worst")
    ax.plot([row["mlp_rmse_median"] for row in rows], places, "s", color="C1", ms=4, label="MLP of equal size, LM")
    known = [(row["paper"], place) for row, place in zip(rows, places, strict=True) if row["paper"]]
    if known:
        ax.plot(*zip(*known, strict=True), "|", color="black", ms=10, mew=1.5, label="paper's best")
    ax.set_xscale("log")
    ax.set_yticks(places, [f"{row['function']} {row['shape']}" for row in rows], fontsize=7)
    ax.set_xlabel("test RMSE")
    ax.grid(axis="x", alpha=0.3)
    ax.legend(fontsize=7, frameon=False)
    save(figure, folder / f"{result.study}.png")


def draw_scaling(result: StudyResult, folder: Path) -> None:
    """A panel for each degree: error over intervals, and the line of slope -(k + 1)."""
    rows = result.summary
    degrees = sorted({row["degree"] for row in rows})
    figure = canvas(3.6 * len(degrees), 3.4)
    for ax, degree in zip(figure.subplots(1, len(degrees), sharey=True, squeeze=False)[0], degrees, strict=True):
        here = [row for row in rows if row["degree"] == degree]
        for row in here:
            grids, label = row["by_grid"], f"{row['function']}: {row['exponent']}"
            ax.plot(grids["intervals"], grids["median"], "o-", ms=4, lw=1, label=label)
        low, high = (pick(g for row in here for g in row["by_grid"]["intervals"]) for pick in (min, max))
        top = max(row["by_grid"]["median"][0] for row in here)
        ax.plot([low, high], [top, top * (low / high) ** (degree + 1)], "k--", lw=0.8, label=f"slope {degree + 1}")
        ax.set(title=f"degree {degree}", xscale="log", yscale="log", xlabel="intervals")
        ax.set_xticks([low, high], [str(low), str(high)])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
        ax.legend(fontsize=6, frameon=False)
    save(figure, folder / f"{result.study}.png")
