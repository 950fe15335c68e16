"""Laws of the report: one form for every method, the losses of the returned model, JSON and back."""

import json

import pytest
import torch
from torch import nn

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt
from edgewise.training import FitReport

X = 2 * torch.rand(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
Y = (X[:, :1] + X[:, 1:]).sin()
HELD = (X[::3].roll(1, 1), Y[::3])
METHODS = {
    "auto": Auto(starts=2, degrees=(3,), steps=5),
    "widths": Auto(starts=2, degrees=(3,), steps=5, widths="auto", seconds=0.0),
    "lm": LevenbergMarquardt(steps=5),
    "lm on a module": LevenbergMarquardt(steps=10),
    "adam": FirstOrder("adam", steps=5),
    "fallback": Auto(steps=2),
    "diverged": FirstOrder("sgd", lr=1e9, steps=50),
}


def model_of(name):
    if name in ("lm on a module", "fallback"):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    return ew.KAN([2, 2, 1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("held", [None, HELD], ids=["all", "held out"])
@pytest.mark.parametrize("name", METHODS)
def test_a_report_describes_the_returned_model_and_survives_json(name, held):
    result = ew.fit(model_of(name), (X, Y), METHODS[name], validation=held, seed=4)
    report = result.report
    assert FitReport.from_json(json.loads(json.dumps(report.to_json(), allow_nan=False))) == report
    with torch.no_grad():
        assert report.loss == pytest.approx((result.model(X) - Y).square().mean().item(), rel=1e-6, abs=1e-14)
        if held is not None:
            error = (result.model(held[0]) - held[1]).square().mean().item()
            assert report.validation == pytest.approx(error, rel=1e-6, abs=1e-14)
    searched = name in ("auto", "widths", "lm")
    assert report.loss_name == "mse"
    assert report.seed == 4
    assert (report.basis is not None, report.smoothed is not None) == (searched, searched)
    assert bool(report.notes) == (name in ("fallback", "diverged", "lm"))  # five steps of "lm" explain nothing
    assert bool(result.front) == (name == "widths")


def test_other_objects_are_no_reports():
    with pytest.raises(ValueError, match=r"missing are \['basis'.*unknown are \['colour'\]"):
        FitReport.from_json({"colour": 1})
