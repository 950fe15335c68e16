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


PIECES = {
    "rounded": (np.round, "y = floor(a + 1/2)"),
    "remainder": (lambda t: np.mod(t, 1.3), "y = a - 13*floor(10*a/13)/10"),
    "stairs beside a line": (lambda t: np.floor(t / 2) - 0.3 * t, "y = -3*a/10 + floor(a/2)"),
    "zigzag": (lambda t: np.abs(np.mod(t, 2) - 1), "y = asin(cos(pi*a))/pi + 1/2"),
}


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("piece", PIECES)
def test_pieces_that_repeat_are_no_waves(piece, noise):
    """Sixty rows hide what a sine of the right period leaves of a staircase: it was announced as the law."""
    function, text = PIECES[piece]
    rng = np.random.default_rng(41)
    x, fresh = rng.uniform(-3, 3, (60 if noise == 0 else 200, 1)), rng.uniform(-3, 3, (400, 1))
    want = function(x[:, 0])
    answer = found(x, want + noise * want.std() * rng.standard_normal(len(x)))
    assert bool(answer.formula.expressions[0].atoms(sympy.asin)) == (piece == "zigzag"), answer
    off = np.abs(answer.formula(fresh)[:, 0] - function(fresh[:, 0])) > 0.05 * want.std() + 1e-6
    assert off.mean() < 0.05, answer  # between two rows the place of a jump is not known
    assert noise or (str(answer.formula) == text and answer.exact == (piece == "zigzag")), answer


@pytest.mark.parametrize("seed", [42, 43])
def test_one_noisy_step_is_no_steep_curve(seed):
    """A tanh with a slope that no row sees was announced; a number that stands for a limit is no number."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1.4, (120, 1))
    answer = found(x, np.sign(x[:, 0] - 0.1) + 0.2 * rng.standard_normal(120))
    assert answer.law is None or answer.formula.expressions[0].atoms(sympy.Heaviside), answer
    assert answer.law is None or not answer.formula.expressions[0].atoms(sympy.tanh, sympy.erf, sympy.atan), answer


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
