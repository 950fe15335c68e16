"""Systems with known laws, integrated with tight tolerances: ten that judge, and ten data sets that have no law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

Path = tuple[np.ndarray, np.ndarray]
Terms = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class System:
    """A system with a known law.

    Attributes:
        names: of its components.
        laws: the factors of the terms of every equation; several where it can be written in several ways.
        paths: makes its trajectories, without noise.
        kind: "flow" or "map".
    """

    names: tuple[str, ...]
    laws: tuple[Terms, ...]
    paths: Callable[[], list[Path]]
    kind: str = "flow"

    def observed(self, noise: float, seed: int) -> list[Path]:
        """The trajectories with normal noise, in standard deviations of every component."""
        generator, paths = np.random.default_rng(seed), self.paths()
        spread = np.concatenate([x for _, x in paths]).std(0)
        return [(t, x + noise * spread * generator.normal(size=x.shape)) for t, x in paths]


def integrated(f: Callable, starts: list[list[float]], duration: float, interval: float) -> Callable[[], list[Path]]:
    """Trajectories of x' = f(t, x) from these states."""

    def paths() -> list[Path]:
        t = np.arange(0, duration, interval)
        ask = {"t_eval": t, "rtol": 1e-11, "atol": 1e-12, "method": "DOP853"}
        return [(t, solve_ivp(f, (0, duration), start, **ask).y.T) for start in starts]

    return paths


def iterated(f: Callable, start: list[float], count: int) -> Callable[[], list[Path]]:
    """The trajectory of x[n + 1] = f(x[n])."""

    def paths() -> list[Path]:
        x = [np.array(start, dtype=float)]
        for _ in range(count - 1):
            x.append(np.array(f(x[-1]), dtype=float))
        return [(np.arange(count, dtype=float), np.array(x))]

    return paths


def double_pendulum(_: float, x: np.ndarray) -> list[float]:
    """Two equal masses on two equal rods of length one."""
    a, b, v, w = x
    s, c = np.sin(a - b), np.cos(a - b)
    matrix = np.array([[1.0, c / 2], [c, 1.0]])
    v_dot, w_dot = np.linalg.solve(matrix, [-(w**2) * s / 2 - 9.81 * np.sin(a), v**2 * s - 9.81 * np.sin(b)])
    return [v, w, v_dot, w_dot]


JUDGED: dict[str, System] = {
    "lorenz": System(
        ("x", "y", "z"),
        (
            {
                "x": {"x": -10, "y": 10},
                "y": {"x": 28, "y": -1, "x*z": -1},
                "z": {"x*y": 1, "z": -8 / 3},
            },
        ),
        integrated(
            lambda t, x: [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]],
            [[-8.0, 7.0, 27.0]],
            10,
            0.01,
        ),
    ),
    "roessler": System(
        ("x", "y", "z"),
        ({"x": {"y": -1, "z": -1}, "y": {"x": 1, "y": 0.2}, "z": {"1": 0.2, "x*z": 1, "z": -5.7}},),
        integrated(
            lambda t, x: [-x[1] - x[2], x[0] + 0.2 * x[1], 0.2 + x[2] * (x[0] - 5.7)], [[1.0, 1.0, 0.0]], 60, 0.05
        ),
    ),
    "double pendulum": System(
        ("a", "b", "v", "w"),
        (
            {
                "a": {"v": 1},
                "b": {"w": 1},
                "v": {"w'*cos(a - b)": -0.5, "w**2*sin(a - b)": -0.5, "sin(a)": -9.81},
                "w": {"v'*cos(a - b)": -1, "v**2*sin(a - b)": 1, "sin(b)": -9.81},
            },
        ),
        integrated(double_pendulum, [[1.5, 0.5, 0.0, 0.0]], 15, 0.01),
    ),
    "lotka-volterra": System(
        ("x", "y"),
        ({"x": {"x": 1.1, "x*y": -0.4}, "y": {"x*y": 0.1, "y": -0.4}},),
        integrated(
            lambda t, x: [1.1 * x[0] - 0.4 * x[0] * x[1], 0.1 * x[0] * x[1] - 0.4 * x[1]], [[10.0, 5.0]], 40, 0.1
        ),
    ),
    "van der pol": System(
        ("x", "y"),
        ({"x": {"y": 1}, "y": {"x": -1, "y": 2, "x**2*y": -2}},),
        integrated(lambda t, x: [x[1], 2 * (1 - x[0] ** 2) * x[1] - x[0]], [[0.5, 0.0]], 20, 0.05),
    ),
    "sir": System(
        ("S", "I", "R"),
        ({"S": {"I*S": -0.4}, "I": {"I*S": 0.4, "I": -0.1}, "R": {"I": 0.1}},),
        integrated(
            lambda t, x: [-0.4 * x[0] * x[1], 0.4 * x[0] * x[1] - 0.1 * x[1], 0.1 * x[1]], [[0.99, 0.01, 0.0]], 80, 0.4
        ),
    ),
    "duffing forced": System(
        ("x", "v"),
        ({"x": {"v": 1}, "v": {"x": 1, "x**3": -1, "v": -0.25, "cos(p + t*w)": 0.4, "w in cos(p + t*w)": 1.2}},),
        integrated(lambda t, x: [x[1], x[0] - x[0] ** 3 - 0.25 * x[1] + 0.4 * np.cos(1.2 * t)], [[0.5, 0.0]], 60, 0.05),
    ),
    "michaelis-menten": System(
        ("s",),
        (
            {"s": {"1": 0.6, "s/(K + s)": -1.5, "K in s/(K + s)": 0.3}},
            {"s": {"1": -0.9, "1/(K + s)": 0.45, "K in 1/(K + s)": 0.3}},
        ),
        integrated(lambda t, x: [0.6 - 1.5 * x[0] / (0.3 + x[0])], [[0.0], [0.5], [1.5], [3.0]], 4, 0.05),
    ),
    "logistic map": System(
        ("x",), ({"x": {"x": 3.8, "x**2": -3.8}},), iterated(lambda x: 3.8 * x * (1 - x), [0.3], 300), "map"
    ),
    "henon map": System(
        ("x", "y"),
        ({"x": {"1": 1, "x**2": -1.4, "y": 1}, "y": {"x": 0.3}},),
        iterated(lambda x: [1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]], [0.1, 0.1], 400),
        "map",
    ),
}
"""The ten systems of the study; none of them was used while the method was made."""


def _walk(r: np.random.Generator) -> Path:
    return np.arange(400) * 0.1, np.cumsum(r.normal(size=(400, 2)), 0)


def _white(r: np.random.Generator) -> Path:
    return np.arange(300) * 0.1, r.normal(size=(300, 2))


def _white_steps(r: np.random.Generator) -> Path:
    return np.arange(300.0), r.normal(size=(300, 1))


def _autoregressive(r: np.random.Generator) -> Path:
    x = [r.normal(size=2)]
    for _ in range(399):
        x.append(np.array([[0.7, 0.3], [-0.3, 0.7]]) @ x[-1] + r.normal(size=2))
    return np.arange(400.0), np.array(x)


def _hidden_lorenz(r: np.random.Generator) -> Path:
    ((t, x),) = JUDGED["lorenz"].paths()
    return t, x[:, :2] * (1 + 0 * r.random())


def _hidden_roessler(r: np.random.Generator) -> Path:
    ((t, x),) = JUDGED["roessler"].paths()
    return t, x[:, [0, 2]] + 0.01 * x[:, [0, 2]].std(0) * r.normal(size=(len(x), 2))


def _driven_by_noise(r: np.random.Generator) -> Path:
    x, dt = [np.array([1.0, 0.0])], 0.02
    for _ in range(999):
        drift = np.array([x[-1][1], x[-1][0] - x[-1][0] ** 3 - 0.3 * x[-1][1]])
        x.append(x[-1] + dt * drift + np.sqrt(dt) * 0.4 * r.normal(size=2))
    return np.arange(1000) * dt, np.array(x)


def _delayed(r: np.random.Generator) -> Path:
    lag, dt = 170, 0.1
    x = list(1.2 + 0.1 * r.normal() * np.ones(lag + 1))
    for _ in range(6000):
        x.append(x[-1] + dt * (0.2 * x[-1 - lag] / (1 + x[-1 - lag] ** 10) - 0.1 * x[-1]))
    return np.arange(600) * 0.5, np.array(x[-3000::5])[:, None]


def _shuffled(r: np.random.Generator) -> Path:
    ((t, x),) = JUDGED["lotka-volterra"].paths()
    return t, x[r.permutation(len(x))]


def _switching(r: np.random.Generator) -> Path:
    x, dt, on = [1.0], 0.05, True
    for _ in range(499):
        on = on != (r.random() < 0.03)
        x.append(x[-1] + dt * ((2.0 if on else 0.0) - x[-1]))
    return np.arange(500) * dt, np.array(x)[:, None] + 0.01 * r.normal(size=(500, 1))


LAWLESS: dict[str, Callable[[np.random.Generator], Path]] = {
    "random walk": _walk,
    "white noise": _white,
    "white noise in steps": _white_steps,
    "autoregression": _autoregressive,
    "two of lorenz's three": _hidden_lorenz,
    "two of roessler's three": _hidden_roessler,
    "driven by noise": _driven_by_noise,
    "delay equation": _delayed,
    "shuffled rows": _shuffled,
    "random switching": _switching,
}
"""Data without a law of the class: noise, hidden components, delay, chance."""
