"""Steps of a surface: one for a linear problem, damped where the full step would lead away, and said if not settled."""

import math

import torch

from edgewise.nn import Surface
from edgewise.pde import Box, Problem, Surfaces, dirichlet, solve
from edgewise.pde.surface_equations import SurfaceEquations, Weighted
from edgewise.pde.surface_points import condition_terms, equation_term
from edgewise.pde.surface_steps import minimize


def posed(problem: Problem, degree: int = 4) -> SurfaceEquations:
    grids = [torch.linspace(a, b, 6, dtype=torch.float64) for a, b in problem.domain.bounds]
    surface = Surface(grids, degree=degree)
    terms = [equation_term(problem, surface), *condition_terms(problem, surface)]
    return SurfaceEquations(problem, surface, [Weighted(t, torch.ones(1, dtype=torch.float64)) for t in terms])


def test_a_linear_problem_takes_one_step():
    equations = posed(Problem(Box(x=(0, 1)), lambda u, x: u.dxx + u - x, [dirichlet(0.0)]))
    ended = minimize(equations, 10)
    assert ended.steps == 1
    assert ended.settled


def far() -> Problem:
    """The full step leads away: Newton's steps for atan(z) = 0 grow without end from |z| > 1.39; these begin at 30."""
    return Problem(Box(x=(0, 1)), lambda u, x: torch.atan(10 * (u - 3 * torch.sin(math.pi * x))), [dirichlet(0.0)])


def test_where_the_full_step_leads_away_others_are_taken():
    equations = posed(far())
    system = equations.system()
    move, unknowns = system.solution()
    equations.moved(move, unknowns)
    assert equations.loss() > system.loss
    equations = posed(far())
    ended = minimize(equations, 30)
    assert ended.settled
    assert ended.loss < 1e-6
    assert ended.loss == equations.loss()


def test_steps_that_were_too_few_are_said():
    assert not minimize(posed(far()), 1).settled
    solution = solve(far(), method=Surfaces(steps=1, most=100, tolerance=1e-2))
    assert not solution.converged
    assert "not settled" in solution.message
    assert solve(far(), method=Surfaces(tolerance=1e-2)).converged
