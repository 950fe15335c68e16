"""Laws with jumps and kinks come back, on other constants than they were developed with, and only where they are."""

import time

import numpy as np
import pytest
import sympy

from edgewise.discovery import discover
from edgewise.discovery.goal import goal_of
from edgewise.discovery.jumps import larger_of_two, square_waves, steps
from edgewise.nn import DEFAULT_LIBRARY
from edgewise.progress import Pulse

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def found(x: np.ndarray, y: np.ndarray):
    return discover(x, y, names=["a", "b"][: x.shape[1]], seconds=10, clock=time.process_time)


def samples(columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 6, (500, columns))


@pytest.mark.parametrize("seed", [31, 32])
def test_two_steps(seed):
    x = samples(2, seed)
    y = 1.7 * (x[:, 0] > 2.2) - 0.9 * (x[:, 0] > 4.7) + 0.4 * x[:, 1]
    answer = found(x, y)
    assert len(answer.formula.expressions[0].atoms(sympy.Heaviside)) == 2
    assert "step" in answer.reason
    fresh = samples(2, seed + 100)
    want = 1.7 * (fresh[:, 0] > 2.2) - 0.9 * (fresh[:, 0] > 4.7) + 0.4 * fresh[:, 1]
    assert np.mean(np.abs(answer.formula(fresh)[:, 0] - want) > 1e-6) < 0.01


@pytest.mark.parametrize(("omega", "phase"), [(2.6, 0.3), (4.1, 1.9)])
def test_a_square_wave(omega, phase):
    x = samples(1, 33)
    answer = found(x, 0.7 + 1.2 * np.sign(np.sin(omega * x[:, 0] + phase)))
    fresh = samples(1, 34)
    want = 0.7 + 1.2 * np.sign(np.sin(omega * fresh[:, 0] + phase))
    assert np.mean(np.abs(answer.formula(fresh)[:, 0] - want) > 1e-6) < 0.02
    assert not answer.exact


@pytest.mark.parametrize("smaller", [False, True])
def test_the_larger_and_the_smaller_of_two(smaller):
    x = samples(2, 35)
    p, q = 1.5 * x[:, 0] - 1, x[:, 1] + 0.5
    answer = found(x, np.minimum(p, q) if smaller else np.maximum(p, q))
    assert answer.exact
    assert answer.formula.expressions[0].atoms(sympy.Min if smaller else sympy.Max)


def test_smooth_tables_and_noise_have_no_jumps():
    x = samples(2, 36)
    noise = np.random.default_rng(37).standard_normal(500)
    for y in (noise, x[:, 0] ** 2 / 10 + 0.1 * noise, np.sin(x[:, 0]) + 0.1 * noise):
        goal = goal_of(x, y, ["a", "b"], "y", None, (), DEFAULT_LIBRARY, 0, Pulse())
        assert not [*square_waves(goal)]
        assert not [*steps(goal)] or y is not noise
        assert not [*larger_of_two(goal)] or y is not noise
