"""A formula that predicts no better than a constant is left out, with a warning; a better one stays."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from edgewise.discovery.noisy import Finding, Front
from edgewise.expressions import Formula
from edgewise.tables.encode import Encoding, Feature
from edgewise.tables.job.formula_worth import worth_showing
from edgewise.tables.job.table_network import Rows

A = sympy.Symbol("a", real=True)
AMOUNT = Encoding((Feature("a", "a"),), "y", "regression")
CLASSES = Encoding((Feature("a", "a"),), "y", "classification", ("no", "yes"))


def finding(expression):
    return Finding(Formula((sympy.sympify(expression),), (A,), ("y",)), "a ratio", 0.5)


LAW, CONSTANT = finding(2 * A), finding(sympy.Float(0.3))


def rows(outcome):
    return Rows(np.zeros((len(outcome), 1)), np.asarray(outcome))


@pytest.mark.parametrize("shown", [Front((CONSTANT, LAW), LAW, ("a",)), Front((LAW,), LAW, ("a",))])
def test_a_formula_worse_than_the_mean_gives_way(shown):
    test = rows([1.0, 2.0, 3.0, 4.0])
    left, (warning,) = worth_showing(shown, np.array([9.0, -9.0, 9.0, -9.0]), AMOUNT, rows([2.0, 3.0]), test)
    assert left == (None if len(shown.front) == 1 else Front(shown.front, CONSTANT, ("a",)))
    assert "a ratio) is no better than a constant on the test rows" in warning
    losses = ((np.array([9.0, -9.0, 9.0, -9.0]) - test.outcome) ** 2).mean()
    assert f"{losses:.4g} against 1.25" in warning


@pytest.mark.parametrize(
    "prediction",
    [[1.1, 2.1, 2.9, 4.0], [1.1, 2.1, 2.9, 1e6]],
    ids=["better in the mean", "better in most rows, where one wrong row makes every mean large"],
)
def test_a_better_formula_stays(prediction):
    shown = Front((CONSTANT, LAW), LAW, ("a",))
    test = rows([1.0, 2.0, 3.0, 4.0])
    assert worth_showing(shown, np.array(prediction), AMOUNT, rows([2.0, 3.0]), test) == (shown, ())


def test_classes_are_judged_by_the_logarithm_of_their_probability():
    shown, test = Front((LAW,), LAW, ("a",)), rows([0, 1, 0, 1])
    good, bad = (np.array([[p, 1 - p], [1 - p, p]] * 2) for p in (0.9, 0.2))
    assert worth_showing(shown, good, CLASSES, test, test) == (shown, ())
    left, (warning,) = worth_showing(shown, bad, CLASSES, test, test)
    assert left is None
    assert f"{-np.log(0.2):.4g} against {np.log(2):.4g}" in warning


def test_nothing_to_compare_is_left_as_it_is():
    shown = Front((CONSTANT,), CONSTANT, ("a",))
    test = rows([1.0, 2.0])
    assert worth_showing(None, None, AMOUNT, test, test) == (None, ())
    assert worth_showing(shown, np.array([7.0, 7.0]), AMOUNT, test, test) == (shown, ())
