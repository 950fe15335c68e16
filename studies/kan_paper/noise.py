"""Few samples and noise: does `fit` choose well between smoothing and none? `edgewise reproduce noise`.

100, 300 and 1000 samples with normal noise of 0, 0.01 and 0.1 standard deviations of y. The default, which finds the
strength of its smoothing from the data or does without, beside the same recipe without smoothing and with two fixed
strengths. What counts is the error on 3000 fresh points without noise, in standard deviations of y. The claim under
test is that the median of the default is never more than 20 % above that of the best rival.
"""

from __future__ import annotations

import itertools
import logging
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from edgewise.nn import KAN
from edgewise.training import fit
from edgewise.viz.mpl import canvas_class
from studies import timing
from studies.problems.functions import FUNCTIONS, TargetFunction

_log = logging.getLogger(__name__)

CASES: Mapping[str, tuple[int, ...]] = {"bessel": (1, 1), "exp-sin": (2, 3, 1), "I.6.2b": (3, 5, 1)}
SAMPLES = (100, 300, 1000)
NOISES = (0.0, 0.01, 0.1)
TEST = 3000
SMOOTHING: Mapping[str, bool | float | None] = {"default": None, "plain": False, "weak": 1e-8, "strong": 1e-6}
ALLOWED = 1.2


def run(
    cases: Mapping[str, Sequence[int]] = CASES, *, seeds: Sequence[int] = range(5), out: Path = timing.RESULTS
) -> Path:
    """All cases; `noise.json` and its picture."""
    rows = [
        row(FUNCTIONS[name], shape, count, noise, seeds)
        for (name, shape), count, noise in itertools.product(cases.items(), SAMPLES, NOISES)
    ]
    study = {
        "study": "noise",
        "test": TEST,
        "seeds": list(seeds),
        "smoothing": dict(SMOOTHING),
        "worst ratio": max(row["ratio"] for row in rows),
        "cells within the bound": sum(row["ratio"] <= ALLOWED for row in rows),
        "rows": rows,
    }
    path = out / "noise.json"
    timing.write({"environment": timing.environment(), **study}, path)
    _draw(rows, path.with_suffix(".png"))
    return path


def row(function: TargetFunction, shape: Sequence[int], count: int, noise: float, seeds: Sequence[int]) -> Any:
    """Median and worst error of every rival, and what the default costs against the best of the others."""
    begun = time.process_time()
    errors = {name: [error(function, shape, count, noise, s, seed) for seed in seeds] for name, s in SMOOTHING.items()}
    medians = {name: statistics.median(e) for name, e in errors.items()}
    best = min(value for name, value in medians.items() if name != "default")
    ratio = round(medians["default"] / best, 3)
    _log.info("%s, %d samples, noise %g: %s, ratio %s", function.name, count, noise, medians, ratio)
    return {
        "function": function.name,
        "shape": list(shape),
        "samples": count,
        "noise": noise,
        "median": medians,
        "worst": {name: max(e) for name, e in errors.items()},
        "ratio": ratio,
        "cpu seconds": round(time.process_time() - begun, 1),
    }


def error(function: TargetFunction, shape: Sequence[int], count: int, noise: float, smoothing: Any, seed: int) -> float:
    """RMSE on fresh points without noise, in standard deviations of y, of one fit."""
    generator = torch.Generator().manual_seed(seed)
    x, y = function.sample(count, generator)
    fresh, truth = function.sample(TEST, generator)
    y = y + noise * truth.std() * torch.randn(count, generator=generator, dtype=y.dtype)
    model = fit(KAN(list(shape), generator=generator), (x, y), smoothing=smoothing, seed=seed).model
    with torch.no_grad():
        return float((model(fresh)[:, 0] - truth).square().mean().sqrt() / truth.std())


def _draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel per function: error over the number of samples, a colour per noise, a marker per rival."""
    names = list(dict.fromkeys(row["function"] for row in rows))
    figure = canvas_class()(3.6 * len(names), 3.6, "white")
    markers = {"default": "o", "plain": "x", "weak": "^", "strong": "v"}
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for color, noise in enumerate(NOISES):
            here = [row for row in rows if row["function"] == name and row["noise"] == noise]
            counts = [row["samples"] for row in here]
            for rival, marker in markers.items():
                line = "-" if rival == "default" else ""
                values = [row["median"][rival] for row in here]
                ax.plot(
                    counts, values, marker + line, color=f"C{color}", ms=6 if line else 4, mfc="none" if line else None
                )
        ax.set(title=name, xscale="log", yscale="log", xlabel="samples")
        ax.set_xticks(SAMPLES, [str(n) for n in SAMPLES])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel("test error, standard deviations of y")
    for color, noise in enumerate(NOISES):
        first.plot([], [], color=f"C{color}", label=f"noise {noise:g}")
    for rival, marker in markers.items():
        first.plot([], [], marker, color="grey", label=rival, mfc="none" if rival == "default" else None)
    first.legend(fontsize=6, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(cases: Sequence[str] = ()) -> None:
    """`edgewise reproduce noise`: the named functions, all by default."""
    timing.begin_study()
    unknown = set(cases) - set(CASES)
    if unknown:
        raise ValueError(f"there is no case {', '.join(sorted(unknown))}; choose among {', '.join(CASES)}")
    run({name: CASES[name] for name in cases or CASES})


if __name__ == "__main__":
    main(sys.argv[1:])
