"""Unknowns of a surface have the standard errors of nonlinear regression on the exact solution."""

import math

import numpy as np
import pytest
import torch

from edgewise.pde import Box, Problem, Surfaces, dirichlet, initial, observe, solve

METHOD = Surfaces(tolerance=1e-5)


def decay(noise: float, seed: int, names=("k",)) -> tuple[Problem, torch.Tensor]:
    """Measured values of $e^{-1.3 t}$."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.linspace(0.05, 2, 40, dtype=torch.float64)
    y = torch.exp(-1.3 * t) + noise * torch.randn(40, dtype=torch.float64, generator=generator)
    equation = (lambda u, k: u.dt + k * u) if len(names) == 1 else (lambda u, k, m: u.dt + (k + m) * u)
    return Problem(Box(t=(0, 2)), equation, [initial(1.0), observe(t, y)], unknowns=dict.fromkeys(names, 0.4)), y


def test_an_unknown_is_that_of_nonlinear_regression():
    problem, y = decay(0.02, 3)
    found = solve(problem, method=METHOD)
    t = torch.linspace(0.05, 2, 40, dtype=torch.float64).numpy()
    grid = np.linspace(1.1, 1.5, 40_001)
    misfit = [float(((np.exp(-k * t) - y.numpy()) ** 2).sum()) for k in grid]
    best = grid[int(np.argmin(misfit))]
    noise = math.sqrt(min(misfit) / 39)
    error = noise / math.sqrt(float(((t * np.exp(-best * t)) ** 2).sum()))
    assert found.unknowns["k"] == pytest.approx(best, abs=0.02 * error)
    assert found.standard_errors["k"] == pytest.approx(error, rel=0.02)
    assert found.noise == pytest.approx(noise, rel=0.01)


def test_a_combination_is_said():
    found = solve(decay(0.02, 0, ("k", "m"))[0], method=METHOD)
    assert any("a combination of the unknowns" in doubt for doubt in found.doubts)


def test_a_diffusivity_far_from_its_guess_is_found():
    """The fields follow a long step of the unknown, which multiplies their second derivative."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, 2, dtype=torch.float64, generator=generator)
    exact = lambda p: torch.sin(math.pi * p[:, 0]) * torch.exp(-0.05 * math.pi**2 * p[:, 1])
    values = exact(x) + 0.01 * torch.randn(60, dtype=torch.float64, generator=generator)
    rod = Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u, a: u.dt - a * u.dxx,
        [initial(lambda x: torch.sin(math.pi * x)), dirichlet(0.0), observe(x, values)],
        unknowns={"a": 1.0},
    )
    found = solve(rod, method=Surfaces(tolerance=1e-3))
    assert abs(found.unknowns["a"] - 0.05) < 3 * found.standard_errors["a"] < 0.01


def test_without_data_there_is_no_error():
    problem = Problem(Box(t=(0, 1)), lambda u: u.dt + u, [initial(1.0)])
    assert solve(problem, method=METHOD).standard_errors == {}
