"""Solutions against exact ones, and what becomes of a bad start."""

import json
import math

import pytest
import torch
from torch import nn

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Problem, dirichlet, initial, observe, solve

PI = math.pi
LINE = Box(x=(0, 2))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def kan(inputs=1, hidden=3, outputs=1, intervals=4):
    basis = BSpline(intervals, 5, extrapolation="polynomial")
    return KAN([inputs, hidden, outputs], basis, residual=None, dtype=torch.float64, generator=generator())


def sine(x):
    return torch.sin(PI * x[:, 0])


def wave_equation(**options):
    return Problem(LINE, lambda u, x: u.dxx + PI**2 * torch.sin(PI * x), **({"conditions": [dirichlet(0.0)]} | options))


def points(problem, n=200):
    return problem.domain.sample(n, generator(9))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gauss_newton_finds_an_exact_solution(seed):
    problem = wave_equation()
    stages = []
    solution = solve(problem, kan(), intervals=(8,), starts=2, steps=24, points=100, seed=seed, progress=stages.append)
    assert solution.converged
    assert solution.error(sine, points(problem)) < 1e-3
    assert solution.residual(points(problem)).abs().max() < 0.1
    assert list(solution.history) == stages
    assert solution.error_estimate < 1e-2
    json.dumps(solution.to_json())


def test_a_condition_may_hold_by_construction():
    problem = wave_equation(conditions=(), ansatz=lambda u, x: x * (2 - x) * u)
    solution = solve(problem, kan(), intervals=(8,), starts=1, steps=24, points=100)
    ends = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    assert solution(ends).abs().max() < 1e-14
    assert solution.error(sine, points(problem)) < 1e-3


def test_features_make_a_solution_periodic():
    problem = wave_equation(
        conditions=[observe(torch.zeros(1, 1), torch.zeros(1))],
        features=lambda x: (torch.cos(PI * x), torch.sin(PI * x)),
    )
    solution = solve(problem, kan(2), intervals=(8,), starts=2, steps=32, points=100)
    assert solution.error(sine, points(problem)) < 1e-3
    x = torch.tensor([[0.3], [2.3]], dtype=torch.float64)
    torch.testing.assert_close(solution(x)[0], solution(x)[1], rtol=0, atol=1e-12)


def test_the_model_and_its_start_are_left_as_they_were_and_the_seed_decides():
    model, problem = kan(), wave_equation()
    before = [p.clone() for p in model.parameters()]
    results = [solve(problem, model, intervals=(), starts=2, steps=8, points=100, seed=5) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert model.input_affine is None
    x = points(problem)
    assert torch.equal(results[0](x), results[1](x))


def test_an_unknown_coefficient_is_found_from_noisy_values():
    x = LINE.sample(60, generator())
    noise = 0.01 * torch.randn(60, dtype=torch.float64, generator=generator(1))
    problem = Problem(
        LINE,
        lambda u, k: u.dxx + k * u,
        [observe(x, sine(x) + noise)],
        unknowns={"k": 5.0},
    )
    solution = solve(problem, kan(), intervals=(), starts=1, steps=30, points=100)
    assert abs(solution.unknowns["k"] / PI**2 - 1) < 0.02


def test_a_perceptron_is_solved_by_the_same_method():
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    solution = solve(wave_equation(), model, starts=2, steps=60, points=100)
    assert solution.error(sine, points(wave_equation())) < 1e-3


@pytest.mark.parametrize("optimizer", ["self-scaled-bfgs", "lbfgs", "adam"])
def test_first_order_methods_go_downhill(optimizer):
    solution = solve(
        wave_equation(), kan(), optimizer=optimizer, intervals=(), starts=1, steps=40, points=100, adaptive=0
    )
    untrained = solve(wave_equation(), kan(), optimizer="adam", intervals=(), starts=1, steps=0, points=100, adaptive=0)
    assert solution.history[-1].loss < untrained.history[-1].loss


def test_windows_of_time_join():
    domain = Box(x=(0, 1), t=(0, 1))
    problem = Problem(
        domain,
        lambda u: u.dt - 0.2 * u.dxx,
        [initial(lambda x: torch.sin(PI * x)), dirichlet(0.0)],
    )

    def exact(x):
        return torch.sin(PI * x[:, 0]) * torch.exp(-0.2 * PI**2 * x[:, 1])

    solution = solve(problem, kan(2, 4), windows=2, intervals=(), starts=1, steps=30, points=200)
    assert len(solution.models) == 2
    assert solution.ends == (0.5,)
    assert solution.error(exact, points(problem)) < 1e-2
    seam = torch.tensor([[0.4, 0.5], [0.4, 0.5 + 1e-12]], dtype=torch.float64)
    assert (solution(seam)[0] - solution(seam)[1]).abs() < 1e-2
    assert solution.residual(points(problem)).shape == (200, 1)


def test_a_system_has_all_its_fields():
    problem = Problem(
        LINE,
        lambda u, v: (u.dx - v, v.dx + PI**2 * u),
        [dirichlet(0.0, "x-"), dirichlet(PI, "x-", field="v")],
        fields=("u", "v"),
    )
    solution = solve(problem, kan(outputs=2), intervals=(8,), starts=1, steps=30, points=100)
    x = points(problem)
    expected = torch.stack([sine(x), PI * torch.cos(PI * x[:, 0])], -1)
    assert (solution(x) - expected).norm() < 1e-3 * expected.norm()


def test_a_solve_that_diverges_returns_its_start_and_says_so():
    model = kan()
    with torch.no_grad():
        model.layers[0].coef[0, 0, 0] = math.nan
    solution = solve(wave_equation(), model, intervals=(), starts=1, steps=5, points=50)
    assert not solution.converged
    assert "diverged" in solution.message


def test_time_that_is_up_ends_a_solve_with_what_there_is():
    solution = solve(wave_equation(), kan(), steps=5, points=50, seconds=0.0)
    assert solution.message == "time is up"
    assert torch.isfinite(solution(points(wave_equation()))).all()


def test_pictures_show_field_residual_and_error():
    pytest.importorskip("matplotlib").use("Agg")
    problem = wave_equation()
    solution = solve(problem, kan(), intervals=(), starts=1, steps=5, points=50)
    for what in ("field", "residual", "error"):
        figure = solution.plot(what, reference=sine, points=21)
        assert figure.axes[0].get_title().startswith(what)
        figure.clear()
    with pytest.raises(ValueError, match="cannot draw 'error': give a reference"):
        solution.plot("error")
