"""The studies of text and series compare models of one size, on data that they have not seen."""

import math

import pytest
import torch

from edgewise.compare import race
from studies.applications import forecast, gpt
from studies.problems import Series, load_characters


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be, or not to be: that is the question.\n" * 60)
    return load_characters(path, train=0.5)


@pytest.fixture
def series():
    """A daily wave and its double, without noise."""
    wave = torch.sin(torch.arange(700) * (2 * torch.pi / 24))
    return Series(("a", "b"), torch.stack([wave, 2 * wave], 1), (300, 200, 200))


def sizes(entries):
    return {entry.name: race.count_parameters(entry.build(0)) for entry in entries}


def test_the_models_of_text_are_of_one_size():
    found = sizes(gpt.entries(65))
    assert found == {name: pytest.approx(found["MLP"], rel=0.02) for name in found}
    assert found["MLP"] == pytest.approx(108_000, rel=0.01)


@pytest.mark.parametrize("horizon", [96, 336])
def test_the_models_of_series_are_of_one_size_where_they_can_be(horizon):
    found = sizes(forecast.entries(horizon, 7))
    alike = {name: n for name, n in found.items() if name not in ("RLinear", "RMoK")}
    assert alike == {name: pytest.approx(found["MLP"], rel=0.04) for name in alike}


def test_a_race_of_text_keeps_a_sample(text):
    (row,) = race.race(gpt.entries(len(text.symbols))[1:2], gpt.writing(text), steps=2, seeds=1)
    assert set(row["kept"][0]) <= set(text.symbols)
    assert 0 < row["mean"] < 2 * math.log(len(text.symbols))


def test_the_same_learning_rates_are_tried_for_all(text):
    entries = gpt.entries(len(text.symbols))[:1]
    (tuned,) = race.tuned(entries, gpt.writing(text), (1e-9, 1e-2), steps=6)
    assert tuned.lr == 1e-2


def test_the_errors_of_a_forecast(series):
    found = forecast.repeating(series, 24)
    assert found["last day"]["MSE"] == pytest.approx(0, abs=1e-9)
    assert found["last value"]["MSE"] > 1
    _, y = series.windows("test", forecast.LENGTH, 24)
    zero = forecast.error_of(lambda window: torch.zeros(len(window), 24, 2), series, 24, "test")
    assert zero == {"MSE": pytest.approx(y.square().mean().item()), "MAE": pytest.approx(y.abs().mean().item())}


def test_a_race_of_series_is_drawn(series, tmp_path):
    entries = forecast.entries(24, 2)[:2]
    rows = race.race(entries, forecast.forecasting(series, 24), steps=2, seeds=1)
    assert rows[0]["kept"][0]["MSE"] == rows[0]["mean"]
    forecast.draw(series, 24, rows, tmp_path / "forecast.png")
    assert (tmp_path / "forecast.png").stat().st_size > 1000
