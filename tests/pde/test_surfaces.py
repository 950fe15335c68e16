"""Surfaces solve problems with exact solutions within their tolerance, whatever the windows and the axes."""

import math

import pytest
import torch

from edgewise.pde import (
    Box,
    Collocation,
    Problem,
    ProblemError,
    Surfaces,
    condition,
    dirichlet,
    disk,
    initial,
    neumann,
    observe,
    periodic,
    solve,
)
from edgewise.pde.surface_equations import SurfaceEquations
from edgewise.progress import TimeIsOver

PI = math.pi


def error(problem: Problem, exact, **options) -> tuple[float, object]:
    solution = solve(problem, method=options.pop("method", Surfaces(tolerance=1e-5)), **options)
    x = solution.sample(1000)
    return solution.error(exact, x), solution


def test_a_standing_wave_is_found_without_its_characteristics():
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u: u.dtt - 4 * u.dxx,
        [initial(lambda x: torch.sin(PI * x), rate=0.0), dirichlet(0.0)],
    )
    off, solution = error(problem, lambda x: torch.sin(PI * x[:, 0]) * torch.cos(2 * PI * x[:, 1]))
    assert solution.solved
    assert off < solution.error_estimate < 1e-5
    assert len(solution.models) > 1  # windows continue one another


def test_a_periodic_field_is_periodic_by_construction():
    problem = Problem(
        Box(x=(0, 2 * PI), t=(0, 0.2)),
        lambda u: u.dt + 5 * u.dx,
        [initial(lambda x: torch.sin(x) + 0.2), periodic("x")],
    )
    off, solution = error(problem, lambda x: torch.sin(x[:, 0] - 5 * x[:, 1]) + 0.2)
    ends = solution(torch.tensor([[0.0, 0.1], [2 * PI, 0.1]], dtype=torch.float64))
    assert off < 1e-5
    assert float((ends[0] - ends[1]).abs()) < 1e-12


def test_grids_become_coarser_where_fine_structures_fade():
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)),
        lambda u: u.dt - 0.1 * u.dxx,
        [initial(lambda x: torch.sin(PI * x) + torch.sin(5 * PI * x)), dirichlet(0.0)],
    )
    modes = lambda x, k: torch.sin(k * PI * x[:, 0]) * torch.exp(-0.1 * (k * PI) ** 2 * x[:, 1])
    off, solution = error(problem, lambda x: modes(x, 1) + modes(x, 5), method=Surfaces(tolerance=1e-3), windows=4)
    first, *_, last = (len(model.grids[0]) for model in solution.models)
    assert off < 1e-3
    assert last < 0.7 * first


def test_a_nonlinear_equation_with_a_steep_layer():
    """A travelling front of Burgers' equation, 10 times thinner than the domain."""
    nu, speed = 0.025, 0.5
    front = lambda x, t: speed - 0.5 * torch.tanh((x - speed * t) / (4 * nu))
    problem = Problem(
        Box(x=(-1, 1), t=(0, 0.2)),
        lambda u: u.dt + u * u.dx - nu * u.dxx,
        [initial(front), dirichlet(front)],
    )
    off, solution = error(problem, lambda x: front(x[:, 0], x[:, 1]), method=Surfaces(tolerance=1e-2, degree=5))
    widths = solution.models[-1].grids[0].diff()
    assert off < 1e-3
    assert widths.max() > 1.9 * widths.min()  # the grid is fine at the front alone


def test_systems_and_laplacians_in_space():
    """Kovasznay's flow: steady Navier-Stokes with an exact solution."""
    rate = 20 - math.sqrt(400 + 4 * PI**2)

    def exact(x):
        e, angle = torch.exp(rate * x[:, 0]), 2 * PI * x[:, 1]
        return torch.stack([1 - e * torch.cos(angle), rate / (2 * PI) * e * torch.sin(angle), (1 - e**2) / 2], -1)

    given = [
        dirichlet(lambda x, y, n=n: exact(torch.stack([x, y], -1))[:, n], field=name) for n, name in enumerate("uvp")
    ]
    problem = Problem(
        Box(x=(0, 0.5), y=(-0.25, 0.25)),
        lambda u, v, p: (
            u * u.dx + v * u.dy + p.dx - u.laplacian / 40,
            u * v.dx + v * v.dy + p.dy - v.laplacian / 40,
            u.dx + v.dy,
        ),
        given,
        fields=("u", "v", "p"),
    )
    off, _ = error(problem, exact, method=Surfaces(tolerance=1e-3))
    assert off < 1e-4


def test_fluxes_and_ordinary_equations():
    problem = Problem(Box(x=(0, 1)), lambda u, x: u.dxx + u, [dirichlet(0.0, "x-"), neumann(math.cos(1.0), "x+")])
    off, _ = error(problem, lambda x: torch.sin(x[:, 0]))
    assert off < 1e-6
    other = Problem(Box(x=(0, 1)), lambda u: u.dx - u, [condition(lambda u: u - 1, "x-")])
    assert error(other, lambda x: torch.exp(x[:, 0]))[0] < 1e-6


def test_an_unknown_coefficient_is_found():
    times = torch.linspace(0, 2, 30, dtype=torch.float64)
    problem = Problem(
        Box(t=(0, 2)),
        lambda u, k: u.dt + k * u,
        [initial(1.0), observe(times, torch.exp(-1.3 * times))],
        unknowns={"k": 0.5},
    )
    off, solution = error(problem, lambda x: torch.exp(-1.3 * x[:, 0]))
    assert solution.unknowns["k"] == pytest.approx(1.3, rel=1e-5)
    assert off < 1e-5


def test_the_solution_is_the_same_in_other_units():
    def rod(length, amplitude):
        return Problem(
            Box(x=(0, length), t=(0, 1)),
            lambda u: u.dt - 0.4 * length**2 * u.dxx,
            [initial(lambda x: amplitude * torch.sin(PI * x / length)), dirichlet(0.0)],
        )

    for length, amplitude in ((1e-6, 1e-8), (1e5, 1e6)):
        exact = lambda x, a=amplitude, n=length: a * torch.sin(PI * x[:, 0] / n) * torch.exp(-0.4 * PI**2 * x[:, 1])
        assert error(rod(length, amplitude), exact)[0] < 1e-5


def test_a_limit_that_is_too_small_is_said():
    problem = Problem(
        Box(x=(0, 1), y=(0, 1)),
        lambda u, x, y: u.laplacian + 128 * PI**2 * torch.sin(8 * PI * x) * torch.sin(8 * PI * y),
        [dirichlet(0.0)],
    )
    solution = solve(problem, method=Surfaces(tolerance=1e-9, most=300))
    assert not solution.solved
    assert "allow more with `most`" in solution.message


def test_a_time_limit_returns_what_was_reached():
    problem = Problem(
        Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - u.dxx, [initial(lambda x: torch.sin(PI * x)), dirichlet(0.0)]
    )
    solution = solve(problem, method="surface", seconds=0)
    assert not solution.solved
    assert "time" in solution.message
    assert solution.error_estimate is None
    assert torch.isfinite(solution(solution.sample(100))).all()


def test_a_limit_that_ends_before_the_first_surface_is_told(monkeypatch):
    """The exception that ends long assemblies left `solve` as it was."""

    def late(*_):
        raise TimeIsOver

    monkeypatch.setattr(SurfaceEquations, "system", late)
    problem = Problem(Box(x=(0, 1)), lambda u: u.dxx + 1, [dirichlet(0.0)])
    with pytest.raises(ProblemError, match=r"time limit of 2 s was over before the coarsest surface .*give more"):
        solve(problem, method="surface", seconds=2)


def test_what_a_surface_cannot_hold_is_refused():
    equation, start = lambda u: u.laplacian - 1, [dirichlet(0.0)]
    with pytest.raises(ProblemError, match="a surface is made on a Box"):
        solve(Problem(disk((0, 0), 1), equation, start), method="surface")
    square = Problem(Box(x=(0, 1), y=(0, 1)), equation, start)
    with pytest.raises(ProblemError, match="collocation: a surface chooses its own"):
        solve(square, method="surface", collocation=Collocation(points=100))
    with pytest.raises(ProblemError, match="needs no ansatz"):
        solve(Problem(Box(x=(0, 1), y=(0, 1)), equation, ansatz=lambda u, x: x * u), method="surface")
    with pytest.raises(ProblemError, match="tolerance must be above 0"):
        Surfaces(tolerance=0)
    for settings in ({"degree": 1}, {"degree": 10}, {"intervals": 1}, {"steps": 0}, {"most": 1}):
        with pytest.raises(ProblemError, match=next(iter(settings))):
            Surfaces(**settings)
