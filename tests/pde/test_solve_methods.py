"""Methods as values: each lowers the loss, holds what belongs to it, and refuses what does not."""

import dataclasses

import pytest
import torch
from torch import nn
from typecheck import unchecked

from edgewise.bases import BSpline, Chebyshev
from edgewise.nn import KAN
from edgewise.pde import (
    AdamDescent,
    Box,
    BySize,
    Collocation,
    GaussNewton,
    Problem,
    ProblemError,
    QuasiNewton,
    dirichlet,
    initial,
    solve,
)
from edgewise.pde.solve_methods import GAUSS_NEWTON_MOST, LBFGS_MOST, METHODS, as_method

HEAT = Problem(Box(x=(0, 1), t=(0, 1)), lambda u: u.dt - u.dxx, [initial(lambda x: torch.sin(3 * x)), dirichlet(0.0)])
VALUES = {
    "gauss-newton": GaussNewton,
    "self-scaled-bfgs": lambda **o: QuasiNewton("self-scaled-bfgs", **o),
    "lbfgs": lambda **o: QuasiNewton("lbfgs", **o),
    "adam": AdamDescent,
    "auto": BySize,
}
SCHEDULE = ("starts", "steps", "rounds", "intervals")
OWN = {GaussNewton: (), QuasiNewton: ("update",), AdamDescent: ("lr",), BySize: ()}
DISCRETISATION = tuple(field.name for field in dataclasses.fields(Collocation))


def kan(basis=None):
    basis = BSpline(4, 5, extrapolation="polynomial") if basis is None else basis
    generator = torch.Generator().manual_seed(0)
    return KAN([2, 1], basis, residual=None, dtype=torch.float64, generator=generator)


def outcome(method, **settings):
    """What a small solve computes."""
    with unchecked():
        solution = solve(HEAT, kan(), method, collocation=Collocation(**{"points": 20} | settings))
    return [(s.name, s.steps, s.loss, s.validation) for s in solution.history]


@pytest.fixture(scope="module")
def outcomes():
    """A small solve by every method."""
    return {name: outcome(make(starts=1, steps=2, intervals=())) for name, make in VALUES.items()}


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize(
    ("name", "steps"), [("gauss-newton", 5), ("self-scaled-bfgs", 10), ("lbfgs", 10), ("adam", 40)]
)
def test_every_method_goes_downhill(name, steps):
    places = Collocation(points=100, adaptive=0)
    methods = [VALUES[name](starts=1, steps=n, intervals=()) for n in (steps, 0)]
    losses = [solve(HEAT, kan(), method, collocation=places).history[-1].loss for method in methods]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("name", VALUES)
def test_a_name_is_the_method_with_its_defaults(name):
    assert as_method(name) == METHODS[name] == VALUES[name]()


def test_auto_is_chosen_by_the_number_of_parameters(outcomes):
    schedule = {"starts": 2, "steps": 7, "rounds": 3, "intervals": (4, 8)}
    method = BySize(**schedule)
    assert method.chosen(GAUSS_NEWTON_MOST) == GaussNewton(**schedule)
    assert method.chosen(GAUSS_NEWTON_MOST + 1) == QuasiNewton("lbfgs", **schedule)
    assert method.chosen(LBFGS_MOST + 1) == AdamDescent(**schedule)
    assert outcomes["auto"] == outcomes["gauss-newton"]


@pytest.mark.parametrize("argument", [*SCHEDULE, "update", "lr", *DISCRETISATION, "optimizer", "windows", "seconds"])
@pytest.mark.parametrize("kind", OWN)
def test_a_method_takes_its_own_arguments_and_no_others(kind, argument):
    if argument in (*SCHEDULE, *OWN[kind]):
        assert argument in {field.name for field in dataclasses.fields(kind)}
    else:
        with pytest.raises(TypeError, match=argument):
            kind(**{argument: 1})


CHANGES = {"starts": 2, "steps": 3, "rounds": 2, "intervals": (6,)}
OWN_CHANGES = [("adam", "lr", 1e-2)]


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [(name, *change) for name in VALUES for change in CHANGES.items() if name != "auto"] + OWN_CHANGES,
)
def test_every_argument_of_a_method_has_an_effect(outcomes, name, argument, value):
    changed = {"starts": 1, "steps": 2, "intervals": ()} | {argument: value}
    assert outcome(VALUES[name](**changed)) != outcomes[name]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("points", 30),
        ("boundary_points", 7),
        ("sampling", "uniform"),
        ("adaptive", 0.0),
        ("balance", 1.0),
        ("grading", 0.5),
        ("causal", 2.0),
    ],
)
@pytest.mark.parametrize("name", ["gauss-newton", "adam"])
def test_every_argument_of_the_collocation_has_an_effect(outcomes, name, argument, value):
    method = VALUES[name](starts=1, steps=2, intervals=())
    assert outcome(method, **{argument: value}) != outcomes[name]


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"starts": 0}, "starts must be at least 1, got 0"),
        ({"steps": -1}, "steps must be at least 0, got -1"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"intervals": (8, 4)}, r"intervals are at least 1 and increase, got \(8, 4\)"),
        ({"intervals": (0,)}, "intervals are at least 1"),
    ],
)
def test_schedules_out_of_their_range_are_refused(kind, settings, message):
    with pytest.raises(ProblemError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuasiNewton("dfp"), "unknown quasi-Newton update 'dfp'; choose one of self-scaled-bfgs, lbfgs"),
        (lambda: AdamDescent(lr=0.0), "lr must be above 0, got 0.0"),
        (lambda: as_method("newton"), "unknown method 'newton'; choose one of auto, gauss-newton"),
        (lambda: solve(HEAT, kan(), seconds=-1.0), "seconds must be at least 0, got -1"),
        (lambda: solve(HEAT, kan(), seconds="5"), "seconds must be at least 0, got '5'"),
        (lambda: solve("heat.py"), "solve takes a Problem, got 'heat.py'"),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_values_that_mean_nothing_are_refused(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)),
            "grids of a KAN of splines; leave them out",
        ),
        (lambda: kan(Chebyshev(4)), "grids of a KAN of splines; leave them out"),
        (kan, "more than the 4 of the model"),
    ],
)
def test_intervals_that_do_not_refine_the_model_are_refused(kind, model, message):
    with pytest.raises(ProblemError, match=message):
        solve(HEAT, model(), kind(intervals=(3,)))


def test_the_schedule_of_one_method_is_given_to_another():
    file = GaussNewton(starts=3, steps=5, rounds=2, intervals=(4, 8))
    assert AdamDescent(lr=0.1).scheduled_as(file) == AdamDescent(lr=0.1, starts=3, steps=5, rounds=2, intervals=(4, 8))
