"""Laws of rows: what counts as cancelling, as a wrong row and as a piece does not depend on units or levels."""

import importlib

import numpy as np
import pytest
import sympy
import torch

from edgewise.discovery import Discovery, discover
from edgewise.discovery.goal import Goal, goal_of
from edgewise.discovery.law import Law
from edgewise.discovery.rows import Table
from edgewise.discovery.simple_laws import simple_laws
from edgewise.expressions import Formula
from edgewise.nn import DEFAULT_LIBRARY
from edgewise.progress import Pulse

pytestmark = pytest.mark.usefixtures("as_a_user")
x = sympy.Symbol("x", real=True)
T = torch.linspace(0.01, 4, 200, dtype=torch.float64)


def goal(t: torch.Tensor, y: torch.Tensor) -> Goal:
    return goal_of(t, y, ["x"], "y", None, (), DEFAULT_LIBRARY, 0, Pulse())


@pytest.mark.parametrize("level", [0.0, 273.15, 1e6])
def test_a_level_is_no_term_that_cancels(level):
    table = Table((x,), T[:, None], level + 0.01 * T)
    assert not table.cancels(sympy.Float(0.01) * x + level)
    assert table.cancels(1e-12 * (x + 1e6) ** 2)
    assert table.cancels(1e6 * sympy.exp(1e-8 * x) + level - 2e6)


@pytest.mark.parametrize(("size", "length"), [(1.0, 1.0), (1e-9, 1e6), (1e9, 1e-6), (1e-13, 1.0)])
def test_pieces_in_any_units(size, length):
    for piece in (torch.relu(T - 1.5), (T - 1.5).abs(), torch.where(T > 2, 2 * T, T**2 / 2)):
        found = simple_laws(goal(length * T, size * piece))
        error, law, _ = min(found, key=lambda f: f[0])
        assert error < 1e-9, law
        assert law.atoms(sympy.Max, sympy.Abs, sympy.Heaviside), law


@pytest.mark.parametrize("rows", [[197, 198, 199], [0, 1]], ids=str)
def test_a_target_that_hardly_varies_is_refused_in_words(rows):
    y = torch.zeros_like(T)
    y[rows] = 1.0
    with pytest.raises(ValueError, match="y is 0 in nearly all rows"):
        goal(T, y)


def test_a_second_search_does_not_lose_the_law_of_the_first(monkeypatch):
    module = importlib.import_module("edgewise.discovery.discover")
    a = sympy.Symbol("a", real=True)
    law = Law(Formula((a,), (a,), ("y",)), 0.1, 0.1, 1, "")
    first, second = (Discovery(law, False, "", (), 0.1, 1.0), Discovery(None, False, "", (), 0.1, 2.0))
    answers = iter([first, second])
    monkeypatch.setattr(module, "search", lambda goal: next(answers))
    monkeypatch.setattr(module, "_may_need", lambda goal, answer: True)
    x = np.random.default_rng(0).random((60, 2))
    found = discover(x, np.exp(x[:, 0]))
    assert (found.law, found.seconds) == (law, 2.0)


def test_a_law_without_residual_and_a_needless_column():
    """Nothing is left that the other column could explain."""
    levels = np.random.default_rng(0).integers(1, 6, (80, 2)).astype(float)
    found = discover(levels, 3 * levels[:, 0], names=["a", "b"], seconds=10.0)
    assert str(found.formula) == "y = 3*a"
    assert "5 different rows of a" in found.reason
