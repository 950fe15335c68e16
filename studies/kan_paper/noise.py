"""Few samples and noise: does `fit` choose well between smoothing and none?

100, 300 and 1000 samples with normal noise of 0, 0.01 and 0.1 standard deviations of y. The default, which finds the
strength of its smoothing from the data or does without, is compared with the same recipe without smoothing and with two
fixed strengths. The measure is the error on 3000 fresh points without noise, in standard deviations of y. The claim
under test is that the median of the default is never more than 20 % above that of the best of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgewise.nn import KAN
from edgewise.training import Auto, fit
from studies.figures import canvas, save
from studies.problems.functions import FUNCTIONS
from studies.result import StudyResult
from studies.study import Case, Row, Run, Settings, Study, grid, option
from studies.table import grouped, median_and_worst

SHAPES: Mapping[str, tuple[int, ...]] = {"bessel": (1, 1), "exp-sin": (2, 3, 1), "I.6.2b": (3, 5, 1)}
SMOOTHING: Mapping[str, bool | float | None] = {"default": None, "plain": False, "weak": 1e-8, "strong": 1e-6}
ALLOWED_RATIO = 1.2


@dataclass(frozen=True)
class NoiseSettings(Settings):
    """Settings of the study of noise."""

    functions: tuple[str, ...] = option(tuple(SHAPES), "some", subset=True)
    samples: tuple[int, ...] = option((100, 300, 1000), "numbers of training samples", selects=True)
    noise: tuple[float, ...] = option((0.0, 0.01, 0.1), "noise in standard deviations of y", selects=True)
    methods: tuple[str, ...] = option(tuple(SMOOTHING), "some", subset=True)
    test: int = option(3000, "number of test points")


def cases(settings: NoiseSettings, seeds: Sequence[int]) -> list[Case]:
    """A fit by each method for every function, number of samples, noise and seed."""
    return grid(
        function=settings.functions, samples=settings.samples, noise=settings.noise, method=settings.methods, seed=seeds
    )


def measure(case: Case, run: Run[NoiseSettings]) -> Row:
    """RMSE on fresh points without noise, in standard deviations of y, of one fit."""
    function, samples, seed = FUNCTIONS[case["function"]], case["samples"], case["seed"]
    generator = torch.Generator().manual_seed(seed)
    x, y = function.sample(samples, generator)
    fresh, truth = function.sample(run.settings.test, generator)
    y = y + case["noise"] * truth.std() * torch.randn(samples, generator=generator, dtype=y.dtype)
    model = KAN(list(SHAPES[case["function"]]), generator=generator)
    model = fit(model, (x, y), Auto(smoothing=SMOOTHING[case["method"]]), seed=seed).model
    with torch.no_grad():
        return {"error": float((model(fresh)[:, 0] - truth).square().mean().sqrt() / truth.std())}


def summarise(rows: list[Row]) -> list[Row]:
    """The median and worst error of every method, and the ratio of the default's to the best of the others."""
    return [_cell(group) for group in grouped(rows, ("function", "samples", "noise"))]


def _cell(group: list[Row]) -> Row:
    found = {key: group[0][key] for key in ("function", "samples", "noise")}
    medians: dict[str, float] = {}
    for runs in grouped(group, ("method",)):
        method = runs[0]["method"]
        median, worst = median_and_worst([row["error"] for row in runs])
        found |= {f"{method}_median": median, f"{method}_worst": worst}
        medians[method] = float("inf") if median is None else median
    others = [value for method, value in medians.items() if method != "default"]
    ratio = medians["default"] / min(others) if others and "default" in medians else None
    return found | {"ratio": ratio and round(ratio, 3), "within_bound": ratio is not None and ratio <= ALLOWED_RATIO}


def draw(result: StudyResult, folder: Path) -> None:
    """A panel for each function: error over the number of samples; colours for noise, markers for methods."""
    rows = result.summary
    names, noises = (list(dict.fromkeys(row[key] for row in rows)) for key in ("function", "noise"))
    counts = sorted({row["samples"] for row in rows})
    figure = canvas(3.6 * len(names), 3.6)
    markers = {"default": "o", "plain": "x", "weak": "^", "strong": "v"}
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for color, noise in enumerate(noises):
            _curves(ax, [r for r in rows if r["function"] == name and r["noise"] == noise], markers, f"C{color}")
        ax.set(title=name, xscale="log", yscale="log", xlabel="samples")
        ax.set_xticks(counts, [str(n) for n in counts])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("test error, standard deviations of y")
    for color, noise in enumerate(noises):
        first.plot([], [], color=f"C{color}", label=f"noise {noise:g}")
    for method, marker in markers.items():
        first.plot([], [], marker, color="grey", label=method, mfc="none" if method == "default" else None)
    first.legend(fontsize=6, frameon=False)
    save(figure, folder / "noise.png")


def _curves(ax: Any, rows: list[Row], markers: Mapping[str, str], color: str) -> None:
    counts = [row["samples"] for row in rows]
    for method, marker in markers.items():
        default = method == "default"
        style = marker + "-" * default
        values = [row.get(f"{method}_median") for row in rows]
        ax.plot(counts, values, style, color=color, ms=6 if default else 4, mfc="none" if default else None)


STUDY = Study(
    name="noise",
    title="Few samples and noise: error of the default fit against fixed strengths of smoothing",
    cases=cases,
    measure=measure,
    summarise=summarise,
    draw=draw,
    settings=NoiseSettings(),
    tiny=NoiseSettings(functions=("bessel",), samples=(60,), noise=(0.1,), methods=("default", "plain"), test=200),
)
