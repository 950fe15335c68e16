"""A problem in any units is solved as well as in units of order 1, and its residuals are judged by their terms."""

import math

import pytest
import torch

from edgewise.nn import KAN
from edgewise.pde import Box, Collocation, GaussNewton, Problem, dirichlet, initial, neumann, observe, solve
from edgewise.pde.own_scale import own_units, relative_residuals

pytestmark = pytest.mark.usefixtures("as_a_user")
PI = math.pi
QUICK = GaussNewton(starts=2, steps=16, intervals=(6,))


def linear(length=1.0, time=1.0, size=1.0, factor=1.0):
    problem = Problem(
        Box(x=(-length, length)),
        lambda u, x: factor * (u.dxx + size * (PI / length) ** 2 * torch.sin(PI * x / length)),
        [dirichlet(0.0)],
    )
    return problem, lambda p: size * torch.sin(PI * p[:, 0] / length)


def cubic(length=1.0, time=1.0, size=1.0, factor=1.0):
    """$L^2 u'' - u - u^3/A^2 + f = 0$ with a value at one end and a slope at the other."""

    def source(x):
        wave = torch.sin(PI * x / length + 0.3)
        return size * (PI**2 * wave + wave + wave**3)

    problem = Problem(
        Box(x=(0, 2 * length)),
        lambda u, x: factor * (length**2 * u.dxx - u - u**3 / size**2 + source(x)),
        [
            dirichlet(lambda x: size * torch.sin(PI * x / length + 0.3), "x-"),
            neumann(lambda x: size * PI / length * torch.cos(PI * x / length + 0.3), "x+"),
        ],
    )
    return problem, lambda p: size * torch.sin(PI * p[:, 0] / length + 0.3)


def heat(length=1.0, time=1.0, size=1.0, factor=1.0):
    diffusion = 0.4 * length**2 / time
    problem = Problem(
        Box(x=(0, length), t=(0, time)),
        lambda u: factor * (u.dt - diffusion * u.dxx),
        [initial(lambda x: size * torch.sin(PI * x / length)), dirichlet(0.0)],
    )
    return problem, lambda p: size * torch.sin(PI * p[:, 0] / length) * torch.exp(-0.4 * PI**2 * p[:, 1] / time)


def solved(make, points=60, method=QUICK, **scales):
    problem, exact = make(**scales)
    solution = solve(problem, [3], method, collocation=Collocation(points=points))
    return solution, solution.error(exact, solution.sample(300))


SCALES = [
    (linear, {"length": 1e6, "size": 1e-8}),
    (linear, {"length": 1e-6, "factor": 1e3}),
    (cubic, {"length": 1e-6, "size": 1e8}),
]


@pytest.mark.parametrize(("make", "scales"), SCALES, ids=lambda v: getattr(v, "__name__", str(v)))
def test_the_relative_error_does_not_depend_on_units(make, scales):
    solution, error = solved(make, **scales)
    assert error < 0.02
    assert solution.converged
    assert max(solution.relative_residuals.values()) < 0.05


@pytest.mark.parametrize("scales", [{"time": 1e-6, "size": 1e8}, {"time": 1e6, "length": 1e-6, "size": 1e-8}], ids=str)
def test_time_may_have_any_unit(scales):
    solution, error = solved(heat, points=80, method=GaussNewton(starts=1, steps=24, intervals=()), **scales)
    assert error < 0.02
    assert solution.solved


def test_small_changes_of_a_large_constant_are_resolved():
    """A rod in SI units, at 293 K with a bump of 5 K."""
    length, time, capacity, conductivity = 0.1, 3600.0, 4e6, 4.0

    def bump(p):
        return 5 * torch.sin(PI * p[:, 0] / length) * torch.exp(-conductivity / capacity * (PI / length) ** 2 * p[:, 1])

    problem = Problem(
        Box(x=(0, length), t=(0, time)),
        lambda u: capacity * u.dt - conductivity * u.dxx,
        [initial(lambda x: 293 + 5 * torch.sin(PI * x / length)), dirichlet(293.0)],
    )
    solution = solve(problem, [3], GaussNewton(starts=1, steps=16, intervals=()), collocation=Collocation(points=80))
    x = solution.sample(300)
    assert (solution(x)[:, 0] - 293 - bump(x)).norm() < 0.02 * bump(x).norm()


def test_a_change_of_units_by_powers_of_two_changes_no_digit():
    few = GaussNewton(starts=1, steps=3, intervals=())
    values = []
    for n in (20, 28):
        solution, _ = solved(cubic, method=few, length=2.0**n, size=2.0**-n)
        values.append(solution(torch.linspace(0, 2 * 2.0**n, 9, dtype=torch.float64)[:, None]) * 2.0**n)
    assert torch.equal(*values)


def test_a_problem_of_order_1_keeps_its_numbers():
    for make in (linear, cubic, heat):
        units = own_units(make()[0])
        assert units.terms is None
        assert (units.outputs == 1).all()


def test_a_network_keeps_the_units_that_it_has():
    problem, exact = linear(size=1e-8)
    first, _ = solved(linear, size=1e-8)
    again = solve(
        problem, first.model, GaussNewton(starts=1, steps=2, intervals=()), collocation=Collocation(points=50)
    )
    assert torch.equal(again.model.output_affine.scale, first.model.output_affine.scale)
    assert again.error(exact, again.sample(100)) < 0.02
    plain = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    none = GaussNewton(starts=1, steps=0)
    begun = solve(problem, plain, none, collocation=Collocation(points=20))
    again = solve(problem, begun.model, none, collocation=Collocation(points=20))
    assert [type(m).__name__ for m in again.model] == ["Affine", "Sequential", "Affine"]


@pytest.mark.slow
@pytest.mark.usefixtures("as_a_user")
def test_an_unknown_far_from_1_is_found_in_its_own_unit():
    length, k = 1e4, (PI / 1e4) ** 2
    domain = Box(x=(0, 2 * length))
    x = domain.sample(40, torch.Generator().manual_seed(0))
    seen = observe(x, torch.sin(PI * x[:, 0] / length))
    problem = Problem(domain, lambda u, k: u.dxx + k * u, [seen], unknowns={"k": k / 2})
    solution = solve(problem, [3], QUICK, collocation=Collocation(points=50))
    assert abs(solution.unknowns["k"] / k - 1) < 0.02


@pytest.mark.parametrize("scales", [{}, {"length": 1e6, "size": 1e-8}], ids=str)
def test_a_residual_is_relative_to_its_terms(scales):
    problem, _ = linear(**scales)
    nothing = KAN([1, 1], residual=None, dtype=torch.float64)
    with torch.no_grad():
        nothing.layers[0].coef.zero_()
    assert relative_residuals(problem, nothing, {}) == {"equation": 1.0, "u on boundary": 0.0}
    starved, _ = solved(linear, method=GaussNewton(starts=1, steps=0, intervals=()), **scales)
    assert starved.message.startswith("not solved: equation is off by ")
    assert not starved.solved


@pytest.mark.parametrize("time", [{}, {"t": (0, 1)}], ids=["still", "in time"])
def test_a_laplacian_counts_as_the_sum_of_its_second_derivatives(time):
    """So that a harmonic function, whose Laplacian is 0, solves the equation of Laplace."""
    domain, edges = Box(x=(0, 1), y=(0, 2), **time), [dirichlet(lambda x, y: x**2 - y**2)]
    short, long = (Problem(domain, e, edges) for e in (lambda u: u.laplacian, lambda u: u.dxx + u.dyy))
    torch.manual_seed(0)
    model = KAN([len(domain.coordinates), 3, 1], dtype=torch.float64)
    first, second = (relative_residuals(problem, model, {}) for problem in (short, long))
    assert first == pytest.approx(second, rel=1e-9)
    assert first["equation"] < 0.9


def test_the_equation_of_laplace_is_solved():
    problem = Problem(Box(x=(0, 1), y=(0, 1)), lambda u: u.laplacian, [dirichlet(lambda x, y: x**2 - y**2)])
    assert solve(problem, [3], QUICK, collocation=Collocation(points=100)).solved
