"""The energy of a symmetric problem: its derivatives, its quadrature, and where its minimum is."""

import math

import pytest
import torch

import edgewise as ew
from edgewise.pde import Box, Collocation, GaussNewton, Problem, ProblemError, dirichlet, solve
from edgewise.pde.energy import Energy, quadrature

PI = math.pi


def rod(**options):
    """$-u'' + u^3 = f$ on [-1, 1] with the solution sin(pi x)."""

    def source(x):
        return PI**2 * torch.sin(PI * x) + torch.sin(PI * x) ** 3

    return Problem(
        Box(x=(-1, 1)),
        lambda u, x: -u.dxx + u**3 - source(x),
        ansatz=lambda u, x: (1 - x**2) * u,
        energy=lambda u, x: u.dx**2 / 2 + u**4 / 4 - source(x) * u,
        **options,
    )


def membrane():
    return Problem(
        Box(x=(-1, 1), y=(0, 2)),
        lambda u, x, y: u.laplacian - x,
        ansatz=lambda u, x, y: (1 - x**2) * y * (2 - y) * u,
        energy=lambda u, x, y: (u.dx**2 + u.dy**2) / 2 + x * u,
    )


def kan(widths, intervals=5):
    generator = torch.Generator().manual_seed(0)
    return ew.KAN(widths, ew.BSpline(intervals, 5), residual=None, generator=generator, dtype=torch.float64)


def test_the_quadrature_is_exact_for_polynomials():
    x, weights = quadrature([(-1, 2), (0, 3)], 16)
    assert len(x) == 16
    torch.testing.assert_close(weights.sum().item(), 9.0)
    torch.testing.assert_close((weights @ (x[:, 0] ** 7 * x[:, 1] ** 6)).item(), (2**8 - 1) / 8 * 3**7 / 7)


def test_a_quadratic_energy_is_its_own_model():
    """One layer is linear in its parameters: the matrix is the Hessian, and the energy equals its quadratic model."""
    energy = Energy(membrane(), kan([2, 1]), 100)
    theta = energy.theta()
    at = energy.normal_equations(theta)
    torch.testing.assert_close(at.loss, energy.losses(theta))
    s = torch.randn(theta.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parabola = at.loss + at.gradient[0] @ s + s @ at.gram[0] @ s / 2
    torch.testing.assert_close(energy.losses(theta + s), parabola)


def test_the_gradient_is_that_of_finite_differences():
    energy = Energy(rod(), kan([1, 3, 1]), 40)
    theta = energy.theta()
    gradient = energy.normal_equations(theta).gradient[0]
    s = torch.randn(len(gradient), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ends = [energy.losses(theta + h * s) for h in (1e-5, -1e-5)]
    torch.testing.assert_close((ends[0] - ends[1]) / 2e-5, (gradient @ s)[None], rtol=1e-6, atol=1e-8)


def test_the_least_energy_is_at_the_solution():
    model = kan([1, 1], intervals=12)
    energy = Energy(rod(), model, 200)
    energy.fitting.write(energy.minimize(energy.theta(), 30))
    x = torch.linspace(-1, 1, 101, dtype=torch.float64)[:, None]
    with torch.no_grad():
        error = rod().evaluate(model, x) - torch.sin(PI * x)
    assert error.abs().max() < 1e-6


@pytest.mark.usefixtures("as_a_user")
def test_the_search_of_a_solve_minimises_the_energy():
    solution = solve(
        rod(),
        kan([1, 3, 1]),
        GaussNewton(starts=1, steps=20, intervals=()),
        collocation=Collocation(points=100),
    )
    assert solution.error(lambda x: torch.sin(PI * x), torch.linspace(-1, 1, 101, dtype=torch.float64)[:, None]) < 1e-4


def test_problems_that_cannot_have_an_energy_are_refused():
    energy = {"energy": lambda u, x: u.dx**2}
    with pytest.raises(ProblemError, match="put them into `ansatz`"):
        solve(Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(0.0)], **energy), [2])
    with pytest.raises(ProblemError, match="axes of space"):
        solve(Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - u.dxx, ansatz=lambda u, t: t * u, **energy), [2])
