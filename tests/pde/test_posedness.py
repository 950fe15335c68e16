"""Problems with too few conditions are refused, or told with the solution."""

import re

import pytest
import torch

from edgewise.pde import (
    Box,
    Collocation,
    GaussNewton,
    Problem,
    ProblemError,
    condition,
    dirichlet,
    disk,
    initial,
    neumann,
    observe,
    periodic,
    robin,
    solve,
)
from edgewise.pde.posedness import doubts

LINE, SQUARE, SPAN = Box(x=(0, 1)), Box(x=(0, 1), y=(0, 1)), Box(x=(0, 1), t=(0, 1))


def stokes(*more):
    equation = lambda u, v, p: (u.laplacian - p.dx, v.laplacian - p.dy, u.dx + v.dy)
    return Problem(SQUARE, equation, [dirichlet(1.0), dirichlet(0.0, field="v"), *more], fields=("u", "v", "p"))


FREE = "{} is determined up to a constant only"
ENOUGH = {
    "a value at both ends": Problem(LINE, lambda u: u.dxx, [dirichlet(0.0)]),
    "value and slope at one end": Problem(LINE, lambda u: u.dxx, [dirichlet(0.0, "x-"), neumann(0.0, "x-")]),
    "a robin condition": Problem(disk(), lambda u: u.laplacian, [robin(1.0, 1.0)]),
    "slopes and a term of order 0": Problem(SQUARE, lambda u: u.laplacian - u, [neumann(0.0)]),
    "slopes and a measured value": Problem(LINE, lambda u: u.dxx, [neumann(0.0), observe([0.5], [0.0])]),
    "periodic with a mean": Problem(SPAN, lambda u: u.dt - u.dxx, [initial(0.0), periodic("x")]),
    "a wave with its rate": Problem(SPAN, lambda u: u.dtt - u.dxx, [initial(0.0, 0.0), dirichlet(0.0)]),
    "a small term of order 0": Problem(
        LINE, lambda u, x: u.dxx - 1e-12 * u - x, features=lambda x: (torch.sin(6.28 * x), torch.cos(6.28 * x))
    ),
    "transport": Problem(SPAN, lambda u: u.dt + u.dx, [initial(0.0)]),
    "an equation without derivatives": Problem(LINE, lambda u, x: u**2 - x),
    "by construction": Problem(LINE, lambda u: u.dxx, ansatz=lambda u, x: x * (1 - x) * u),
    "a pressure with a value": stokes(observe([[0.0, 0.0]], [0.0], field="p")),
    "a system of first order": Problem(
        LINE, lambda u, v: (u.dx - v, v.dx + u), [dirichlet(0.0, "x-"), dirichlet(1.0, "x-", field="v")], ("u", "v")
    ),
}
TOO_FEW = {
    "slopes alone": (Problem(SQUARE, lambda u: u.laplacian, [neumann(0.0)]), FREE.format("u")),
    "a period alone": (Problem(LINE, lambda u: u.dxx, [periodic("x")]), FREE.format("u")),
    "a pressure": (stokes(), FREE.format("p")),
    "one end": (
        Problem(LINE, lambda u: u.dxx, [dirichlet(0.0, "x-")]),
        "u.dxx, of 2 conditions for u at x- and x.*is 1",
    ),
    "no start": (Problem(SPAN, lambda u: u.dt - u.dxx, [dirichlet(0.0)]), "u.dt, of 1 .* start there are 0"),
    "no rate": (Problem(SPAN, lambda u: u.dtt - u.dxx, [initial(0.0), dirichlet(0.0)]), r"initial\(value, rate\)"),
    "no walls": (Problem(SPAN, lambda u: u.dt - u.dxx, [initial(0.0)]), "there are 0: add `dirichlet`"),
    "third order": (
        Problem(SPAN, lambda u: u.dt + u.dxxx, [initial(0.0), dirichlet(0.0)]),
        "u.dxxx, of 3 conditions for u at x- and x",
    ),
    "the other field": (
        Problem(LINE, lambda u, v: (u.dxx - v, v.dxx + u), [dirichlet(0.0), condition(lambda v: v, "x-")], ("u", "v")),
        "v.dxx, of 2 conditions for v",
    ),
}


@pytest.mark.parametrize("name", ENOUGH)
def test_enough_conditions_leave_no_doubt(name):
    assert doubts(ENOUGH[name]) == ()


@pytest.mark.parametrize("name", TOO_FEW)
def test_too_few_conditions_are_told(name):
    problem, message = TOO_FEW[name]
    (found,) = doubts(problem)
    assert re.search(message, found), found


def test_a_problem_without_conditions_is_refused():
    with pytest.raises(ProblemError, match=r"has no conditions, so that .*; add `conditions`, such as \[dirichlet"):
        solve(Problem(LINE, lambda u, x: u.dxx - x), [2])


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("flux", [0.0, 1.0])
def test_slopes_that_do_not_balance_the_source_are_no_solution(flux):
    """u'' = 1 on [0, 1] needs fluxes of sum 1; here it is 0 or 2."""
    problem = Problem(LINE, lambda u: u.dxx - 1, [neumann(flux)])
    quick = GaussNewton(starts=1, steps=8, intervals=())
    solution = solve(problem, [2], quick, collocation=Collocation(points=40))
    assert not solution.solved
    assert solution.converged
    assert solution.message.startswith("not solved: ")
    assert FREE.format("u") in solution.message
    assert max(solution.relative_residuals.values()) > 0.1
    assert torch.isfinite(solution(torch.zeros(1, 1))).all()
