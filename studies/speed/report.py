"""Writes the measured speeds as a Markdown text for the documentation and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.io.whole import write_whole
from studies import table
from studies.figures import canvas, save
from studies.result import StudyResult
from studies.speed.steps import BASELINE
from studies.study import Row


def draw(result: StudyResult, folder: Path) -> None:
    """`layers.md` with all tables, which the documentation includes, and the plot `layers.png`."""
    write_whole(folder / f"{result.study}.md", markdown(result))
    if result.summary:
        plot(result.summary, folder / f"{result.study}.png")


def markdown(result: StudyResult) -> str:
    """Everything that was measured."""
    parts = [_where(result), _speeds(result.summary), _roofline(result), _growth(result), *_inference(result)]
    return "\n\n".join(part for part in [*parts, _memory(result)] if part) + "\n"


def plot(summary: list[Row], path: Path) -> None:
    """A bar for each training step and candidate on a logarithmic scale; 1 is the baseline."""
    from matplotlib import colormaps

    head, base, *names = dict.fromkeys(key for row in summary for key in row)
    figure = canvas(9, 0.55 * len(summary) + 2.2)
    figure.set_layout_engine("constrained")
    axis, height = figure.subplots(), 0.8 / len(names)
    colours = colormaps["tab20"].colors
    for n, name in enumerate(names):
        places = [place + n * height for place, row in enumerate(summary) if name in row]
        speeds = [row[name] for row in summary if name in row]
        axis.barh(places, [speed - 1 for speed in speeds], height, left=1, label=name, color=colours[n % 20])
    axis.set_xscale("log")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks([place + 0.4 for place in range(len(summary))], [row[head] for row in summary])
    axis.invert_yaxis()
    axis.set_xlabel(f"speed of a training step; the {base.removesuffix(', ms')} is 1")
    axis.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.4, -0.15))
    save(figure, path, tight=False)


def _where(result: StudyResult) -> str:
    e, here = result.environment, result.environment["machine"]
    return (
        f"Measured on {e['date'][:10]} at commit {e['commit']} on {here['cpu']} with {here['threads']} threads and "
        f"torch {e['versions']['torch']}, load average {here['load_average']:.1f} at the start."
    )


def _speeds(summary: list[Row]) -> str:
    shown = [
        {key: f"{value:.3g}" if key == f"{BASELINE}, ms" else _two_digits(value) for key, value in row.items()}
        for row in summary
    ]
    return table.markdown(shown)


def _roofline(result: StudyResult) -> str:
    rows = _rows(result, "roofline")
    peaks, products = (result.shared.get(key, {}) for key in ("peak_gflops", "product_gflops"))
    peak = ", ".join(f"{n} {v:.0f} (torch's matrix product {products[n]:.0f})" for n, v in peaks.items())
    shown = [
        {
            "layer": row["network"],
            "GFLOP/s of its three contractions": f"{row['gflops']:.0f}",
            "share of the peak": f"{row['share']:.0%}",
            "forward, ms": f"{row['forward_ms']:.2f}",
            "backward, ms": f"{row['backward_ms']:.2f}",
        }
        for row in rows
    ]
    return f"Peak GFLOP/s, multiply-add in registers on all threads: {peak}.\n\n{table.markdown(shown)}" if rows else ""


def _growth(result: StudyResult) -> str:
    texts = [
        ", ".join(f"{name}: {1 / time['speed']:.2f}" for name, time in row["times"].items())
        for row in _rows(result, "growth")
    ]
    return "\n\n".join(f"Time of a step, that of the first as 1: {text}." for text in texts)


def _inference(result: StudyResult) -> list[str]:
    return [
        f"Inference, {row['network']}, best time in microseconds: "
        + ", ".join(f"{what} {value:.1f}" for what, value in row["microseconds"].items())
        + "."
        for row in _rows(result, "inference")
    ]


def _memory(result: StudyResult) -> str:
    texts = [
        f"Peak memory of a training step, {row['network']}: "
        + ", ".join(f"{name} {value:.0f} MiB" for name, value in row["mib"].items() if value)
        + "."
        for row in _rows(result, "memory")
    ]
    return "\n\n".join(texts)


def _rows(result: StudyResult, part: str) -> list[Row]:
    return [row for row in result.rows if row["part"] == part]


def _two_digits(value: Any) -> Any:
    return f"{value:.2f}" if isinstance(value, float) else value
