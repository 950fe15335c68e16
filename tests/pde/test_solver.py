"""Solutions equal exact ones; bad starts, time limits and the history of a solve."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn
from typecheck import unchecked

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Collocation, GaussNewton, Problem, SolutionRecord, dirichlet, observe, solve
from edgewise.progress import Event

pytestmark = pytest.mark.usefixtures("as_a_user")
PI = math.pi
LINE = Box(x=(0, 2))
FEW = Collocation(points=100)
REFINED = GaussNewton(starts=1, steps=24, intervals=(8,))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def kan(inputs=1, hidden=3, outputs=1, intervals=4):
    basis = BSpline(intervals, 5, extrapolation="polynomial")
    return KAN([inputs, hidden, outputs], basis, residual=None, dtype=torch.float64, generator=generator())


def sine(x):
    return torch.sin(PI * x[:, 0])


def poisson(**options):
    return Problem(LINE, lambda u, x: u.dxx + PI**2 * torch.sin(PI * x), **({"conditions": [dirichlet(0.0)]} | options))


def points(problem, n=200):
    return problem.domain.sample(n, generator(9))


@pytest.fixture(scope="module")
def solved():
    """The solutions for three seeds, and the events of the first solve."""
    events: list[Event] = []
    method = GaussNewton(starts=2, steps=24, intervals=(8,))
    with unchecked():
        solutions = [
            solve(poisson(), kan(), method, collocation=FEW, seed=seed, progress=listener)
            for seed, listener in enumerate((events.append, None, None))
        ]
    return solutions, events


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gauss_newton_finds_an_exact_solution(solved, seed):
    problem, solution = poisson(), solved[0][seed]
    assert solution.converged
    assert solution.error(sine, points(problem)) < 1e-3
    assert solution.residual(points(problem)).abs().max() < 0.1
    assert solution.error_estimate < 1e-2


def test_every_round_is_reported_with_its_share_of_the_solve(solved):
    solutions, events = solved
    history = solutions[0].history
    assert [event.stage for event in events] == [stage.name for stage in history]
    assert [event.fraction for event in events] == [
        0.25,
        0.5,
        0.75,
        1.0,
    ]  # two starts, the better one again, 8 intervals
    assert all(f"at fresh points {s.validation:.1e}" in e.text for s, e in zip(history, events, strict=True))


def test_the_record_of_a_solution_is_read_back(solved):
    record = solved[0][0].record(sine)
    assert record.relative_error == solved[0][0].error(sine, solved[0][0].sample(5000))
    assert SolutionRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert "relative_error" not in solved[0][0].record().to_json()
    bad = dataclasses.replace(record, relative_error=math.nan, error_estimate=None, unknowns={"k": math.inf})
    read = SolutionRecord.from_json(json.loads(json.dumps(bad.to_json(), allow_nan=False)))
    assert math.isnan(read.relative_error)
    assert math.isnan(read.unknowns["k"])
    assert read.error_estimate is None


def test_plots_show_field_residual_and_error(solved):
    pytest.importorskip("matplotlib").use("Agg")
    solution = solved[0][0]
    for what in ("field", "residual", "error"):
        figure = solution.plot(what, reference=sine, points=21)
        assert figure.axes[0].get_title().startswith(what)
        figure.clear()
    with pytest.raises(ValueError, match="cannot draw 'error': give a reference"):
        solution.plot("error")


def test_a_condition_may_hold_by_construction():
    problem = poisson(conditions=(), ansatz=lambda u, x: x * (2 - x) * u)
    solution = solve(problem, kan(), REFINED, collocation=FEW)
    ends = torch.tensor([[0.0], [2.0]], dtype=torch.float64)
    assert solution(ends).abs().max() < 1e-14
    assert solution.error(sine, points(problem)) < 1e-3


def test_features_make_a_solution_periodic():
    problem = poisson(
        conditions=[observe(torch.zeros(1, 1), torch.zeros(1))],
        features=lambda x: (torch.cos(PI * x), torch.sin(PI * x)),
    )
    solution = solve(problem, kan(2), GaussNewton(starts=1, steps=20, intervals=(8,)), collocation=FEW)
    assert solution.error(sine, points(problem)) < 1e-3
    x = torch.tensor([[0.3], [2.3]], dtype=torch.float64)
    torch.testing.assert_close(solution(x)[0], solution(x)[1], rtol=0, atol=1e-12)


def test_the_model_is_not_changed_and_the_seed_decides():
    model, problem = kan(), poisson()
    before = [p.clone() for p in model.parameters()]
    method = GaussNewton(starts=2, steps=4, intervals=())
    results = [solve(problem, model, method, collocation=FEW, seed=5) for _ in range(2)]
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
    solution = solve(problem, kan(), GaussNewton(starts=1, steps=30, intervals=()), collocation=FEW)
    assert abs(solution.unknowns["k"] / PI**2 - 1) < 0.02


def test_an_mlp_is_solved_by_the_same_method():
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    solution = solve(poisson(), model, GaussNewton(starts=2, steps=40), collocation=FEW)
    assert solution.error(sine, points(poisson())) < 1e-3


def test_a_system_has_all_its_fields():
    problem = Problem(
        LINE,
        lambda u, v: (u.dx - v, v.dx + PI**2 * u),
        [dirichlet(0.0, "x-"), dirichlet(PI, "x-", field="v")],
        fields=("u", "v"),
    )
    solution = solve(problem, kan(outputs=2), GaussNewton(starts=1, steps=20, intervals=(8,)), collocation=FEW)
    x = points(problem)
    expected = torch.stack([sine(x), PI * torch.cos(PI * x[:, 0])], -1)
    assert (solution(x) - expected).norm() < 1e-3 * expected.norm()


@pytest.mark.parametrize("intervals", [(), (8,)])
def test_a_solve_that_diverges_returns_its_start_and_says_so(intervals):
    model = kan()
    with torch.no_grad():
        model.layers[0].coef[0, 0, 0] = math.nan
    solution = solve(poisson(), model, GaussNewton(starts=1, steps=5, intervals=intervals), collocation=FEW)
    assert not solution.converged
    assert "diverged" in solution.message


def test_time_that_is_up_ends_a_solve_with_what_there_is():
    solution = solve(poisson(), kan(), GaussNewton(steps=5), collocation=FEW, seconds=0.0)
    assert solution.message.startswith("time is up, but equation is off by")
    assert torch.isfinite(solution(points(poisson()))).all()


def test_a_solve_that_is_not_resolved_says_so():
    problem = Problem(Box(x=(0, 1)), lambda u, x: u.dxx + torch.sin(60 * x), [dirichlet(0.0)])
    method = GaussNewton(starts=1, steps=10, intervals=(6,))
    solution = solve(problem, [1], method, collocation=Collocation(points=60))
    assert solution.error_estimate > 0.05
    assert "still differ" in solution.message
