"""Windows of time join, and times that cannot be cut are refused."""

import math

import pytest
import torch

from edgewise.bases import BSpline
from edgewise.nn import KAN
from edgewise.pde import Box, Collocation, GaussNewton, Problem, ProblemError, Region, dirichlet, initial, solve
from edgewise.pde.windows import cut, window_ends

pytestmark = pytest.mark.usefixtures("as_a_user")
PI = math.pi
START = initial(lambda x: torch.sin(PI * x))
HEAT = Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - 0.2 * u.dxx, [START, dirichlet(0.0)])


def exact(x):
    return torch.sin(PI * x[:, 0]) * torch.exp(-0.2 * PI**2 * x[:, 1])


def test_windows_of_time_join():
    basis = BSpline(4, 5, extrapolation="polynomial")
    generator = torch.Generator().manual_seed(0)
    model = KAN([2, 4, 1], basis, residual=None, dtype=torch.float64, generator=generator)
    method = GaussNewton(starts=1, steps=30, intervals=())
    solution = solve(HEAT, model, method, collocation=Collocation(points=200), windows=2)
    x = HEAT.domain.sample(200, torch.Generator().manual_seed(9))
    assert len(solution.models) == 2
    assert solution.ends == (0.5,)
    assert solution.error(exact, x) < 1e-2
    seam = torch.tensor([[0.4, 0.5], [0.4, 0.5 + 1e-12]], dtype=torch.float64)
    assert (solution(seam)[0] - solution(seam)[1]).abs() < 1e-2
    assert solution.residual(x).shape == (200, 1)


def test_windows_are_cut_at_given_times():
    events = []
    method = GaussNewton(starts=1, steps=3, intervals=())
    solution = solve(HEAT, [2], method, collocation=Collocation(points=60), windows=(0.2, 0.7), progress=events.append)
    assert solution.ends == (0.2, 0.7)
    assert [stage.window for stage in solution.history] == [0, 0, 1, 2]
    assert [event.fraction for event in events] == [0.25, 0.5, 0.75, 1.0]


def test_a_time_limit_leaves_a_network_in_every_window():
    method = GaussNewton(starts=1, steps=3, intervals=(5,))
    late = solve(HEAT, [2], method, collocation=Collocation(points=60), windows=2, seconds=0.0)
    assert late.message.startswith("time is up")
    assert len(late.models) == 2


def test_the_windows_cover_the_domain():
    ends = window_ends(HEAT, 4)
    assert ends == (0.25, 0.5, 0.75)
    assert window_ends(HEAT, 1) == ()
    assert next(cut(HEAT, (), [])) is HEAT
    assert next(cut(HEAT, ends, [])).domain.bounds == ((0.0, 1.0), (0.0, 0.25))


@pytest.mark.parametrize(
    ("problem", "windows", "message"),
    [
        (HEAT, 0, "windows must be at least 1, got 0"),
        (HEAT, (0.5, 0.4), "increasing times between 0 and 1"),
        (Problem(Box(x=(0, 1)), lambda u: u.dxx, [dirichlet(0.0)]), 2, "windows cut time"),
        (Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - u.dxx, [dirichlet(0.0)]), 2, "an `initial` condition"),
        (Problem(HEAT.domain, HEAT.equation, [START], ansatz=lambda u, x, t: t * u), 2, "this ansatz depends on t"),
        (
            Problem(Region(lambda x, t: x**2 + t**2 - 1, x=(-1, 1), t=(-1, 1)), lambda u: u.dt - u.dxx, []),
            2,
            "an `initial` condition",
        ),
    ],
)
def test_times_that_cannot_be_cut_are_refused(problem, windows, message):
    with pytest.raises(ProblemError, match=message):
        solve(problem, [2], windows=windows)
