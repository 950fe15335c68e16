"""The parts of the search: smoothing, slopes and gradients against finite differences, errors against repetition."""

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

from edgewise.discovery.dynamics.right_side import RightSide, StateTerm, velocity_symbols
from edgewise.discovery.dynamics.shooting import Segments, flow_step, normal_equations, shoot
from edgewise.discovery.dynamics.smooth_path import smooth
from edgewise.discovery.dynamics.trajectories import Path

X, V = sympy.symbols("x v", real=True)
T = sympy.Symbol("t", real=True)
K = sympy.Symbol("K", real=True)


def path(noise=0.0, n=60):
    t = np.sort(np.random.default_rng(0).uniform(0, 6, n))
    x = solve_ivp(lambda t, x: [x[1], -np.sin(x[0])], (0, 6), [1.0, 0.0], t_eval=t, rtol=1e-10, atol=1e-10).y.T
    return Path(t, x + noise * np.random.default_rng(1).normal(size=x.shape), np.zeros((n, 0)))


def pendulum():
    terms = [[StateTerm(V)], [StateTerm(sympy.sin(K * X), {K: 1.1})]]
    return RightSide.of(terms, (X, V), (), T)


def test_smoothing_finds_the_noise_and_the_velocity():
    noisy, clean = path(0.05, 400), path(0.0, 400)
    found = smooth(noisy)
    assert np.allclose(found.noise, 0.05, rtol=0.15)
    velocity = np.stack([clean.x[:, 1], -np.sin(clean.x[:, 0])], 1)
    assert np.mean(np.abs(found.velocity - velocity) < 2.5 * found.doubt) > 0.9


def test_slopes_are_those_of_finite_differences():
    right, c, h = pendulum(), np.array([1.0, -0.9, 1.1]), 1e-6
    rows = np.random.default_rng(0).normal(size=(4, 2))
    rest = (np.zeros((4, 0)), np.zeros(4))
    _, slopes = right.slopes(rows, *rest, c)
    for j in range(2):
        step = h * np.eye(2)[j]
        difference = (right(rows + step, *rest, c) - right(rows - step, *rest, c)) / (2 * h)
        assert np.allclose(slopes[:, :, j], difference, atol=1e-8)
    for j in range(3):
        step = h * np.eye(3)[j]
        difference = (right(rows, *rest, c + step) - right(rows, *rest, c - step)) / (2 * h)
        assert np.allclose(slopes[:, :, 2 + j], difference, atol=1e-8)


def test_velocities_inside_terms_are_solved_for():
    accelerations = velocity_symbols((X, V))
    right = RightSide.of([[StateTerm(V)], [StateTerm(X), StateTerm(accelerations[0] * X)]], (X, V), (), T)
    value = right(np.array([[2.0, 3.0]]), np.zeros((1, 0)), np.zeros(1), np.array([1.0, -4.0, 0.5]))
    assert np.allclose(value, [[3.0, -4.0 * 2 + 0.5 * 3 * 2]])


def test_the_gradient_is_that_of_the_cost():
    right, c = pendulum(), np.array([0.9, -1.1, 1.05])
    seg = Segments.of([path(0.02), path(0.02, 30)], 7)
    states = seg.x[:, 0] + 0.01
    noise = np.array([0.02, 0.03])

    def cost(c, states):
        normal = normal_equations(seg, flow_step(right, 1), c, states, noise, 0.5)
        assert normal is not None
        return normal

    normal, h = cost(c, states), 1e-6
    for j in range(3):
        step = h * np.eye(3)[j]
        assert np.isclose(
            normal.g_constants[j], (cost(c + step, states).cost - cost(c - step, states).cost) / (2 * h), rtol=1e-5
        )
    for k, i in ((0, 0), (3, 1), (len(states) - 1, 0)):
        step = np.zeros_like(states)
        step[k, i] = h * noise[i]
        slope = (cost(c, states + step).cost - cost(c, states - step).cost) / (2 * h)
        assert np.isclose(normal.g_states.reshape(-1, 2)[k, i], slope, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("as_a_user")
def test_constants_of_the_pendulum_have_the_errors_of_repeated_noise():
    right, found, errors = pendulum(), [], []
    for seed in range(12):
        clean = path(0.0)
        x = clean.x + 0.03 * np.random.default_rng(seed).normal(size=clean.x.shape)
        seg = Segments.of([Path(clean.t, x, clean.u)], 8)
        start, floor = np.array([1.0, -1.0, 1.0]), np.full(2, 1e-6)
        shot = shoot(seg, flow_step(right, 1), start, clean.x[::8], np.full(2, 0.03), floor=floor)
        assert shot is not None
        found.append(shot.constants)
        errors.append(shot.errors)
    assert np.allclose(np.std(found, 0), np.mean(errors, 0), rtol=0.5)
    assert (np.abs(np.mean(found, 0) - [1.0, -1.0, 1.0]) < np.mean(errors, 0)).all()
