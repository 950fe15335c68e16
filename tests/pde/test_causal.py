"""Weights that put early times first."""

import dataclasses
import itertools
import math

import pytest
import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Problem, ProblemError, dirichlet, initial, solve
from edgewise.pde.causal import SLICES, causal_term


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


def test_scales_multiply_and_a_solution_has_no_weights(model):
    term = HEAT.terms(100, 10, generator())[0]
    scaled = dataclasses.replace(term, scale=torch.full((term.points.shape[1],), 2.0, dtype=torch.float64))
    plain = causal_term(HEAT, model, {}, term, 2.0).scale
    torch.testing.assert_close(causal_term(HEAT, model, {}, scaled, 2.0).scale, 2 * plain)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert causal_term(HEAT, model, {}, term, 2.0) is term


def test_a_causal_solve_reaches_the_same_solution(model):
    def exact(x):
        return torch.sin(math.pi * x[:, 0]) * torch.exp(-0.4 * math.pi**2 * (x[:, 1] - 2))

    solution = solve(HEAT, model, causal=4.0, intervals=(8,), starts=1, steps=24, points=150)
    assert solution.error(exact, solution.sample(300)) < 1e-2


def test_causal_weights_that_cannot_be_are_refused():
    line = Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(0.0)])
    with pytest.raises(ProblemError, match="coordinate `t`"):
        solve(line, [2], causal=1.0)
    with pytest.raises(ProblemError, match="causal must be at least 0 and finite, got -1"):
        solve(HEAT, [2], causal=-1.0)
