"""The estimated error of a surface is above its true error, and not by much: elliptic, parabolic, hyperbolic."""

import math

import pytest
import torch

from edgewise.pde import Box, Problem, Surfaces, dirichlet, initial, neumann, periodic, solve
from edgewise.pde.surface_run import Sums

PI = math.pi
MOST = 15.0  # estimates above the true error by a larger factor are of little use


def poisson():
    force = lambda x, y: 10 * PI**2 * torch.sin(PI * x) * torch.sin(3 * PI * y)
    problem = Problem(Box(x=(-1, 1), y=(-1, 1)), lambda u, x, y: u.laplacian + force(x, y), [dirichlet(0.0)])
    return problem, lambda x: torch.sin(PI * x[:, 0]) * torch.sin(3 * PI * x[:, 1])


def plate():
    """Of fourth order: clamped, with a load, $\\Delta^2 u = f$."""
    problem = Problem(
        Box(x=(0, 1), y=(0, 1)),
        lambda u, x: u.dxxxx + 2 * u.dxxyy + u.dyyyy - PI**4 * torch.sin(PI * x),
        [
            dirichlet(lambda x: torch.sin(PI * x)),
            neumann(-PI, "x-"),
            neumann(-PI, "x+"),
            neumann(0.0, "y-"),
            neumann(0.0, "y+"),
        ],
    )
    return problem, lambda x: torch.sin(PI * x[:, 0])


def rough():
    """A solution with a singular corner: both degrees converge slowly."""
    given = lambda x, y: (x**2 + y**2) ** 1.25
    force = lambda x, y: 6.25 * (x**2 + y**2) ** 0.25
    problem = Problem(Box(x=(0, 1), y=(0, 1)), lambda u, x, y: u.laplacian - force(x, y), [dirichlet(given)])
    return problem, lambda x: given(x[:, 0], x[:, 1])


def heat():
    start = lambda x: torch.sin(PI * x) + torch.sin(4 * PI * x)
    problem = Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - 0.03 * u.dxx, [initial(start), dirichlet(0.0)])
    mode = lambda x, n: torch.sin(n * PI * x[:, 0]) * torch.exp(-0.03 * (n * PI) ** 2 * x[:, 1])
    return problem, lambda x: mode(x, 1) + mode(x, 4)


def growth():
    """Errors of earlier windows grow by a factor of 400 until the end."""
    problem = Problem(
        Box(x=(0, PI), t=(0, 1)),
        lambda u: u.dt - u.dxx - 7 * u,
        [initial(lambda x: torch.sin(x).clone()), dirichlet(0.0)],
    )
    return problem, lambda x: torch.sin(x[:, 0]) * torch.exp(6 * x[:, 1])


def wave():
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u: u.dtt - 4 * u.dxx,
        [initial(lambda x: torch.sin(PI * x), rate=0.0), dirichlet(0.0)],
    )
    return problem, lambda x: torch.sin(PI * x[:, 0]) * torch.cos(2 * PI * x[:, 1])


def transport():
    problem = Problem(
        Box(x=(0, 2 * PI), t=(0, 1)),
        lambda u: u.dt + 4 * u.dx,
        [initial(lambda x: torch.exp(torch.sin(x))), periodic("x")],
    )
    return problem, lambda x: torch.exp(torch.sin(x[:, 0] - 4 * x[:, 1]))


def bratu():
    """Nonlinear: $u'' + 2 e^u = 0$."""
    angle = 2.3575510538774020426  # of t = 2 cosh(t / 4)
    problem = Problem(Box(x=(0, 1)), lambda u: u.dxx + 2 * torch.exp(u.value), [dirichlet(0.0)])
    return problem, lambda x: -2 * torch.log(torch.cosh((x[:, 0] - 0.5) * angle / 2) / math.cosh(angle / 4))


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (poisson, {}),
        (poisson, {"degree": 4}),
        (rough, {}),
        (plate, {"intervals": 3, "degree": 5}),
        (heat, {}),
        (growth, {}),
        (wave, {}),
        (transport, {}),
        (bratu, {"degree": 4, "intervals": 3}),
    ],
)
def test_the_estimate_is_above_the_error_and_near_it(make, settings):
    problem, exact = make()
    solution = solve(problem, method=Surfaces(tolerance=1e-3, **settings))
    error = solution.error(exact, solution.sample(2000))
    assert solution.solved
    assert error < solution.error_estimate < MOST * error
    assert solution.error_estimate < 1e-3


def test_a_limit_of_coefficients_is_no_excuse_for_a_wrong_estimate():
    problem, exact = poisson()
    solution = solve(problem, method=Surfaces(tolerance=1e-9, most=300))
    error = solution.error(exact, solution.sample(2000))
    assert not solution.solved
    assert error < solution.error_estimate < MOST * error


def test_an_equation_without_a_solution_is_not_solved():
    problem = Problem(Box(x=(0, 1)), lambda u: u.dx, [dirichlet(0.0, "x-"), dirichlet(1.0, "x+")])
    solution = solve(problem, method=Surfaces(most=100))
    assert not solution.solved
    assert "of its terms" in solution.message


def test_errors_of_parts_are_added_as_integrals():
    assert (Sums(3.0, 16.0) + Sums(1.0, 0.0)).relative == 0.5
    assert Sums(4.0, 0.0).relative == 2.0
