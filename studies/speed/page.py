"""The measurements of `edgewise bench` as a table and a plot in the documentation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- measured: begin (written by `edgewise bench`) -->", "<!-- measured: end -->"
YARDSTICK = "mlp of equal size"


def update(results: Path, page: Path) -> None:
    """Write the table between the marks of the page, and the plot beside the page."""
    found = json.loads(results.read_text())
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} has no place for the table: add the lines {BEGIN!r} and {END!r}")
    picture = page.with_name(f"{page.stem}-speed.png")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    plot(found, picture)
    parts = [
        _where(found),
        table(found),
        _roofline(found),
        _rest(found),
        f"![Speed of a training step]({picture.name})",
    ]
    middle = "\n\n".join(part for part in parts if part)
    _replace(page, f"{head}{BEGIN}\n\n{middle}\n\n{END}{tail}".encode())


def table(results: dict[str, Any]) -> str:
    """Speed relative to the yardstick, a row per case and a column per candidate."""
    cases: dict[str, dict[str, Any]] = results["cases"]
    columns = list(dict.fromkeys(name for timings in cases.values() for name in timings if name != YARDSTICK))
    rows = [["training step", f"{YARDSTICK}, ms", *columns]]
    rows += [
        [case, f"{timings[YARDSTICK]['median_ms']:.3g}"]
        + [f"{timings[name]['speed']:.2f}" if name in timings else "" for name in columns]
        for case, timings in cases.items()
    ]
    return _markdown(rows)


def plot(results: dict[str, Any], path: Path) -> None:
    """A bar per case and candidate on a logarithmic scale; 1 is the yardstick."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("the plot needs matplotlib: pip install edgewise[viz]") from error
    cases: dict[str, dict[str, Any]] = results["cases"]
    names = list(dict.fromkeys(name for timings in cases.values() for name in timings if name != YARDSTICK))
    figure, axis = plt.subplots(figsize=(9, 0.55 * len(cases) + 2.2), layout="constrained")
    height = 0.8 / len(names)
    colours = plt.get_cmap("tab20").colors  # pyright: ignore[reportAttributeAccessIssue]
    for n, name in enumerate(names):
        places = [row + n * height for row, timings in enumerate(cases.values()) if name in timings]
        speeds = [timings[name]["speed"] for timings in cases.values() if name in timings]
        axis.barh(places, [speed - 1 for speed in speeds], height, left=1, label=name, color=colours[n % 20])
    axis.set_xscale("log")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks([row + 0.4 for row in range(len(cases))], list(cases))
    axis.invert_yaxis()
    axis.set_xlabel("speed of a training step; a perceptron with as many parameters is 1")
    axis.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.4, -0.15))
    aside = path.with_suffix(f".{os.getpid()}.png")
    figure.savefig(aside, dpi=110)
    plt.close(figure)
    os.replace(aside, path)


def _where(results: dict[str, Any]) -> str:
    e = results["environment"]
    return (
        f"Measured on {e['date'][:10]} on {e['cpu']} with {e['threads']} threads and torch {e['torch']}, load average "
        f"{e['load_average']:.1f} at the start."
    )


def _roofline(results: dict[str, Any]) -> str:
    rows = [["layer", "GFLOP/s of its three contractions", "share of the peak", "forward, ms", "backward, ms"]]
    for name, found in results.get("roofline", {}).items():
        numbers = [f"{found['gflops']:.0f}", f"{found['share']:.0%}"]
        rows.append([name, *numbers, f"{found['forward_ms']:.2f}", f"{found['backward_ms']:.2f}"])
    peaks, products = results.get("peak_gflops", {}), results.get("matrix_product_gflops", {})
    peak = ", ".join(f"{n} {v:.0f} (torch's matrix product {products[n]:.0f})" for n, v in peaks.items())
    return (
        ""
        if len(rows) == 1
        else f"Peak GFLOP/s, multiply-add in registers on all threads: {peak}.\n\n{_markdown(rows)}"
    )


def _rest(results: dict[str, Any]) -> str:
    lines = []
    if "growth" in results:
        growth = ", ".join(f"{name}: {1 / t['speed']:.2f}" for name, t in results["growth"].items())
        lines.append(f"Time of a step, that of the first as 1: {growth}.")
    for name, found in results.get("inference_us", {}).items():
        times = ", ".join(f"{what} {value:.1f}" for what, value in found.items())
        lines.append(f"Inference, {name}, best time in microseconds: {times}.")
    if "memory_mib" in results:
        memory = ", ".join(f"{name} {value:.0f} MiB" for name, value in results["memory_mib"].items() if value)
        lines.append(f"Peak memory of a training step, 256-256 G=16 B=4096: {memory}.")
    return "\n\n".join(lines)


def _markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.part")
    aside.write_bytes(content)
    os.replace(aside, path)
