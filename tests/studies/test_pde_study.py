"""The study: what is measured is not measured again, and the baseline computes the residuals of the solver."""

import dataclasses

import pytest
import torch

import studies.pde.laws
from edgewise.pde import Solution
from edgewise.pde.collocation_loss import CollocationLoss
from studies import runner
from studies.pde import study
from studies.pde.laws import find_law, verdict
from studies.peers.pde_nested import mean_square, nested_loss, train_nested, usual_network
from studies.problems.equations import heat, poisson_sine, taylor_green


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "problem", [heat(0), dataclasses.replace(taylor_green(0), features=None)], ids=["heat", "system"]
)
def test_nested_autograd_has_the_residuals_of_the_solver(problem):
    model = usual_network(problem, (3,), 4, 0)
    terms = problem.terms(20, 10, generator())
    fitting = CollocationLoss(problem, model, terms)
    by_jets = fitting.mean_squares(fitting.theta({}))
    for term in terms:
        torch.testing.assert_close(mean_square(problem, model, term).item(), by_jets[term.name])


def test_nested_training_goes_downhill_and_knows_its_limits():
    problem = heat(0)
    terms = problem.terms(50, 10, generator(1))
    model = usual_network(problem, (2,), 3, 0)
    before = nested_loss(problem, model, terms).item()
    train_nested(problem, model, 1)
    assert nested_loss(problem, model, terms).item() < before
    with pytest.raises(ValueError, match="neither features nor an ansatz"):
        train_nested(poisson_sine(0), model, 1)


@pytest.mark.slow
def test_the_study_resumes_and_draws_the_kan_of_seed_0(tmp_path, monkeypatch):
    heat_equation = study.EQUATIONS["heat"]
    few = {"starts": 1, "steps": 2, "intervals": (), "points": 60}
    small = dataclasses.replace(heat_equation, hidden=(2,), settings=few)
    monkeypatch.setitem(study.EQUATIONS, "heat", small)
    solved = []
    attempt = study.attempt
    monkeypatch.setattr(study, "attempt", lambda *a: solved.append(a[1:]) or attempt(*a))
    kan, both = (study.SolveSettings(("heat",), networks) for networks in (("kan",), ("kan", "tanh MLP")))
    runner.run(study.STUDY, kan, (0,), folder=tmp_path)
    result = runner.run(study.STUDY, both, (0, 1), folder=tmp_path)
    assert solved == [(0, "kan"), (1, "kan"), (0, "tanh MLP"), (1, "tanh MLP")]
    assert [row["network"] for row in result.summary] == ["kan", "tanh MLP"]
    assert result.summary[0]["error_median"] <= result.summary[0]["error_worst"]
    assert {path.name for path in tmp_path.iterdir()} == {"pde.json", "pde-heat.png"}


def test_nested_autograd_is_for_the_poisson_equation_of_the_paper():
    cases = study.cases(study.SolveSettings(), (0,))
    assert {case["equation"] for case in cases if "nested" in case["network"]} == {"poisson"}


@pytest.mark.slow
def test_a_law_is_right_where_it_is_the_solution_outside_as_well(monkeypatch):
    """`find_law` on a field that is known exactly, so that only the search and the verdict are run."""
    equation = study.EQUATIONS["heat"]

    class Known(Solution):
        def __call__(self, x):
            return equation.reference(x)[:, None]

    def solved(problem, model, **options):
        return Known(problem, (model,), (), {}, (), True, "", None)

    monkeypatch.setattr(studies.pde.laws, "solve", solved)
    row = find_law(equation, 0, seconds=2.0)
    assert row["right"]
    assert row["distance_outside"] < 1e-6
    x, middle = torch.rand(50, 2, generator=generator(), dtype=torch.float64), torch.full((2,), 0.5)
    assert verdict(equation.reference, equation.reference, x, middle)["right"]
    wrong = lambda x: equation.reference(x) * (1 + 1e-3 * x[:, 1])
    assert not verdict(equation.reference, wrong, x, middle)["right"]
    assert not verdict(None, wrong, x, middle)["right"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heat", "poisson-sine"])
def test_a_solved_equation_gives_back_its_closed_form(name):
    assert find_law(study.EQUATIONS[name], 0)["right"]
