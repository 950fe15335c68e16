"""Grids and points that gather at a front, and windows of time."""

import math

import pytest
import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Problem, ProblemError, dirichlet, disk, initial, observe, solve
from edgewise.pde.first_networks import checked_model
from edgewise.pde.grading import _density, grade_, graded_terms, warped

FRONT = 0.3
BOX = Box(x=(-1, 2), t=(0, 1))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def layer_problem():
    """A field that changes from -1 to 1 across x = 0.3 within a hundredth."""
    given = [initial(lambda x: torch.tanh((x - FRONT) / 0.005)), dirichlet(0.0, "x-")]
    return Problem(BOX, lambda u: u.dt, given)


@pytest.fixture
def graded():
    """A network with a front along x, on a grid that has gathered there."""
    problem = layer_problem()
    model = checked_model(problem, KAN([2, 1], BSpline(40, 3), residual=None, dtype=torch.float64), generator())
    with torch.no_grad():
        layer = model.layers[0]
        layer.coef.zero_()
        layer.coef[0, 28:, 0] = 1.0  # a step at about x = 1
    for _ in range(3):
        grade_(model, problem, 0.8, generator())
    return problem, model


def test_a_grid_gathers_at_the_front_and_keeps_its_ends(graded):
    problem, model = graded
    knots = (model.layers[0].grid[0] - model.input_affine.shift[0]) / model.input_affine.scale[0]
    u = torch.linspace(-1, 2, 3001, dtype=torch.float64)
    values = problem.evaluate(model, torch.stack([u, torch.full_like(u, 0.5)], -1))[:, 0]
    front = u[values.diff().abs().argmax()]
    assert (knots - front).abs().sort().values[4] < 0.5 * 3 / 40 * 2.5
    assert knots.diff().min() < 0.5 * 3 / 40
    assert knots[0] < -1
    assert knots[-1] > 2


def test_points_follow_the_grid_and_count_by_their_density(graded):
    problem, model = graded
    x = torch.rand(100_000, 2, dtype=torch.float64, generator=generator()) * torch.tensor([3.0, 1.0]) - torch.tensor(
        [1.0, 0]
    )
    moved = warped(model, problem, x)
    corners = torch.tensor([[-1.0, 0], [2, 1], [-1, 1]], dtype=torch.float64)
    torch.testing.assert_close(warped(model, problem, corners), corners)
    mixed = torch.cat([x, moved])
    weights = 1 / _density(model, problem, mixed)
    for function in (
        lambda x: torch.ones_like(x[:, 0]),
        lambda x: (x[:, 0] - FRONT).abs(),
        lambda x: x[:, 1] * x[:, 0] ** 2,
    ):
        even = function(x).mean()
        assert abs((weights * function(mixed)).mean() / even - 1) < 0.02  # the mixture integrates as the even points do


def test_conditions_stay_on_their_faces_and_observations_where_they_were(graded):
    problem, model = graded
    seen = observe(torch.tensor([[0.0, 0.5]]), torch.tensor([1.0]))
    problem = Problem(BOX, lambda u: u.dt, [*problem.conditions, seen])
    equation, start, left, observed = graded_terms(model, problem, problem.terms(50, 20, generator()))
    assert (start.points[0, :, 1] == 0).all()
    assert (left.points[0, :, 0] == -1).all()
    assert observed.points.tolist() == [[[0.0, 0.5]]]
    assert equation.scale is not None
    assert start.scale is None


def test_a_graded_solve_of_a_boundary_layer_beats_an_even_one():
    e = 0.01
    problem = Problem(Box(x=(0, 1)), lambda u: e * u.dxx + u.dx - 1, [dirichlet(0.0)])

    def exact(x):
        return x[:, 0] - (1 - torch.exp(-x[:, 0] / e)) / (1 - math.exp(-1 / e))

    options = {"starts": 2, "steps": 20, "points": 150, "intervals": (10,), "rounds": 2}
    x = Box(x=(0, 0.1)).sample(500, generator())
    errors = [solve(problem, [4], grading=g, **options).error(exact, x) for g in (0.0, 0.8)]
    assert errors[1] < errors[0]
    assert errors[1] < 1e-2


def test_windows_are_cut_at_given_times_and_bad_ones_are_refused():
    start = [initial(lambda x: torch.sin(math.pi * x)), dirichlet(0.0)]
    problem = Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - 0.2 * u.dxx, start)
    solution = solve(problem, [2], windows=(0.2, 0.7), intervals=(), starts=1, steps=3, points=60)
    assert solution.ends == (0.2, 0.7)
    assert {stage.window for stage in solution.history} == {0, 1, 2}
    late = solve(problem, [2], windows=2, intervals=(5,), starts=1, steps=3, points=60, seconds=0.0)
    assert late.message.startswith("time is up")
    assert len(late.models) == 2
    with pytest.raises(ProblemError, match=r"increasing times between 0 and 1"):
        solve(problem, [2], windows=(0.5, 0.4))


def test_grading_that_cannot_be_done_is_refused():
    round_one = Problem(disk(), lambda u: u.laplacian, [dirichlet(0.0)])
    with pytest.raises(ProblemError, match="coordinates of a Box"):
        solve(round_one, [2], grading=0.5)
    with pytest.raises(ProblemError, match="below 1, got 1"):
        solve(layer_problem(), [2], grading=1.0)


def test_a_solve_that_is_not_resolved_says_so():
    problem = Problem(Box(x=(0, 1)), lambda u, x: u.dxx + torch.sin(60 * x), [dirichlet(0.0)])
    solution = solve(problem, [1], intervals=(6,), starts=1, steps=10, points=60)
    assert solution.error_estimate > 0.05
    assert "still differ" in solution.message
