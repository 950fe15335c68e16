"""Points and weights: causal weights, points where the residual is large, settings that do not apply."""

import dataclasses
import itertools
import math

import pytest
import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Collocation, GaussNewton, Problem, ProblemError, dirichlet, disk, initial, observe, solve
from edgewise.pde.collocation import SLICES, adapted_term, causal_term


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


HEAT = Problem(
    Box(x=(0, 1), t=(2, 4)),
    lambda u: u.dt - 0.4 * u.dxx,
    [initial(lambda x: torch.sin(math.pi * x)), dirichlet(0.0)],
)


@pytest.fixture
def model():
    basis = BSpline(4, 5, extrapolation="polynomial")
    return KAN([2, 3, 1], basis, residual=None, dtype=torch.float64, generator=generator())


def test_the_weight_of_a_slice_is_set_by_the_residual_before_it(model):
    term = HEAT.terms(400, 10, generator())[0]
    weight = causal_term(HEAT, model, {}, term, 3.0).scale.square()
    r = HEAT.residuals(model, term, {})[0].detach().square()
    t = term.points[0, :, 1]
    ends = torch.linspace(2, 4, SLICES + 1, dtype=torch.float64)
    inside = [(t >= a) & ((t < b) | (b == 4)) for a, b in itertools.pairwise(ends)]
    means = torch.stack([r[part].mean() for part in inside])
    for n, part in enumerate(inside):
        expected = torch.exp(-3.0 * means[:n].sum() / means.sum())
        torch.testing.assert_close(weight[part], expected.expand(int(part.sum())))


def test_scales_multiply_and_an_exact_solution_has_no_weights(model):
    term = HEAT.terms(100, 10, generator())[0]
    scaled = dataclasses.replace(term, scale=torch.full((term.points.shape[1],), 2.0, dtype=torch.float64))
    plain = causal_term(HEAT, model, {}, term, 2.0).scale
    torch.testing.assert_close(causal_term(HEAT, model, {}, scaled, 2.0).scale, 2 * plain)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert causal_term(HEAT, model, {}, term, 2.0) is term


@pytest.mark.usefixtures("as_a_user")
def test_a_causal_solve_reaches_the_same_solution(model):
    def exact(x):
        return torch.sin(math.pi * x[:, 0]) * torch.exp(-0.4 * math.pi**2 * (x[:, 1] - 2))

    solution = solve(
        HEAT,
        model,
        GaussNewton(starts=1, steps=24, intervals=(8,)),
        collocation=Collocation(causal=4.0, points=150),
    )
    assert solution.error(exact, solution.sample(300)) < 1e-2


def test_adapted_points_follow_the_squared_residual(model):
    """Points drawn where the residual is large: its mean square there is far above the one of even points."""
    term = HEAT.terms(200, 10, generator())[0]
    adapted = adapted_term(HEAT, model, {}, term, 0.25, generator(1))
    assert adapted.points.shape == term.points.shape
    kept = adapted.points[:, :-50]
    torch.testing.assert_close(kept, term.points[:, 50:])
    r = HEAT.residuals(model, adapted, {})[0].detach().square()
    assert r[-50:].mean() > 1.5 * r[:-50].mean()


LINE = Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(0.0)])
INSIDE = Problem(Box(x=(0, 1)), lambda u: u.dxx, [observe(torch.zeros(1, 1), torch.zeros(1), weight=1.0)])
ROUND = Problem(disk(), lambda u: u.laplacian, [dirichlet(0.0)])


@pytest.mark.parametrize(
    ("problem", "settings", "message"),
    [
        (LINE, {"causal": 1.0}, "coordinate `t`"),
        (ROUND, {"grading": 0.5}, "coordinates of a Box"),
        (INSIDE, {"boundary_points": 10}, "no condition on its boundary"),
        (INSIDE, {"balance": 10.0}, "a weight of its own"),
    ],
)
def test_settings_that_do_not_apply_to_a_problem_are_refused(problem, settings, message):
    with pytest.raises(ProblemError, match=message):
        solve(problem, [2], collocation=Collocation(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"points": 0}, "points must be at least 1, got 0"),
        ({"boundary_points": 0}, "boundary_points must be at least 1"),
        ({"sampling": "grid"}, "unknown sampling 'grid'; choose one of sobol, uniform"),
        ({"adaptive": 1.5}, "at most 1, got 1.5"),
        ({"balance": 0.5}, "at least 1 and finite, got 0.5"),
        ({"grading": 1.0}, "below 1, got 1"),
        ({"causal": -1.0}, "causal must be at least 0 and finite, got -1"),
    ],
)
def test_settings_out_of_their_range_are_refused(settings, message):
    with pytest.raises(ProblemError, match=message):
        Collocation(**settings)
