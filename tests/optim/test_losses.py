"""Losses: slope and curvature are those of the values, minima are those of the statistics they are named after."""

import math

import numpy as np
import pytest
import torch
from torch.func import hessian

import edgewise as ew
from edgewise.nn import KAN
from edgewise.optim import Network, NetworkLeastSquares, expectile, get_loss, levenberg_marquardt, quantile, tweedie
from edgewise.optim.autodiff import ModuleLeastSquares


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def times(*shape: int, seed: int = 4) -> torch.Tensor:
    """Times of which some are equal; a third is censored."""
    time = torch.randint(1, 12, shape, generator=generator(seed)).double()
    return torch.where(torch.rand(shape, generator=generator(seed + 1)) < 1 / 3, -time, time)


TARGETS = {
    "gamma": lambda *shape: normal(*shape, seed=3).exp(),
    "tweedie(1.5)": lambda *shape: normal(*shape, seed=3).clamp(min=0),
    "tweedie(1.1)": lambda *shape: normal(*shape, seed=3).clamp(min=0),
    "poisson": lambda *shape: torch.poisson(torch.full(shape, 2.0), generator=generator(3)).double(),
    "quantile(0.9)": lambda *shape: 5 * normal(*shape, seed=3),
    "expectile(0.2)": lambda *shape: 5 * normal(*shape, seed=3),
    "cox": times,
}
SMOOTH = ["gamma", "tweedie(1.5)", "tweedie(1.1)", "poisson", "expectile(0.2)"]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_slope_is_that_of_the_values(name, weighted):
    loss, f, y = get_loss(name), normal(2, 9, 3, seed=1), TARGETS[name](9, 3).expand(2, 9, 3)
    w = 0.1 + torch.rand(9, generator=generator(2), dtype=torch.float64) if weighted else torch.ones(9).double()
    value = lambda f: (loss.each(loss.values, f, y, w) * w).sum()
    expected = torch.func.grad(value)(f)
    torch.testing.assert_close(loss.each(loss.slope, f, y, w) * w[:, None], expected, rtol=1e-10, atol=1e-12)
    step, move = 1e-6, normal(2, 9, 3, seed=8)
    difference = (value(f + step * move) - value(f - step * move)) / (2 * step)
    torch.testing.assert_close((expected * move).sum(), difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SMOOTH)
def test_the_curvature_is_the_hessian(name):
    loss, f, y = get_loss(name), normal(6, 3, seed=1), TARGETS[name](6, 3)
    factor = loss.factor(f, y)
    for b in range(6):
        exact = hessian(lambda t, b=b: loss.values(t[None], y[b : b + 1])[0])(f[b])
        torch.testing.assert_close(factor[b].T @ factor[b], exact, rtol=1e-10, atol=1e-12)


def test_the_curvature_of_a_quantile_majorises_its_loss():
    for level in (0.05, 0.5, 0.9):
        loss = quantile(level)
        f, y = torch.linspace(-3, 3, 121, dtype=torch.float64)[:, None], torch.zeros(121, 1, dtype=torch.float64)
        curvature = loss.factor(f, y)[..., 0].square()
        moves = torch.linspace(-3, 3, 61, dtype=torch.float64)
        parabola = loss.values(f, y)[:, None] + loss.slope(f, y) * moves + curvature / 2 * moves**2
        assert bool((loss.values((f + moves)[..., None], y[:, None].expand(121, 61, 1)) <= parabola + 1e-12).all())


def test_the_curvature_of_cox_majorises_its_hessian():
    for seed in range(5):
        loss, f, y = get_loss("cox"), normal(12, 1, seed=seed), times(12, 1, seed=seed)
        exact = hessian(lambda t, y=y, loss=loss: loss.values(t[:, None], y).sum())(f[:, 0])
        diagonal = loss.factor(f, y)[:, 0, 0].square()
        least = torch.linalg.eigvalsh(torch.diag(diagonal) - exact)[0]
        assert float(least) > -1e-10
        assert float(torch.linalg.eigvalsh(exact)[0]) > -1e-10


def partial_likelihood(f: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """The cost of all events, one risk set after the other."""
    total = 0.0
    for b in range(len(f)):
        if y[b] >= 0:
            total += w[b] * (math.log(sum(w[j] * math.exp(f[j]) for j in range(len(f)) if abs(y[j]) >= y[b])) - f[b])
    return total / w.sum()


@pytest.mark.parametrize("seed", range(4))
def test_cox_is_the_partial_likelihood_of_breslow(seed):
    f, y = normal(30, 1, seed=seed), times(30, 1, seed=seed)
    w = torch.randint(1, 4, (30,), generator=generator(seed)).double()
    assert float(get_loss("cox")(f, y)) == pytest.approx(
        partial_likelihood(f[:, 0].numpy(), y[:, 0].numpy(), np.ones(30))
    )
    scaled = (w / w.mean()).numpy()
    assert float(get_loss("cox")(f, y, w)) == pytest.approx(
        partial_likelihood(f[:, 0].numpy(), y[:, 0].numpy(), scaled)
    )
    index = torch.arange(30).repeat_interleave(w.long())
    gained = [float(get_loss("cox")(g, y, w) - get_loss("cox")(g[index], y[index])) for g in (f, 2 * f)]
    assert gained[0] == pytest.approx(gained[1])  # weights are repetitions, up to a constant


def test_cox_sees_the_order_of_times_and_a_shift_changes_nothing():
    loss, f, y = get_loss("cox"), normal(20, 1), times(20, 1)
    assert float(loss(f + 3, y)) == pytest.approx(float(loss(f, y)))
    assert float(loss(f, y.sign() * y.abs() ** 3)) == pytest.approx(float(loss(f, y)))
    far = 500 * f
    assert bool(loss.values(far, y).isfinite().all())
    assert bool(loss.slope(far, y).isfinite().all())


@pytest.mark.parametrize("seed", range(3))
def test_the_constant_of_least_loss_is_the_statistic(seed):
    y = normal(501, 1, seed=seed).exp()
    mean, median = float(y.mean()), float(y.median())
    expected = {"gamma": math.log(mean), "poisson": math.log(mean), "tweedie(1.5)": math.log(mean)}
    expected |= {"expectile(0.5)": mean, "quantile(0.5)": median, "quantile(0.9)": float(y.quantile(0.9))}
    for name, at in expected.items():
        loss = get_loss(name)
        values = [float(loss(torch.full_like(y, at + d), y)) for d in (-0.1, 0.0, 0.1)]
        assert values[1] < min(values[0], values[2]), name
        if loss.link == "log":
            assert float(loss.mean(torch.tensor([at]))) == pytest.approx(mean)
    low, high = (float(expectile(level)(torch.full_like(y, mean), y)) for level in (0.3, 0.7))
    assert low + high == pytest.approx(2 * float(get_loss("mse")(torch.full_like(y, mean), y)))


@pytest.mark.parametrize("name", ["gamma", "tweedie(1.5)", "poisson"])
def test_the_families_of_the_log_link_vanish_where_the_mean_is_the_target(name):
    y = 0.1 + normal(9, 2).exp()
    values = get_loss(name).values(y.log(), y)
    torch.testing.assert_close(values, torch.zeros(9, dtype=torch.float64), rtol=0, atol=1e-12)
    assert bool((get_loss(name).values(normal(9, 2, seed=5), y) > 0).all())


def test_tweedie_runs_from_poisson_to_gamma():
    f, y = normal(20, 1, seed=1), 0.1 + normal(20, 1, seed=2).exp()
    for power, end in ((1 + 1e-7, "poisson"), (2 - 1e-7, "gamma")):
        torch.testing.assert_close(tweedie(power).slope(f, y), get_loss(end).slope(f, y), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(tweedie(power).factor(f, y), get_loss(end).factor(f, y), rtol=1e-5, atol=1e-5)


def test_a_name_with_a_setting_is_the_value():
    assert get_loss("quantile(0.9)") is quantile(0.9)
    assert get_loss("tweedie( 1.2 )").power == 1.2
    for name in ("quantile", "quantile()", "quantile(..)", "tweedie(1.5", "os(1)"):
        with pytest.raises(ValueError, match=r"choose one of mse, .*quantile"):
            get_loss(name)
    for maker, wrong in ((tweedie, 2.0), (tweedie, 1.0), (quantile, 0.0), (expectile, 1.0)):
        with pytest.raises(ValueError, match="must be between"):
            maker(wrong)
    with pytest.raises(ValueError, match="width must be above 0"):
        quantile(0.5, width=0.0)


@pytest.mark.parametrize("name", ["gamma", "tweedie(1.5)"])
def test_targets_without_a_minimum_are_refused(name):
    x, y = normal(20, 1), normal(20, 1)
    with pytest.raises(ValueError, match="above 0" if name == "gamma" else "0 or more"):
        ew.fit(KAN([1, 1]), (x, y), loss=name)
    if name == "gamma":
        with pytest.raises(ValueError, match="above 0"):
            ew.fit(KAN([1, 1]), (x.float(), torch.zeros(20, 1)), loss=name)


def times_of(log_hazard: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    time = -torch.rand(log_hazard.shape, generator=g, dtype=log_hazard.dtype).log() * (-log_hazard).exp()
    end = 2 * torch.rand(log_hazard.shape, generator=g, dtype=log_hazard.dtype)
    return torch.where(time <= end, time, -end)


SIGNALS = {
    "gamma": lambda mean, g: mean.exp() * torch._standard_gamma(torch.full_like(mean, 5.0), generator=g) / 5,
    "tweedie(1.5)": lambda mean, g: torch.poisson(mean.exp(), generator=g),
    "quantile(0.5)": lambda mean, g: mean + 0.1 * torch.randn(mean.shape, generator=g, dtype=mean.dtype),
    "expectile(0.5)": lambda mean, g: mean + 0.1 * torch.randn(mean.shape, generator=g, dtype=mean.dtype),
    "cox": times_of,
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("method", [ew.Auto(starts=2, steps=10), ew.LevenbergMarquardt(steps=15), "lbfgs", "adam"])
def test_every_method_lowers_the_loss_and_finds_the_curve(name, method):
    if method == "adam":
        method = ew.FirstOrder("adam", lr=0.05, steps=150, batch_size=64)
    elif method == "lbfgs":
        method = ew.FirstOrder("lbfgs", steps=5)
    g = generator(1)
    x = 2 * torch.rand(400, 1, generator=g, dtype=torch.float64) - 1
    mean = torch.sin(2.5 * x) + 1
    fitted = ew.fit(KAN([1, 1], ew.BSpline(3), dtype=torch.float64), (x, SIGNALS[name](mean, g)), method, loss=name)
    with torch.no_grad():
        found = fitted.model(x)
    assert float(torch.corrcoef(torch.cat([found, mean], 1).T)[0, 1]) > 0.95
    assert math.isfinite(fitted.report.loss)


def test_cox_by_levenberg_marquardt_reaches_newtons_minimum():
    g = generator(2)
    x = 2 * torch.rand(150, 2, generator=g, dtype=torch.float64) - 1
    y = times_of((x @ torch.tensor([[1.0], [-0.5]], dtype=torch.float64)), g)
    loss, beta = get_loss("cox"), torch.zeros(2, dtype=torch.float64)
    value = lambda b: loss((x @ b)[:, None], y)
    for _ in range(20):
        beta = beta - torch.linalg.solve(hessian(value)(beta), torch.func.grad(value)(beta))
    problem = ModuleLeastSquares(torch.nn.Linear(2, 1, bias=False, dtype=torch.float64), x, y, None, loss)
    end = levenberg_marquardt(problem, torch.zeros(1, 2, dtype=torch.float64), 60)
    torch.testing.assert_close(end.theta[0], beta, rtol=1e-4, atol=1e-4)
    line = KAN([2, 1], ew.BSpline(1, 1), residual=None, bias=False, dtype=torch.float64)
    network, parameters = Network.of(line)
    end = levenberg_marquardt(NetworkLeastSquares(network, parameters.grids, x, y, None, loss), parameters.theta, 60)
    assert float(end.losses[0]) == pytest.approx(float(value(beta)), rel=1e-6)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.9])
def test_the_share_of_targets_below_a_quantile_curve_is_its_level(tau):
    g = generator(7)
    x = 2 * torch.rand(300, 1, generator=g, dtype=torch.float64) - 1
    y = x + (1.5 + x) * torch.randn(300, 1, generator=g, dtype=torch.float64)
    fitted = ew.fit(KAN([1, 1], dtype=torch.float64), (x, y), ew.LevenbergMarquardt(), loss=quantile(tau))
    with torch.no_grad():
        below = float((y < fitted.model(x)).double().mean())
    assert abs(below - tau) < 0.03
