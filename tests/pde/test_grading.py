"""Grids and points that concentrate at a front."""

import math

import pytest
import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Collocation, GaussNewton, Problem, dirichlet, initial, observe, solve
from edgewise.pde.grading import _density, grade_, graded_terms, warped
from edgewise.pde.initial_networks import checked_model

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
    """A network with a front along x, on a grid that is dense there."""
    problem = layer_problem()
    model = checked_model(problem, KAN([2, 1], BSpline(40, 3), residual=None, dtype=torch.float64), generator())
    with torch.no_grad():
        layer = model.layers[0]
        layer.coef.zero_()
        layer.coef[0, 28:, 0] = 1.0  # a step at about x = 1
    for _ in range(3):
        grade_(model, problem, 0.8, generator())
    return problem, model


def test_a_grid_is_dense_at_the_front_and_keeps_its_ends(graded):
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


@pytest.mark.usefixtures("as_a_user")
def test_a_graded_solve_of_a_boundary_layer_beats_an_even_one():
    e = 0.01
    problem = Problem(Box(x=(0, 1)), lambda u: e * u.dxx + u.dx - 1, [dirichlet(0.0)])

    def exact(x):
        return x[:, 0] - (1 - torch.exp(-x[:, 0] / e)) / (1 - math.exp(-1 / e))

    method = GaussNewton(starts=1, steps=16, intervals=(10,), rounds=2)
    x = Box(x=(0, 0.1)).sample(500, generator())
    places = [Collocation(points=100, grading=g) for g in (0.0, 0.8)]
    errors = [solve(problem, [4], method, collocation=c).error(exact, x) for c in places]
    assert errors[1] < errors[0]
    assert errors[1] < 1e-2
