"""Progress: the display on standard error, or events to a callable."""

import io
import re
import sys
import types

import pytest
import torch
from torch import nn

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt, pde
from edgewise.display import listener_of
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


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("place", ["rich", "bare", "file"])
def test_the_display_goes_to_standard_error(place, capsys, monkeypatch):
    stream = io.StringIO() if place == "file" else Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    if place == "bare":
        monkeypatch.setitem(sys.modules, "rich.progress", None)
    ew.fit(model_of("first order"), (X, Y), METHODS["first order"][0], progress=True)
    assert capsys.readouterr().out == ""
    shown = stream.getvalue()
    assert "best" in shown
    assert ("\r" in shown) == (place != "file")
    assert place != "file" or shown.startswith("   ")


def test_a_notebook_draws_in_one_place(monkeypatch):
    drawn = []

    class Handle:
        def update(self, shown, raw):
            drawn.append(shown["text/html"])

    def display(shown, raw, display_id):
        drawn.append(shown["text/html"])
        return Handle()

    shell = types.SimpleNamespace(kernel=object())
    module = types.SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell, display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with listener_of(True) as listener:
        listener(Event("<b>fit</b>", 0.25, "x\n1"))
        listener(Event("<b>fit</b>", 1.0))
    assert 'value="0.250"' in drawn[0]
    assert "progress" not in drawn[-1]
    assert not any("<b>" in html or "\n" in html for html in drawn)


LONG = {
    "discover": lambda **how: ew.discover(X, Y[:, 0], seconds=0.3, **how),
    "symbolify": lambda **how: ew.symbolify(ew.KAN([2, 1], dtype=torch.float64), X, max_refits=1, **how),
    "solve": lambda **how: pde.solve(decay(), [2], "adam", seconds=0.1, **how),
    "additive": lambda **how: ew.KANAdditive(**how).fit(X.numpy(), Y[:, 0].numpy()),
    "deep": lambda **how: ew.KANRegressor(steps=3, **how).fit(X.numpy(), Y[:, 0].numpy()),
}


def decay():
    return pde.Problem(pde.Box(t=(0, 1)), lambda u: u.dt + u, [pde.initial(1.0)])


@pytest.mark.parametrize("name", LONG)
def test_every_long_call_shows_its_progress(name, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    LONG[name](progress=True)
    assert re.match(r" +\d+\.\d s  \S", stream.getvalue())


def test_nothing_is_shown_by_default(capfd):
    ew.fit(model_of("search"), (X, Y), FirstOrder("adam", steps=3))
    assert capfd.readouterr() == ("", "")
