"""Laws of the penalties: their formula, their gradient, their behaviour at zero."""

import math

import numpy as np
import pytest
import torch
from zoo import SEEDS, mixed, network, samples

import edgewise as ew
from edgewise import BSpline, Entropy, Smoothness, Sparsity
from edgewise.bases import Fourier

ALL = (Sparsity, Entropy, Smoothness)
close = torch.testing.assert_close
every_penalty = pytest.mark.parametrize("penalty", ALL, ids=lambda p: p.__name__)


@pytest.mark.parametrize("seed", SEEDS)
def test_values_follow_the_paper(seed):
    model, x = mixed(seed=seed), samples(40, 3, seed=seed)
    seen = ew.trace(model, x)
    sparsity = entropy = 0.0
    for part in seen.values():
        size = np.abs(part.edges().detach().numpy()).mean(0)
        share = size[size > 0] / size.sum()
        sparsity += size.sum()
        entropy -= (share * np.log(share)).sum()
    close(Sparsity()(model, seen).item(), sparsity)
    close(Entropy()(model, seen).item(), entropy)


def test_smoothness_is_the_second_difference_of_an_even_spline():
    model = network([1, 1], basis=BSpline(7, 3, "uniform"), residual=None)
    coef = model.layers[0].coef.detach()[0, :, 0]
    width = 2 / 7
    expected = (coef[2:] - 2 * coef[1:-1] + coef[:-2]).square().sum() / width**2
    close(Smoothness()(model, ew.trace(model, samples(3, 1))).detach(), expected)


@pytest.mark.parametrize("knots", ["clamped", "uniform"])
def test_a_straight_line_is_smooth_on_any_grid(knots):
    model = network([2, 2], basis=BSpline(6, 3, knots), residual=None)
    ew.adapt_grid_(model, samples(100, 2), adaptive=0.7)
    layer = model.layers[0]
    layer.coef.data.copy_((3 * layer.basis.greville(layer.grid) - 1)[..., None].expand_as(layer.coef))
    x = samples(20, 2)
    close(layer.edge_values(x), (3 * x - 1)[..., None].expand(-1, -1, 2))
    assert Smoothness()(model, ew.trace(model, x)) < 1e-20


@every_penalty
@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_agree_with_finite_differences(penalty, seed):
    model, x = network([2, 2, 1], seed=seed), samples(15, 2, seed=seed)

    def loss():
        return penalty(0.7)(model, ew.trace(model, x))

    params = list(model.parameters())
    grads = torch.autograd.grad(loss(), params, allow_unused=True, materialize_grads=True)
    assert any((g != 0).any() for g in grads)
    generator = torch.Generator().manual_seed(seed)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in params]
    slope = sum((g * d).sum() for g, d in zip(grads, direction, strict=True))

    def moved(step):
        with torch.no_grad():
            for p, d in zip(params, direction, strict=True):
                p.add_(step * d)
            value = loss()
            for p, d in zip(params, direction, strict=True):
                p.sub_(step * d)
        return value

    close((moved(1e-6) - moved(-1e-6)) / 2e-6, slope, rtol=1e-5, atol=1e-6)


@every_penalty
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_edges_that_are_exactly_zero_do_no_harm(penalty, dtype):
    model = ew.remove_edge(network([2, 3, 1], dtype=dtype), (0, 0, 0))
    with torch.no_grad():
        model.layers[0].coef[1, :, 1] = 0
        model.layers[0].coef[0, :, 0] = torch.nan  # of the absent edge
    value = penalty()(model, ew.trace(model, samples(10, 2, dtype=dtype)))
    value.backward()
    assert value.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    zero = penalty()(model, ew.trace(model, samples(10, 2, dtype=dtype)))
    zero.backward()
    assert zero == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_entropy_is_that_of_equal_edges():
    model = network([4, 2], bias=False)
    for j in range(4):
        for i in range(2):
            model = ew.fix(model, (0, j, i), "x") if j < 3 else ew.remove_edge(model, (0, j, i))
    x = torch.tensor([[1.0, -1.0, 1.0, 5.0]], dtype=torch.float64)
    close(Entropy()(model, ew.trace(model, x)).item(), math.log(6))


@every_penalty
def test_strength_scales_and_is_checked(penalty):
    model, x = network([2, 2, 1]), samples(10, 2)
    seen = ew.trace(model, x)
    close(penalty(0.25)(model, seen), penalty()(model, seen) / 4)
    for wrong in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"{penalty.__name__}: strength must be"):
            penalty(wrong)
    assert penalty(0.5) == penalty(0.5) != penalty(0.6)


def test_what_a_penalty_cannot_measure_is_told():
    model = network([2, 1], basis=Fourier())
    with pytest.raises(ValueError, match="has no samples"):
        Sparsity()(model, ew.trace(model, samples(0, 2)))
    with pytest.raises(ValueError, match=r"Smoothness is defined for B-splines.*Fourier"):
        Smoothness()(model, ew.trace(model, samples(5, 2)))
