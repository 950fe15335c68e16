"""Eliminated factors: the residual and its slopes against least squares by numpy and finite differences."""

import numpy as np
import torch

from edgewise.discovery.oscillations import Waves
from edgewise.discovery.variable_projection import VariableProjection
from edgewise.expressions.constants import minimize


def waves() -> Waves:
    g = torch.Generator().manual_seed(0)
    t, v = torch.rand(120, generator=g, dtype=torch.float64) * 6 - 3, torch.rand(120, generator=g, dtype=torch.float64)
    y = (1 + 2 * v) * torch.exp(-0.2 * t) * torch.cos(3.1 * t + 0.4) + 0.3 * t
    return Waves(t, y, torch.stack([torch.ones_like(v), v], -1))


def problem() -> VariableProjection:
    w = waves()
    return VariableProjection(lambda flat: w.columns(flat.view(-1, 2)), w._slopes, w.y)


def test_the_loss_is_that_of_least_squares():
    w, theta = waves(), torch.tensor([2.8, 0.1], dtype=torch.float64)
    A, y = w.columns(theta[None]).numpy(), w.y.numpy()
    rest = y - A @ np.linalg.lstsq(A, y, rcond=None)[0]
    np.testing.assert_allclose(problem().losses(theta[None])[0], np.mean(rest**2), rtol=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    theta, step = torch.tensor([2.8, 0.1], dtype=torch.float64), 1e-6
    gradient = problem().normal_equations(theta[None]).gradient[0]
    for k in range(2):
        moved = torch.eye(2, dtype=torch.float64)[k] * step
        up, down = (problem().losses((theta + sign * moved)[None])[0] for sign in (1, -1))
        np.testing.assert_allclose(gradient[k], (up - down) / (2 * step), rtol=1e-5)


def test_a_damped_wave_is_found_again():
    theta, cost = minimize(problem(), torch.tensor([2.9, 0.0], dtype=torch.float64), steps=40)
    np.testing.assert_allclose(theta, [3.1, 0.2], atol=1e-9)
    assert cost < 1e-20
