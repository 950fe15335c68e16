"""Searches that begin with a formula: its constants, what it lacks, and texts that are none."""

import time

import numpy as np
import pytest
import sympy

from edgewise.discovery import discover

pytestmark = pytest.mark.usefixtures("module_as_a_user")

a, b = sympy.symbols("a b", real=True)


def rows(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 3, (300, 2))


def found(x, y, *start):
    return discover(x, y, names=["a", "b"], start=start, seconds=5, clock=time.process_time)


def test_constants_of_a_start_formula_are_found():
    x = rows(0)
    answer = found(x, np.exp(-0.75 * x[:, 0]) * np.tanh(x[:, 1] * x[:, 0] - 1), "exp(-k*a)*tanh(p*a*b + q)")
    assert answer.exact
    assert sympy.simplify(answer.formula.expressions[0] - sympy.exp(-3 * a / 4) * sympy.tanh(a * b - 1)) == 0
    assert answer.law is not None
    assert answer.law.structure == "start formula"


def test_what_a_start_formula_lacks_is_added():
    x = rows(1)
    y = 1.7 * np.tanh(x[:, 0] * x[:, 1] / 2) + 0.6 * x[:, 1] ** 2
    answer = found(x, y + 0.01 * y.std() * np.random.default_rng(2).standard_normal(300), "k*tanh(a*b/2)")
    (law,) = answer.formula.expressions
    assert np.abs(answer.formula(x)[:, 0] - y).max() < 0.02 * y.std()
    assert law.atoms(sympy.tanh)


@pytest.mark.slow
def test_a_wrong_start_formula_does_no_harm():
    x = rows(3)
    answer = found(x, x[:, 0] / (1 + x[:, 1]), "k*sin(a + b)")
    assert answer.exact
    assert sympy.simplify(answer.formula.expressions[0] - a / (1 + b)) == 0


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (["__import__('os')"], "is no formula of a, b"),
        (["k*c + 1"], "has none of the inputs a, b"),
        ("k*a", "give a list of formulas"),
    ],
)
def test_a_text_that_is_no_start_says_why(start, message):
    x = rows(4)
    with pytest.raises(ValueError, match=message):
        discover(x, x[:, 0], names=["a", "b"], start=start)
