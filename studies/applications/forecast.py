"""Forecasts of ETTh1: models of equal size between the two halves of the same normalisation.

The series is cut into the usual 12, 4 and 4 months (Zhou et al., arXiv 2012.07436); the measure is the mean squared
error over all test windows, in standard deviations of the training part. Learning rates are chosen by the validation
months, with the same tries for every model.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline, Chebyshev
from edgewise.compare import race
from edgewise.models.forecast import Forecaster, kan_forecaster, rmok_forecaster, tkan_forecaster
from edgewise.nn.blocks.projection import projection
from studies import timing
from studies.problems import Series, load_etth1

LENGTH = 96
STEPS = 350
BATCH = 64
MEASURE = "test MSE"
RATES = (3e-3, 1e-2, 3e-2)
SPLINE, POLYNOMIAL = BSpline(2, 2), Chebyshev(2)
"""Chosen by the validation months out of BSpline(5, 3), BSpline(2, 2), BSpline(1, 3), Hinge(1) and Chebyshev(2)."""


def main(arguments: Sequence[str] = ()) -> None:
    """`edgewise reproduce forecast`: a race per horizon, `forecast-96.json`, and a picture of one window."""
    parser = argparse.ArgumentParser(prog="edgewise reproduce forecast", description=main.__doc__)
    parser.add_argument("--path", type=Path, help="ETTh1.csv; downloaded where it is not given")
    parser.add_argument("--horizons", nargs="+", type=int, default=[96, 336])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(arguments)
    timing.begin_study()
    series = load_etth1(options.path)
    for horizon in options.horizons:
        found = study(series, horizon, steps=options.steps, seeds=options.seeds)
        path = timing.write_rows(f"forecast-{horizon}", MEASURE, **{**found, "rows": without_windows(found["rows"])})
        draw(series, horizon, found["rows"], path.with_suffix(".png"))
        print(f"ETTh1, {LENGTH} -> {horizon}\n{race.table(found['rows'], MEASURE)}\nwrote {path}", flush=True)


def without_windows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the forecasts that the picture shows, which are most of their bytes."""
    return [
        {**row, "kept": [{key: value for key, value in seed.items() if key != "window"} for seed in row["kept"]]}
        for row in rows
    ]


def study(series: Series, horizon: int, *, steps: int = STEPS, seeds: int = 3) -> dict[str, Any]:
    """Learning rates, the race at one horizon, whole training steps side by side, the errors of repeating what was."""
    rehearsal, task = forecasting(series, horizon, "validation"), forecasting(series, horizon)
    runners = race.tuned(entries(horizon, len(series.names)), rehearsal, RATES, steps=steps // 2)
    times = race.step_times(runners, task)
    return {
        "rows": race.race(runners, task, steps=steps, seeds=seeds, times=times),
        "step_times": times,
        "repeating": repeating(series, horizon),
    }


def entries(horizon: int, channels: int) -> list[race.Entry]:
    """The models, with the size of the perceptron; RLinear and RMoK have no size to choose."""
    shape = (LENGTH, horizon, channels)

    def seeded(build, **settings: Any):
        return lambda seed: build(*shape, generator=torch.Generator().manual_seed(seed), **settings)

    hidden = perceptron_width(horizon)
    target = race.count_parameters(perceptron(*shape, hidden=hidden))
    edges = LENGTH + horizon  # per hidden node; with one number more for the residual function
    spline, polynomial = (round((target - horizon) / ((basis.size + 1) * edges)) for basis in (SPLINE, POLYNOMIAL))
    recurrent = min(
        range(8, 200, 2), key=lambda h: abs(race.count_parameters(tkan_forecaster(*shape, hidden=h)) - target)
    )
    return [
        race.Entry("MLP", seeded(perceptron, hidden=hidden)),
        race.Entry("RLinear", seeded(linear)),
        race.Entry("B-spline KAN", seeded(kan_forecaster, hidden=spline, basis=SPLINE)),
        race.Entry("Chebyshev KAN", seeded(kan_forecaster, hidden=polynomial, basis=POLYNOMIAL)),
        race.Entry("Chebyshev layer", seeded(chebyshev, degree=2)),
        race.Entry("TKAN", seeded(tkan_forecaster, hidden=recurrent)),
        race.Entry("RMoK", seeded(rmok_forecaster)),
    ]


def perceptron(
    length: int, horizon: int, channels: int, *, hidden: int, generator: torch.Generator | None = None
) -> Forecaster:
    """One hidden layer, length -> hidden -> horizon."""
    up = projection(length, hidden, generator=generator)
    return Forecaster(nn.Sequential(up, nn.GELU(), projection(hidden, horizon, generator=generator)), channels)


def linear(length: int, horizon: int, channels: int, *, generator: torch.Generator | None = None) -> Forecaster:
    """RLinear (Li et al., arXiv 2305.10721): one linear layer between the two halves of the normalisation."""
    return Forecaster(projection(length, horizon, generator=generator), channels)


def chebyshev(
    length: int, horizon: int, channels: int, *, degree: int, generator: torch.Generator | None = None
) -> Forecaster:
    """One layer of polynomials, length -> horizon."""
    return Forecaster(projection(length, horizon, Chebyshev(degree), generator=generator), channels)


def forecasting(series: Series, horizon: int, part: str = "test") -> race.Task:
    """Random windows of the training part; scored by all windows of another."""
    inputs, targets = series.windows("train", LENGTH, horizon)

    def loss(model: nn.Module, generator: torch.Generator) -> Tensor:
        pick = torch.randint(len(inputs), (BATCH,), generator=generator)
        return nn.functional.mse_loss(model(inputs[pick]), targets[pick])

    def errors(model: nn.Module) -> dict[str, float]:
        return error_of(model, series, horizon, part)

    return race.Task(
        loss,
        lambda model: errors(model)["MSE"],
        MEASURE,
        higher_is_better=False,
        keep=lambda model: {**errors(model), "window": model(series.windows(part, LENGTH, horizon)[0][:1])[0].tolist()},
    )


@torch.no_grad()
def error_of(model: Any, series: Series, horizon: int, part: str) -> dict[str, float]:
    """Mean squared and mean absolute error over every window of a part, none left out."""
    squared, absolute, count = 0.0, 0.0, 0
    inputs, targets = series.windows(part, LENGTH, horizon)
    for x, y in zip(inputs.split(256), targets.split(256), strict=True):
        gap = model(x) - y
        squared, absolute, count = (
            squared + gap.square().sum().item(),
            absolute + gap.abs().sum().item(),
            count + y.numel(),
        )
    return {"MSE": squared / count, "MAE": absolute / count}


def repeating(series: Series, horizon: int) -> dict[str, dict[str, float]]:
    """The errors of two forecasts that learn nothing: the last value, and the last day again and again."""
    day = torch.arange(horizon) % 24
    return {
        "last value": error_of(lambda x: x[:, -1:].expand(-1, horizon, -1), series, horizon, "test"),
        "last day": error_of(lambda x: x[:, -24:][:, day], series, horizon, "test"),
    }


def draw(series: Series, horizon: int, rows: Sequence[Mapping[str, Any]], path: Path, channel: int = -1) -> None:
    """The first test window of one channel with the forecasts of the first seed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("pictures need matplotlib: pip install edgewise[viz]") from error
    window, truth = (part[0, :, channel] for part in series.windows("test", LENGTH, horizon))
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(torch.arange(-LENGTH, 0), window, color="black")
    axes.plot(torch.arange(horizon), truth, color="black", label="measured")
    for row in rows:
        if row["budget"] == "steps":
            forecast = torch.tensor(row["kept"][0]["window"])[:, channel]
            axes.plot(torch.arange(horizon), forecast, label=f"{row['name']} ({row['mean']:.3f})")
    axes.set(xlabel="hours", ylabel=f"{series.names[channel]} (standardised)", title="ETTh1, first test window")
    axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def perceptron_width(horizon: int) -> int:
    """The hidden width at which the perceptron has as many numbers as one layer of three functions per edge."""
    return round((3 * LENGTH * horizon) / (LENGTH + horizon + 1))
