"""A law is called exact only where the rows tell it from others; what rows show at first sight is found at once."""

import json
import time

import numpy as np
import pytest
import torch

from edgewise.discovery import Discovery, discover
from edgewise.discovery.goal import goal_of
from edgewise.discovery.law import Law, Verdict, answer_of
from edgewise.discovery.noise import log_likelihood
from edgewise.discovery.wrong_rows import wrong_rows
from edgewise.expressions import Formula
from edgewise.nn import DEFAULT_LIBRARY
from edgewise.progress import Pulse

pytestmark = pytest.mark.usefixtures("module_as_a_user")

SEEDS = [0, 1, 2]


def uniform(seed: int, rows: int, *ranges: tuple[float, float]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.uniform(low, high, rows) for low, high in ranges], -1)


def over_decades(seed: int, rows: int, *ranges: tuple[float, float]) -> np.ndarray:
    return np.exp(uniform(seed, rows, *((np.log(low), np.log(high)) for low, high in ranges)))


def searched(x: np.ndarray, y: np.ndarray, names: str = "abcd", seed: int = 0, seconds: float = 20.0) -> Discovery:
    found = discover(x, y, names=list(names[: x.shape[1]]), seed=seed, seconds=seconds, clock=time.process_time)
    json.dumps(found.to_json(), allow_nan=np.isinf(found.curves_error))
    return found


def test_a_column_that_the_data_do_not_need_is_in_no_law():
    x = uniform(0, 600, (0.2, 2), (1.6, 25), (0.05, 0.6), (0.1, 2))
    y = 2 * np.pi * np.sqrt(x[:, 0] / x[:, 1]) * (1 + x[:, 2] ** 2 / 16)
    found = searched(x, y, "Lgtm")
    assert found.exact, found
    assert {str(s) for s in found.formula.expressions[0].free_symbols} == {"L", "g", "t"}
    far = uniform(1, 50, (2, 4), (25, 30), (0.6, 1), (2, 5))
    expected = 2 * np.pi * np.sqrt(far[:, 0] / far[:, 1]) * (1 + far[:, 2] ** 2 / 16)
    np.testing.assert_allclose(found.formula(far)[:, 0], expected, rtol=1e-9)


def factorial(levels: int, copies: int) -> np.ndarray:
    a, b = np.meshgrid(np.arange(1.0, levels + 1), np.arange(1.0, levels + 1))
    return np.tile(np.stack([a.ravel(), b.ravel()], -1), (copies, 1))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("rows", "word"),
    [
        (lambda seed: factorial(3, 4), "9 different rows"),
        (lambda seed: factorial(4, 2), "16 different rows"),
        (lambda seed: factorial(6, 1), "a has 6 values"),
        (lambda seed: np.tile(uniform(seed, 5, (1, 3), (1, 3)), (40, 1)), "5 different rows"),
        (lambda seed: np.tile(uniform(seed, 20, (1, 3), (1, 3)), (2, 1)), "20 different rows"),
    ],
    ids=["3x3", "4x4", "6x6", "5 rows", "20 rows"],
)
def test_few_points_prove_nothing(rows, word, seed):
    x = rows(seed)
    short = searched(x, x[:, 0] * x[:, 1], seed=seed)
    assert not short.exact
    assert short.law is None or word in short.reason
    wild = searched(x, np.sin(np.pi * x[:, 0]) + x[:, 1], seed=seed, seconds=0.1)
    assert not wild.exact
    if seed:
        return
    interpolated = searched(x, np.exp(-x[:, 0]) * np.sin(2 * x[:, 1]), seed=seed, seconds=0.1)
    assert interpolated.law is None or interpolated.law.error > 1e-9, interpolated


@pytest.mark.parametrize(
    ("function", "text", "exact"),
    [
        (lambda x: np.where(x > 2, 1.0, 0.0), "y = Heaviside(x - 2)", False),
        (lambda x: np.where(x > 1.3, 5.0, 2.0), "y = 3*Heaviside(x - 13/10) + 2", False),
        (lambda x: 3 * np.abs(x - 1) + 2, "y = 3*Abs(x - 1) + 2", True),
        (lambda x: np.maximum(x - 1.5, 0), "y = Max(0, x - 3/2)", True),
        (lambda x: np.minimum(2 * x, 5), "y = Min(5, 2*x)", True),
    ],
    ids=["step", "levels", "abs", "max", "min"],
)
def test_pieces_are_named(function, text, exact):
    x = uniform(0, 300, (0, 4))
    found = searched(x, function(x[:, 0]), "x")
    assert str(found.formula) == text
    assert found.exact == exact
    assert exact or "a step at x = " in found.reason
    np.testing.assert_allclose(found.model()(torch.tensor(x))[:, 0].detach().numpy(), function(x[:, 0]), atol=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_limit_is_no_number(seed):
    """A function so steep that one row at most lies on its slope is not proven, whatever imitates it."""
    x = uniform(seed, 300, (0, 4))
    found = searched(x, np.tanh(1000 * (x[:, 0] - 2)), "x", seed=seed, seconds=3.0)
    assert not found.exact, found


def test_a_step_beside_another_variable():
    x = uniform(0, 400, (0, 4), (1, 2))
    found = searched(x, np.where(x[:, 0] > 2, 1.0, 0.0) + x[:, 1] ** 2)
    assert str(found.formula) == "y = b**2 + Heaviside(a - 2)"


T = np.linspace(0, 6, 400)[:, None]


@pytest.mark.parametrize(
    ("x", "function", "text"),
    [
        (T, lambda t: np.cos(5 * t), "y = cos(5*a)"),
        (T, lambda t: np.exp(-0.3 * t) * np.cos(5 * t), "y = exp(-3*a/10)*cos(5*a)"),
        (T, lambda t: 2 * np.cos(40 * t + 0.7) + 1, "y = 2*cos(40*a + 7/10) + 1"),
        (T, lambda t: np.sin(3 * t) + np.sin(7 * t) / 2, "y = sin(3*a) + sin(7*a)/2"),
        (uniform(0, 500, (0, 12), (1, 3)), lambda a, b: b * np.sin(4 * a), "y = b*sin(4*a)"),
    ],
    ids=["cos", "damped", "fast", "two", "product"],
)
def test_oscillations(x, function, text):
    found = searched(x, function(*x.T))
    assert found.exact, found
    assert str(found.formula) == text


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("ranges", "function", "text"),
    [
        ([(1e-3, 1e3), (1e2, 1e6)], lambda a, b: 3.7 * a**2 / np.sqrt(b), "y = 37*a**2/(10*sqrt(b))"),
        ([(1e4, 1e7), (0.7, 160)], lambda a, b: 0.023 * a**0.8 * b**0.4, "y = 0.023*a**(4/5)*b**(2/5)"),
        ([(1e-3, 1e3)] * 2, lambda a, b: 2 * np.log(a) + 3 * np.log(b) - 1, "y = 2*log(a) + 3*log(b) - 1"),
        ([(1e-3, 1e3)] * 3, lambda a, b, c: 6.67e-11 * a * b + 0 * c, "y = 6.67e-11*a*b"),
    ],
    ids=["powers", "fractions", "logarithms", "one needless"],
)
def test_decades(ranges, function, text, seed):
    x = over_decades(seed, 300, *ranges)
    found = searched(x, function(*x.T), seed=seed)
    assert found.exact, found
    assert str(found.formula) == text


def test_what_is_small_counts_too():
    """The second term is 1e-10 of the largest value, and most of the values of half of the rows."""
    x = over_decades(0, 300, (1e-3, 1e3))
    found = searched(x, x[:, 0] ** 3 + 0.1 * x[:, 0] ** -1 * 1e-2, seconds=2.0)
    assert not found.exact or np.allclose(found.formula(x)[:, 0], x[:, 0] ** 3 + 1e-3 / x[:, 0], rtol=1e-6), found


@pytest.mark.parametrize("seed", SEEDS)
def test_one_wrong_row_is_told(seed):
    x = uniform(seed, 60, (1, 3), (1, 2))
    y = x[:, 0] ** 2 / x[:, 1]
    wrong = 7 + seed
    y[wrong] *= 10
    found = searched(x, y, seed=seed)
    assert found.exact, found
    assert found.wrong_rows == (wrong,)
    assert f"1 of 60 rows does not follow it (row {wrong})" in found.reason
    assert str(found.formula) == "y = a**2/b"


@pytest.mark.parametrize("value", [1e4, 1e12, -1e6])
def test_one_huge_row_is_told_too(value):
    """It bends every least-squares fit so much that all residuals are large."""
    x = uniform(4, 60, (1, 3), (1, 2))
    y = x[:, 1] * np.sin(2 * x[:, 0])
    y[7] = value
    found = searched(x, y)
    assert found.exact, found
    assert (str(found.formula), found.wrong_rows) == ("y = b*sin(2*a)", (7,))


@pytest.mark.parametrize("count", [1, 3])
def test_far_rows_are_found_whatever_they_are(count):
    rng = np.random.default_rng(8)
    for size in (1e3, 1e6, -1e9):
        x = uniform(6, 60, (1, 3), (1, 2))
        y = np.exp(x[:, 0]) / x[:, 1] + 0.02 * rng.standard_normal(60)
        wrong = rng.choice(60, count, replace=False)
        y[wrong] = size * (1 + rng.random(count))
        assert set(wrong) <= set(wrong_rows(torch.tensor(x), torch.tensor(y)))
        assert wrong_rows(torch.tensor(x), torch.tensor(np.exp(3 * x[:, 0]))) == []


def test_a_law_that_leaves_far_more_than_curves_do_is_none():
    """Few rows hide what is left, as that of exp(0.77 b) for 2 a b with one row of 50; curves show it."""
    x = torch.tensor(uniform(0, 60, (0, 2), (0, 2)))
    goal = goal_of(x, 2 * x[:, 0] * x[:, 1], list("ab"), "y", None, (), DEFAULT_LIBRARY, 0, Pulse())
    a, b = goal.inputs
    law = Law(Formula((0.77 * b,), (a, b), ("y",)), 0.31, 0.32, 2, "a structure", complete=True)
    assert answer_of([Verdict(law, None, True)], 0.0082, goal).law is None
    assert answer_of([Verdict(law, None, True)], 0.29, goal).law is not None


def test_values_too_small_to_square_are_no_scale_of_noise():
    assert log_likelihood(torch.full((5,), 1e-200), torch.ones(5), 1.0) == -np.inf
