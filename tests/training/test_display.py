"""Progress: the display on standard error, or events to a callable."""

import pytest
import torch
from torch import nn

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt
from edgewise.progress import Event

X = torch.linspace(-1, 1, 60, dtype=torch.float64).reshape(30, 2)
Y = X[:, :1].sin()
METHODS = {
    "first order": (FirstOrder("adam", steps=3), "adam step 3/3"),
    "search": (Auto(starts=2, degrees=(3,), steps=5), "search, 2 starts"),
    "least squares": (LevenbergMarquardt(steps=5), "Levenberg-Marquardt"),
}


def model_of(name):
    return nn.Linear(2, 1).double() if name == "least squares" else ew.KAN([2, 1], dtype=torch.float64)


@pytest.mark.parametrize("name", METHODS)
def test_a_callable_receives_every_event(name):
    method, stage = METHODS[name]
    events = []
    ew.fit(model_of(name), (X, Y), method, progress=events.append)
    assert all(isinstance(event, Event) for event in events)
    assert any(event.stage.startswith(stage) for event in events)
    assert all(event.text.startswith("best ") for event in events)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rich", [True, False])
def test_the_display_goes_to_standard_error(name, rich, capfd, monkeypatch):
    if not rich:
        monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    method, stage = METHODS[name]
    ew.fit(model_of(name), (X, Y), method, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "best" in err
    assert rich or stage in err


def test_nothing_is_shown_by_default(capfd):
    ew.fit(model_of("search"), (X, Y), FirstOrder("adam", steps=3))
    assert capfd.readouterr() == ("", "")
