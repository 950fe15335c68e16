"""Levenberg-Marquardt on what is trained in any module, and the methods that replace the search."""

from functools import partial

import pytest
import torch
from torch import nn

import edgewise as ew
from edgewise import Auto, FirstOrder, LevenbergMarquardt
from edgewise.adapters import add_lotra, slim
from edgewise.kernels import EdgeSpec, design
from edgewise.optim import ModuleLeastSquares, get_loss, normal_equations


def data(n=300, seed=0):
    x = 2 * torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1
    return x, (torch.sin(2 * x[:, :1]) + x[:, :1] * x[:, 1:])


def design_of(model, x):
    layer = model.layers[0]
    return design(x, layer.grid, EdgeSpec(layer.basis, layer.residual))


def network(widths, seed=0):
    return ew.KAN(widths, ew.BSpline(4, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_normal_equations_are_those_of_the_closed_form(loss):
    model, (x, y) = network([2, 3, 1]), data(40)
    weights = torch.linspace(0.5, 2, 40, dtype=torch.float64)
    problem = ModuleLeastSquares(model, x, y, weights, get_loss(loss))
    found, exact = problem.normal_equations(problem.start), normal_equations(model, x, y, weights, loss)
    torch.testing.assert_close(found.loss, exact.loss)
    torch.testing.assert_close(found.gradient, exact.gradient)
    torch.testing.assert_close(found.gram, exact.gram)


def test_a_linear_problem_is_solved_exactly_and_nothing_else_moves():
    """With the last factor of one layer free, the output is linear in what is trained: the oracle is least squares."""
    x, y = data()
    model = add_lotra(network([2, 1]), 1.0, zero="target", generator=torch.Generator().manual_seed(1))
    factors = model.layers[0].adapter["default"]
    for name in ("source", "basis", "core"):
        getattr(factors, name).requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = ew.fit(model, (x, y), LevenbergMarquardt(steps=100))
    column = torch.einsum("bjk,jkr->br", design_of(model, x), factors.inner())
    solution = torch.linalg.lstsq(column, y - model(x)).solution
    oracle = (column @ solution - (y - model(x))).square().mean()
    assert result.report.method == "lm"
    assert result.report.loss == pytest.approx(oracle.item(), rel=1e-9)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    for name, parameter in result.model.named_parameters():
        assert torch.equal(before[name], parameter) != parameter.requires_grad


def test_an_adapter_learns_more_than_with_adam():
    base, (x, y) = network([2, 4, 1]), data()
    model = add_lotra(base, 2, generator=torch.Generator().manual_seed(3))
    second, first = (
        ew.fit(model, (x, y), method(steps=50)).report.loss
        for method in (LevenbergMarquardt, partial(FirstOrder, "adam"))
    )
    assert second < 0.1 * first


def test_auto_takes_it_where_the_samples_outnumber_what_is_trained():
    model, (x, y) = add_lotra(network([2, 3, 1]), 1), data()
    assert ew.fit(model, (x, y), Auto(steps=3)).report.method == "lm"
    few = ew.fit(model, (x[:9], y[:9]), Auto(steps=3))
    assert few.report.method == "lbfgs"
    assert "adapter" in few.report.notes[0]


def test_slim_frozen_and_mixed():
    x, y = data()
    for model in (slim(network([2, 4, 1]), 0.5), nn.Sequential(nn.Linear(2, 3), ew.KANLinear(3, 1)).double()):
        start = (model(x) - y).square().mean().item()
        assert ew.fit(model, (x, y), LevenbergMarquardt(steps=30)).report.loss < 0.05 * start
    half = ew.freeze_(slim(network([2, 4, 1]), 0.5), "curves")
    after = ew.fit(half, (x, y), LevenbergMarquardt(steps=20)).model
    torch.testing.assert_close(after.layers[0].coef, half.layers[0].coef)
    assert not torch.equal(after.layers[1].bias, half.layers[1].bias)


def test_validation_chooses_and_callbacks_stop():
    model, (x, y) = add_lotra(network([2, 3, 1]), 2), data(60)
    noisy = y + 0.5 * torch.randn(y.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    held = data(200, seed=5)
    result = ew.fit(model, (x, noisy), LevenbergMarquardt(steps=60), validation=held)
    error = (result.model(held[0]) - held[1]).square().mean().item()
    assert error == pytest.approx(min(record["validation"] for record in result.history))
    stopped = ew.fit(model, (x, noisy), "lm", callbacks=[lambda state: state.step >= 5])
    assert (stopped.report.stopped, stopped.report.steps) == ("callback", 5)


def test_refusals():
    x, y = data(20)
    frozen = network([2, 1]).requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter is trained"):
        ew.fit(frozen, (x, y), "lm")
    with pytest.raises(ValueError, match="more than 2000"):
        ew.fit(nn.Linear(2, 1000), (x, y.expand(-1, 1000)), "lm")
    broken = nn.Linear(2, 1).double()
    nn.init.constant_(broken.weight, torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        ew.fit(broken, (x, y), "lm")
