"""The study: what is done is not done again, and the yardstick computes the same residuals as the solver."""

import dataclasses
import json

import pytest
import torch

import studies.pde.laws
import studies.pde.study
from edgewise.pde import Solution
from edgewise.pde.collocation_loss import CollocationLoss
from studies.pde.laws import find_law, run as run_laws
from studies.pde.study import run
from studies.peers.pde_nested import mean_square, nested_loss, train_nested, usual_network
from studies.problems.equations import CASES, heat, poisson_sine, taylor_green


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


def test_the_study_goes_on_where_it_was(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    case = next(case for case in CASES if case.name == "heat")
    small = dataclasses.replace(case, hidden=(2,), settings={"starts": 1, "steps": 2, "intervals": (), "points": 60})
    monkeypatch.setattr(studies.pde.study, "CASES", (small,))
    solved = []
    attempt = studies.pde.study.attempt
    monkeypatch.setattr(studies.pde.study, "attempt", lambda *a: solved.append(a[1:]) or attempt(*a))
    run(["heat"], tmp_path, 1, kinds=["kan"])
    report = run(["heat"], tmp_path, 2, kinds=["kan", "tanh perceptron"])
    assert solved == [(0, "kan"), (1, "kan"), (0, "tanh perceptron"), (1, "tanh perceptron")]
    assert [row["network"] for row in report["rows"]] == ["kan", "tanh perceptron"]
    assert report == json.loads((tmp_path / "pde.json").read_text())
    assert "commit" in report["environment"]
    assert (tmp_path / "pde-heat.png").is_file()
    with pytest.raises(ValueError, match="unknown case 'hot'; choose of heat"):
        run(["hot"], tmp_path)
    changed = dataclasses.replace(small, hidden=(3,))
    monkeypatch.setattr(studies.pde.study, "CASES", (changed,))
    run(["heat"], tmp_path, 1, kinds=["kan"])
    assert solved[4:] == [(0, "kan")]


def test_a_law_is_right_where_it_is_the_solution_outside_as_well(tmp_path, monkeypatch):
    """`find_law` on a field that is known exactly, so that only the search and the verdict are run."""
    case = next(case for case in CASES if case.name == "heat")

    class Known(Solution):
        def __call__(self, x):
            return case.reference(x)[:, None]

    def solved(problem, model, **options):
        return Known(problem, (model,), (), {}, (), True, "", None)

    monkeypatch.setattr(studies.pde.laws, "solve", solved)
    row = run_laws(["heat"], tmp_path, seconds=2.0)["rows"][0]
    assert row["right"]
    assert row["distance_outside"] < 1e-6
    wrong = dataclasses.replace(case, reference=lambda x: case.reference(x) * (1 + 1e-3 * x[:, 1]))
    monkeypatch.setattr(studies.pde.laws, "CASES", (wrong,))
    assert not run_laws(["heat"], tmp_path, seconds=2.0)["rows"][0]["right"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["heat", "poisson-sine"])
def test_a_solved_equation_gives_back_its_closed_form(name):
    assert find_law(next(case for case in CASES if case.name == name), 0)["right"]
