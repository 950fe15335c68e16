"""Unknowns have the standard errors that the data leave, and estimates within them."""

from functools import cache

import pytest
import torch

from edgewise.pde import Box, Collocation, GaussNewton, Problem, dirichlet, initial, observe, solve

QUICK = GaussNewton(starts=1, steps=12, intervals=(6,))


@cache
def decay(seed, rate=1.7, noise=0.01, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    t = 2 * torch.rand(40, 1, dtype=torch.float64, generator=generator)
    seen = torch.exp(-rate * t[:, 0]) + noise * torch.randn(40, dtype=torch.float64, generator=generator)
    problem = Problem(
        Box(t=(0, 2)),
        lambda u, k: u.dt + k * u,
        [initial(scale), observe(t, scale * seen)],
        unknowns={"k": 1.0},
    )
    slope = t[:, 0] * torch.exp(-rate * t[:, 0])
    return solve(problem, [3], QUICK, collocation=Collocation(points=60), seed=seed), float(slope.norm())


def test_a_standard_error_is_the_bound_of_cramer_and_rao():
    r"""$\sigma / \|\partial u / \partial k\|$, with the noise that was estimated."""
    solution, slope = decay(1)
    assert solution.standard_errors["k"] == pytest.approx(solution.noise / slope, rel=0.1)
    assert solution.noise == pytest.approx(0.01, rel=0.35)
    assert abs(solution.unknowns["k"] - 1.7) < 3.5 * solution.standard_errors["k"]


@pytest.mark.slow
def test_standard_errors_have_the_units_of_their_unknowns():
    (small, _), (large, _) = decay(1), decay(1, scale=1e6)
    assert large.standard_errors["k"] == pytest.approx(small.standard_errors["k"], rel=0.05)
    assert large.noise == pytest.approx(1e6 * small.noise, rel=0.05)


@pytest.mark.slow
def test_unknowns_of_which_the_data_know_a_combination_are_told():
    t = torch.linspace(0.05, 2, 40, dtype=torch.float64)[:, None]
    seen = torch.exp(-1.7 * t[:, 0]) + 0.01 * torch.sin(40 * t[:, 0])
    problem = Problem(
        Box(t=(0, 2)),
        lambda u, k, r: u.dt + (k + r) * u,
        [initial(1.0), observe(t, seen)],
        unknowns={"k": 1.0, "r": 0.5},
    )
    solution = solve(problem, [3], QUICK, collocation=Collocation(points=60))
    assert sum(solution.unknowns.values()) == pytest.approx(1.7, abs=0.1)
    assert any("combination of the unknowns" in doubt for doubt in solution.doubts)
    assert not solution.solved


def test_a_problem_without_measured_values_has_no_standard_errors():
    problem = Problem(Box(x=(0, 1)), lambda u: u.dxx - 1, [dirichlet(0.0)])
    solution = solve(problem, [2], GaussNewton(starts=1, steps=4, intervals=()), collocation=Collocation(points=50))
    assert solution.standard_errors == {}
    assert solution.noise is None
    assert type(solution.record()).from_json(solution.record().to_json()) == solution.record()
