"""Equations as written, and the messages for problems that cannot be solved."""

import math

import numpy as np
import pytest
import torch

from edgewise.bases import BSpline
from edgewise.jets import laplace
from edgewise.nn import KAN
from edgewise.pde import (
    Box,
    Problem,
    ProblemError,
    dirichlet,
    initial,
    neumann,
    observe,
    periodic,
    solve,
)
from edgewise.pde.operators import algebra_of
from edgewise.pde.problem import ResidualTerm

SQUARE = Box(x=(-1, 1), y=(-1, 1))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def kan(inputs=2, outputs=1):
    return KAN([inputs, 3, outputs], BSpline(4, 6), dtype=torch.float64, generator=generator())


def residual(problem, model, x, **unknowns):
    algebra = problem.algebra(problem.equation_of)
    term = ResidualTerm("equation", problem.equation_of, algebra, x[None])
    return problem.residuals(model, term, {k: torch.tensor(v) for k, v in unknowns.items()})


def by_hand(model, x, index):
    x = x.clone().requires_grad_()
    u = model(x)[:, 0]
    for j, n in enumerate(index):
        for _ in range(n):
            (g,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            u = g[:, j]
    return u.detach()


def test_an_equation_means_what_it_says():
    model, x = kan(), Box(x=(-1, 1), t=(0, 1)).sample(9, generator())
    u, ux, ut, uxx, uxxt = (by_hand(model, x, a) for a in [(0, 0), (1, 0), (0, 1), (2, 0), (2, 1)])

    def equation(u, x, nu):
        return u.dt + u * u.dx - nu * u.dxx + 2 / (3 - u) + torch.sin(u) * u.dxxt - (1 - u) ** 2 * x + u.laplacian

    problem = Problem(Box(x=(-1, 1), t=(0, 1)), equation, unknowns={"nu": 0.1})
    expected = ut + u * ux - 0.3 * uxx + 2 / (3 - u) + torch.sin(u) * uxxt - (1 - u) ** 2 * x[:, 0] + uxx
    torch.testing.assert_close(residual(problem, model, x, nu=0.3)[0], expected)


def test_the_laplacian_is_over_space_alone_and_takes_the_small_algebra_where_it_can():
    assert algebra_of({(), (0, 0, 1)}, ("x", "y", "t")) is laplace(3, (0, 1))
    model, x = kan(3), torch.rand(5, 3, dtype=torch.float64, generator=generator()) - 0.5
    domain = Box(x=(-1, 1), y=(-1, 1), t=(0, 1))
    expected = by_hand(model, x, (2, 0, 0)) + by_hand(model, x, (0, 2, 0))
    for equation in (lambda u: u.laplacian + 0 * u.dt, lambda u: u.laplacian + 0 * u.dxt):
        torch.testing.assert_close(residual(Problem(domain, equation), model, x)[0], expected)


def test_systems_have_one_residual_for_every_equation():
    problem = Problem(SQUARE, lambda u, v: (u.dx + v.dy, u.dy - v.dx), fields=("u", "v"))
    assert residual(problem, kan(2, 2), SQUARE.sample(7, generator())).shape == (2, 7)


def test_coordinates_may_have_long_names():
    problem = Problem(Box(x1=(0, 1), x10=(0, 1)), lambda u: u.dx1x10 + u.dx10x10)
    model, x = kan(), problem.domain.sample(4, generator())
    torch.testing.assert_close(residual(problem, model, x)[0], by_hand(model, x, (1, 1)) + by_hand(model, x, (0, 2)))


def test_bad_problems_are_refused_with_reasons():
    with pytest.raises(ValueError, match="does not use any of the fields u"):
        Problem(SQUARE, lambda x, y: x + y)
    with pytest.raises(ValueError, match="argument 'w'; the problem knows u, x, y"):
        Problem(SQUARE, lambda w: w)
    with pytest.raises(AttributeError, match=r"u\.dz is not a derivative: write d and coordinates out of x, y"):
        Problem(SQUARE, lambda u: u.dz)
    with pytest.raises(ValueError, match="one value for every point"):
        Problem(SQUARE, lambda u: u.dx.sum())
    with pytest.raises(ValueError, match="'v' appears in no equation"):
        Problem(SQUARE, lambda u: u.dx, fields=("u", "v"))
    with pytest.raises(ValueError, match="unknown 'nu' changes nothing"):
        Problem(SQUARE, lambda u: u.dx, unknowns={"nu": 1.0})
    with pytest.raises(ValueError, match="first guess of the unknown 'nu' is nan"):
        Problem(SQUARE, lambda u, nu: nu * u.dx, unknowns={"nu": math.nan})
    with pytest.raises(ValueError, match="different names"):
        Problem(SQUARE, lambda u: u.dx, fields=("u", "x"))
    with pytest.raises(ValueError, match="normal on a boundary only"):
        Problem(SQUARE, lambda u: u.dn)


def branches(u, x):
    return u.dxx if x > 0.5 else u


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        (lambda u: u.dzz, r"u\.dzz is not a derivative: write d and coordinates out of x, such as u\.dxx"),
        (lambda u, x: u.dxx - math.sin(x), "'<lambda>' cannot be computed.*functions of torch, such as torch.sin"),
        (lambda u: u.dxx - math.exp(u), "functions of torch"),
        (lambda u: u.dxx - np.sin(u), "functions of torch"),
        (lambda u, x: x.dxx - u, "functions of torch"),
        (branches, "the function 'branches'.*torch.where"),
        (lambda u: u.dxx if u else u, "torch.where"),
        (lambda u: u.dxx - max(u, 0.0), "torch.where"),
        (lambda u: u.dxx == 1, r"change smoothly.*write u\.dxx - 1 for u\.dxx == 1"),
        (lambda u: (u.value > 0).double(), "change smoothly"),
        (lambda u: u.dxx.detach(), "change smoothly"),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_python_that_does_not_work_at_all_points_is_refused_with_the_way_out(equation, message):
    with pytest.raises(ProblemError, match=message):
        Problem(Box(x=(0, 1)), equation)
    with pytest.raises(ProblemError, match="torch"):
        Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(lambda x: 2 * math.sin(x))])


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("value", [None, "0", lambda x: None, lambda x: [0.0]])
def test_the_value_of_a_condition_is_a_number(value):
    with pytest.raises(ProblemError, match="value of a condition must be a number, or a function"):
        Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(value)])


def test_choices_absolute_values_and_powers_are_arithmetic():
    model, x = kan(1), torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    u = model(x)[:, 0].detach()
    equation = lambda u, x: torch.where(u > 0, abs(u), 2**u) + torch.where(u <= 0, x, 0.0) + (u < 1) + (u >= 2)
    expected = torch.where(u > 0, u.abs(), 2**u) + torch.where(u <= 0, x[:, 0], 0.0) + (u < 1) + (u >= 2)
    torch.testing.assert_close(residual(Problem(Box(x=(-1, 1)), equation), model, x)[0].detach(), expected)
    halves = Problem(Box(x=(-1, 1)), lambda u: u.dx, ansatz=lambda u, x: abs(u))
    torch.testing.assert_close(halves.evaluate(model, x)[:, 0].detach(), u.abs())


def test_not_a_number_in_a_coefficient_is_found():
    def melting(u, x):
        return torch.log(x) * u.dxx

    with pytest.raises(ValueError, match="equation 'melting' is not finite in residual 0"):
        Problem(SQUARE, melting)
    with pytest.raises(ValueError, match="condition 'u on x-' is not finite"):
        Problem(SQUARE, lambda u: u.dx, [dirichlet(math.nan, "x-")])


def test_conditions_that_contradict_each_other_are_found():
    with pytest.raises(ValueError, match=r"contradict each other: .*differ by 0"):
        Problem(SQUARE, lambda u: u.laplacian, [dirichlet(0.0), dirichlet(lambda y: y**2, "x-")])
    Problem(SQUARE, lambda u: u.laplacian, [dirichlet(0.0), neumann(1.0, "x-")])
    heat = Box(x=(0, 1), t=(0, 1))
    with pytest.raises(ValueError, match="contradict"):
        Problem(heat, lambda u: u.dt - u.dxx, [initial(0.0), initial(lambda x: x)])
    # A jump between the start and the wall is physics, not a mistake.
    Problem(heat, lambda u: u.dt - u.dxx, [initial(1.0), dirichlet(0.0)])


def test_a_condition_names_a_part_of_the_boundary():
    with pytest.raises(ValueError, match="no part 'z-'; it has x-, x\\+"):
        Problem(SQUARE, lambda u: u.dx, [dirichlet(0.0, "z-")])


def test_observations_must_be_numbers_at_points_of_the_domain():
    with pytest.raises(ValueError, match="must be finite"):
        observe(torch.zeros(2, 2), torch.tensor([1.0, math.nan]))
    with pytest.raises(ValueError, match="have 3 coordinates, the domain has 2"):
        Problem(SQUARE, lambda u: u.dx, [observe(torch.zeros(2, 3), torch.zeros(2))])
    with pytest.raises(ProblemError, match=r"1 points of 'u observed' are outside Box.* point 1 at x=0, y=3; leave"):
        Problem(SQUARE, lambda u: u.dx, [observe([[0, 0], [0, 3]], [0, 0])])
    with pytest.raises(ProblemError, match=r"shapes \(2, 1\) and \(2, 2\); call it once for every field"):
        observe([0.1, 0.2], [[1, 2], [3, 4]])
    with pytest.raises(ProblemError, match="the observed points must be numbers"):
        observe([[0.1], [0.2, 0.3]], [1, 2])


@pytest.mark.parametrize("points", [[0.25, 0.5], [[0.25], [0.5]], (0.25, 0.5)])
@pytest.mark.parametrize("values", [[1, 2], [[1], [2]]])
@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda v: torch.tensor(v, dtype=torch.float32)])
def test_observations_are_taken_in_every_form(points, values, kind):
    part = observe(kind(points), kind(values))
    assert torch.equal(part.points, torch.tensor([[0.25], [0.5]], dtype=torch.float64))
    assert torch.equal(part.columns["_observed"], torch.tensor([1.0, 2.0], dtype=torch.float64))


def test_models_that_do_not_fit_are_refused():
    problem = Problem(SQUARE, lambda u: u.laplacian, [dirichlet(0.0)])
    with pytest.raises(ValueError, match="3 -> 1, the problem needs 2 inputs and 1 outputs"):
        solve(problem, kan(3))
    with pytest.raises(ValueError, match="unknown method 'newton'"):
        solve(problem, method="newton")
    with pytest.raises(ValueError, match="windows cut time"):
        solve(problem, windows=2)


def test_periodic_pairs_opposite_points():
    problem = Problem(SQUARE, lambda u: u.laplacian, [periodic("x", order=1)])
    model = kan()
    term = problem.terms(10, 6, generator())[1]
    left, right = term.points
    assert (left[:, 0] == -1).all()
    assert (right[:, 0] == 1).all()
    value, slope = problem.residuals(model, term, {})
    torch.testing.assert_close(value, (model(left) - model(right))[:, 0])
    torch.testing.assert_close(slope, by_hand(model, left, (1, 0)) - by_hand(model, right, (1, 0)))
