"""Time limits and Ctrl-C end a solve within a round, with the best network so far."""

import itertools

import pytest
import torch
from torch import nn

from edgewise.pde import AdamDescent, Box, Collocation, GaussNewton, Problem, QuasiNewton, dirichlet, solve
from edgewise.pde.collocation_loss import CollocationLoss
from edgewise.progress import Budget, TimeIsOver

pytestmark = pytest.mark.usefixtures("as_a_user")
LINE = Box(x=(0, 1))
ENDLESS = {"starts": 1, "steps": 10**6, "intervals": ()}
METHODS = [
    GaussNewton(**ENDLESS),
    QuasiNewton("self-scaled-bfgs", **ENDLESS),
    QuasiNewton("lbfgs", **ENDLESS),
    AdamDescent(**ENDLESS),
]
FEW = Collocation(points=30)


def string(interrupted_at=None):
    """u'' = u^2 - 1 between fixed ends; the n-th evaluation of the equation is interrupted like by Ctrl-C."""
    calls = itertools.count()

    def equation(u):
        if interrupted_at is not None and next(calls) == interrupted_at:
            raise KeyboardInterrupt
        return u.dxx - u**2 + 1

    return Problem(LINE, equation, [dirichlet(0.0)])


@pytest.mark.parametrize("method", METHODS[1:], ids=lambda m: getattr(m, "update", "adam"))
def test_a_time_limit_ends_every_method_within_a_round(method):
    solution = solve(string(), [2], method, collocation=FEW, seconds=0.3)
    assert solution.message.startswith("time is up")
    assert solution.history[0].seconds > 0.3
    assert torch.isfinite(solution(solution.sample(5))).all()


def test_a_gradient_after_the_limit_is_not_begun():
    problem, model = string(), solve(string(), [2], GaussNewton(starts=1, steps=0, intervals=()), collocation=FEW).model
    loss = CollocationLoss(problem, model, problem.terms(20, 5, torch.Generator().manual_seed(0)))
    theta = loss.theta({})
    before = float(loss.losses(theta))
    loss.losses(theta + 0.1)
    loss.losses(theta - 0.1)
    loss.budget = Budget(0.0)
    for late in (loss.normal_equations, lambda t: loss.value_and_gradient(t[0])):
        with pytest.raises(TimeIsOver):
            late(theta)
    assert loss.best is not None
    assert loss.best[0] <= before
    loss.budget = Budget()
    assert float(loss.losses(loss.best[1])) == loss.best[0]


@pytest.mark.parametrize("method", [METHODS[0], METHODS[2]], ids=["gauss-newton", "lbfgs"])
def test_ctrl_c_keeps_the_best_network_so_far(method):
    solution = solve(string(interrupted_at=60), [2], method, collocation=FEW)
    assert solution.message.startswith("stopped by Ctrl-C")
    assert len(solution.history) == 1
    assert (
        solution.history[0].loss
        < solve(string(), [2], GaussNewton(starts=1, steps=0, intervals=()), collocation=FEW).history[0].loss
    )


def test_ctrl_c_in_a_listener_ends_after_that_round():
    def stop(event):
        raise KeyboardInterrupt

    method = GaussNewton(starts=3, steps=8)
    solution = solve(string(), [2], method, collocation=FEW, progress=stop)
    assert solution.message.startswith("stopped by Ctrl-C")
    assert [stage.name for stage in solution.history] == ["search, 3 starts"]


def test_ctrl_c_before_there_is_anything_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        solve(string(interrupted_at=8), [2], collocation=FEW)


def test_a_long_round_reports_while_it_works(monkeypatch):
    monkeypatch.setattr("edgewise.pde.solver.SILENCE", 0.0)
    events = []
    solve(string(), [2], GaussNewton(starts=1, steps=6, intervals=()), collocation=FEW, progress=events.append)
    assert len(events) > 6
    assert [e.fraction for e in events] == sorted(e.fraction for e in events)
    assert events[-1].fraction == 1.0


@pytest.mark.parametrize(
    ("hidden", "rounds", "limit"),
    [(5000, 1, 5000), (2, 2, 45_000)],
    ids=["before the first gradient", "before the second round"],
)
def test_a_time_limit_bounds_the_whole_call(monkeypatch, hidden, rounds, limit):
    """A clock that counts points instead of seconds; one loss takes 30,003 of them, as 10,001 parameters need."""
    evaluated = [0]

    def slope(u):
        evaluated[0] += u.value.numel() if hasattr(u, "value") else 1
        return u.dx - 1

    class Counted(Budget):
        def __init__(self, seconds):
            super().__init__(seconds, lambda: float(evaluated[0]))

    monkeypatch.setattr("edgewise.pde.solver.Budget", Counted)
    monkeypatch.setattr("edgewise.pde.collocation_loss.BLOCK", 2000 * hidden)
    model = nn.Sequential(nn.Linear(1, hidden, bias=False), nn.Tanh(), nn.Linear(hidden, 1))
    method = AdamDescent(starts=1, steps=rounds - 1, intervals=(), rounds=2)
    points = Collocation(points=30_003) if hidden == 2 else None
    solution = solve(Problem(LINE, slope, [dirichlet(0.0)]), model, method, collocation=points, seconds=limit)
    assert solution.message.startswith("time is up")
    assert solution.error_estimate is None
    a_block_and_the_validation = 9000
    assert evaluated[0] < limit + a_block_and_the_validation


def test_grids_of_a_wide_network_are_fitted_to_fewer_points(monkeypatch):
    """A layer of 1,000 curves took 52 s for one fit to 20,000 points, before the first look at the clock."""
    from edgewise.pde import solver

    rows = {}
    monkeypatch.setattr(
        solver, "adapt_grid_", lambda model, x, margin: rows.setdefault(model.layers[1].in_features, len(x))
    )
    monkeypatch.setattr(solver, "GRID_VALUES", 2000)
    for hidden in (2, 20):
        solve(string(), [hidden], GaussNewton(starts=1, steps=0, intervals=()), collocation=Collocation(points=500))
    assert rows[2] > 500
    assert rows[20] <= 100
