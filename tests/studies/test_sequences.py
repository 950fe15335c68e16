"""The studies of text and series compare models of one size, on data that they have not seen."""

import math
from dataclasses import replace

import pytest
import torch

from edgewise.compare import count_parameters, race
from studies import runner
from studies.applications import forecast, gpt
from studies.problems import Characters, Series, load_characters
from studies.races import race_cases


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be, or not to be: that is the question.\n" * 60)
    return load_characters(path, train=0.5)


@pytest.fixture
def series():
    """A daily wave and its double, without noise."""
    wave = torch.sin(torch.arange(1000) * (2 * torch.pi / 24))
    return Series(("a", "b"), torch.stack([wave, 2 * wave], 1), (400, 300, 300))


def sizes(entries):
    return {entry.name: count_parameters(entry.build(0)) for entry in entries}


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


def test_the_same_learning_rates_are_tried_for_all(text, tmp_path, monkeypatch):
    monkeypatch.setattr(gpt, "FEED_FORWARD", {"MLP": "mlp"})
    short = Characters(text.symbols, text.train, text.validation[:200])
    competition = gpt.race_of(short, gpt.TextSettings(steps=12, rates=(1e-9, 1e-2)))
    cases = lambda settings, seeds: race_cases(["MLP"], seeds)
    study = replace(gpt.STUDY, cases=cases, measure=competition.measure)
    result = runner.run(study, folder=tmp_path, seeds=(0,))
    assert [row["lr"] for row in result.rows] == [1e-2]
    assert result.shared == {"best try of MLP": 1}


def test_the_errors_of_a_forecast(series):
    found = forecast.repeating(series, 24)
    assert found["last day"]["MSE"] == pytest.approx(0, abs=1e-9)
    assert found["last value"]["MSE"] > 1
    _, y = series.windows("test", forecast.LENGTH, 24)
    zero = forecast.error_of(lambda window: torch.zeros(len(window), 24, 2), series, 24, "test")
    assert zero == {"MSE": pytest.approx(y.square().mean().item()), "MAE": pytest.approx(y.abs().mean().item())}


def test_a_race_of_series_is_drawn(series, tmp_path, monkeypatch):
    monkeypatch.setattr(forecast, "_etth1", lambda: series)
    settings = forecast.ForecastSettings(steps=2, rates=(1e-2,))
    competition = forecast.race_of(series, 96, settings)
    monkeypatch.setattr(forecast, "_race", lambda horizon, settings: competition)
    cases = lambda settings, seeds: race_cases(["MLP"], seeds)
    result = runner.run(replace(forecast.STUDIES[0], cases=cases), settings, (0, 1), folder=tmp_path)
    assert result.rows[0]["kept"]["MSE"] == result.rows[0]["score"]
    assert [len(row["kept"].get("window", ())) for row in result.rows] == [96, 0]
    assert (tmp_path / "forecast-96.png").stat().st_size > 1000
