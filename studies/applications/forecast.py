"""Forecasts of ETTh1: models of equal size between the two halves of the same normalisation.

The series is cut into the usual 12, 4 and 4 months (Zhou et al., arXiv 2012.07436); the measure is the mean squared
error over all test windows, in standard deviations of the training part. Learning rates are chosen by the validation
months, with the same tries for every model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline, Chebyshev
from edgewise.compare import count_parameters, race
from edgewise.models.forecast import Forecaster, kan_forecaster, rmok_forecaster, tkan_forecaster
from edgewise.nn.blocks.projection import projection
from studies.figures import canvas, save
from studies.problems import Series, load_etth1
from studies.races import Race, race_study
from studies.result import StudyResult
from studies.study import Case, Row, Run, Settings, option

LENGTH = 96
BATCH = 64
MEASURE = "test MSE"
SPLINE, POLYNOMIAL = BSpline(2, 2), Chebyshev(2)
"""Chosen by the validation months out of BSpline(5, 3), BSpline(2, 2), BSpline(1, 3), Hinge(1) and Chebyshev(2)."""
NAMES = ("MLP", "RLinear", "B-spline KAN", "Chebyshev KAN", "Chebyshev layer", "TKAN", "RMoK")
FIGURE_CHANNEL = -1


@dataclass(frozen=True)
class ForecastSettings(Settings):
    """Settings of the race of forecasts."""

    steps: int = option(350, "training steps")
    rates: tuple[float, ...] = option((3e-3, 1e-2, 3e-2), "learning rates that are tried")


def measure(horizon: int, case: Case, run: Run[ForecastSettings]) -> Row:
    """One run of the race, after the errors of forecasts without training and the window of the figure."""
    series = _etth1()
    run.once("repeating", lambda: repeating(series, horizon))
    run.once("first test window", lambda: first_window(series, horizon))
    row = _race(horizon, run.settings).measure(case, run)
    if case["seed"] != 0 or case["budget"] != "steps":
        del row["kept"]["window"]
    return row


def race_of(series: Series, horizon: int, settings: ForecastSettings) -> Race:
    """The race on this series."""
    rehearsal, task = forecasting(series, horizon, "validation"), forecasting(series, horizon)
    found = entries(horizon, len(series.names))
    tries = {entry.name: [replace(entry, lr=rate) for rate in settings.rates] for entry in found}
    return Race(tries, task, rehearsal, settings.steps)


def entries(horizon: int, channels: int) -> list[race.Entry]:
    """The models, with the size of the MLP; RLinear and RMoK have no size to choose."""
    shape = (LENGTH, horizon, channels)

    def seeded(build, **settings: Any):
        return lambda seed: build(*shape, generator=torch.Generator().manual_seed(seed), **settings)

    hidden = mlp_width(horizon)
    target = count_parameters(mlp(*shape, hidden=hidden))
    edges = LENGTH + horizon  # per hidden node; with one parameter more for the residual function
    spline, polynomial = (round((target - horizon) / ((basis.size + 1) * edges)) for basis in (SPLINE, POLYNOMIAL))
    recurrent = min(range(8, 200, 2), key=lambda h: abs(count_parameters(tkan_forecaster(*shape, hidden=h)) - target))
    return [
        race.Entry("MLP", seeded(mlp, hidden=hidden)),
        race.Entry("RLinear", seeded(linear)),
        race.Entry("B-spline KAN", seeded(kan_forecaster, hidden=spline, basis=SPLINE)),
        race.Entry("Chebyshev KAN", seeded(kan_forecaster, hidden=polynomial, basis=POLYNOMIAL)),
        race.Entry("Chebyshev layer", seeded(chebyshev, degree=2)),
        race.Entry("TKAN", seeded(tkan_forecaster, hidden=recurrent)),
        race.Entry("RMoK", seeded(rmok_forecaster)),
    ]


def mlp(
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

    def keep(model: nn.Module) -> dict[str, Any]:
        window = model(series.windows(part, LENGTH, horizon)[0][:1])[0, :, FIGURE_CHANNEL]
        return {**errors(model), "window": _rounded(window)}

    return race.Task(loss, lambda model: errors(model)["MSE"], MEASURE, higher_is_better=False, keep=keep)


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
    """The errors of two forecasts without training: the last value, and the last day repeated."""
    day = torch.arange(horizon) % 24
    return {
        "last value": error_of(lambda x: x[:, -1:].expand(-1, horizon, -1), series, horizon, "test"),
        "last day": error_of(lambda x: x[:, -24:][:, day], series, horizon, "test"),
    }


def first_window(series: Series, horizon: int) -> dict[str, Any]:
    """The first test window of the channel of the figure."""
    window, truth = (part[0, :, FIGURE_CHANNEL] for part in series.windows("test", LENGTH, horizon))
    return {"channel": series.names[FIGURE_CHANNEL], "before": _rounded(window), "after": _rounded(truth)}


def draw(result: StudyResult, folder: Path) -> None:
    """The first test window of one channel with the forecasts of seed 0."""
    forecasts = [row for row in result.rows if "window" in (row.get("kept") or {})]
    if not forecasts:
        return
    window, means = result.shared["first test window"], {row["name"]: row["score_mean"] for row in result.summary}
    figure = canvas(9, 3.5)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    axes.plot(range(-len(window["before"]), 0), window["before"], color="black")
    axes.plot(range(len(window["after"])), window["after"], color="black", label="measured")
    for row in forecasts:
        label = f"{row['name']} ({means[row['name']]:.3f})"
        axes.plot(range(len(row["kept"]["window"])), row["kept"]["window"], label=label)
    axes.set(xlabel="hours", ylabel=f"{window['channel']} (standardised)", title="ETTh1, first test window")
    axes.legend(fontsize="small", frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    save(figure, folder / f"{result.study}.png", tight=False)


def mlp_width(horizon: int) -> int:
    """The hidden width at which the MLP has as many parameters as one layer of three functions per edge."""
    return round((3 * LENGTH * horizon) / (LENGTH + horizon + 1))


@lru_cache(maxsize=1)
def _etth1() -> Series:
    return load_etth1()


@lru_cache(maxsize=1)
def _race(horizon: int, settings: ForecastSettings) -> Race:
    return race_of(_etth1(), horizon, settings)


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


STUDIES = tuple(
    replace(
        race_study(
            f"forecast-{horizon}",
            f"Forecasts of the next {horizon} hours of ETTh1 by models of equal size: test MSE",
            NAMES,
            lambda settings, horizon=horizon: _race(horizon, settings),
            ForecastSettings(),
            higher_is_better=False,
            draw=draw,
        ),
        measure=partial(measure, horizon),
    )
    for horizon in (96, 336)
)
