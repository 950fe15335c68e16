r"""Fields that solve known partial differential equations: spectral solutions on periodic grids, by ETDRK4.

$\hat u_t = L(k)\hat u + \hat N(u)$ with a diagonal linear part, integrated by the exponential Runge-Kutta method of
fourth order of Cox and Matthews (2002) with the contour integrals of Kassam and Trefethen (2005).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Fields = np.ndarray
"""Of shape (fields, n_x[, n_y])."""


@dataclass(frozen=True)
class FieldProblem:
    """A periodic initial value problem with the law that its fields obey.

    Args:
        law: right side of every field by the names of its terms, in textbook form: {"u": {"u*u_x": -1, "u_xx": 0.1}}.
        size: length of every axis in space.
        points: of the stored grid in every axis.
        times: stored times.
        initial: fields at the first of the times from the coordinates, shape (fields, n_x[, n_y]).
        linear: symbol of the linear part from the wave numbers, shape (fields, n_x[, n_y]).
        nonlinear: the rest of the right side from the fields and `Spectral.derivative`.
        steps: of the integrator between two stored times.
        finer: grid points of the solution for every stored one, along an axis.
        start: the first coordinate of every axis.
    """

    law: Mapping[str, Mapping[str, float]]
    size: tuple[float, ...]
    points: tuple[int, ...]
    times: np.ndarray
    initial: Callable[..., Fields]
    linear: Callable[..., np.ndarray]
    nonlinear: Callable[[Fields, Spectral], Fields]
    steps: int = 10
    finer: int = 1
    start: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields."""
        return tuple(self.law)

    def space(self) -> tuple[np.ndarray, ...]:
        """The stored coordinates of every axis."""
        return tuple(s * np.arange(n) / n + self.start for s, n in zip(self.size, self.points, strict=True))

    def solve(self, refine: int = 1) -> dict[str, np.ndarray]:
        """The fields at the stored times and points, each (n_t, n_x[, n_y]); `refine` divides the steps in time."""
        grid = Spectral(self.size, tuple(n * self.finer for n in self.points))
        u = self.initial(*np.meshgrid(*(x + self.start for x in grid.space), indexing="ij"))
        shown = (slice(None), *(slice(None, None, self.finer) for _ in self.points))
        steps, states = self.steps * refine, [u[shown]]
        step = Etdrk4(self.linear(*grid.waves), (self.times[1] - self.times[0]) / steps)
        v = grid.forward(u)
        for _ in self.times[1:]:
            for _ in range(steps):
                v = step(v, lambda w: grid.forward(self.nonlinear(grid.back(w), grid)) * grid.kept)
            states.append(grid.back(v)[shown])
        return dict(zip(self.names, np.stack(states, 1), strict=True))


class Spectral:
    """Fourier derivatives on a periodic grid, with the upper third of all wave numbers cut off in products."""

    def __init__(self, size: Sequence[float], points: Sequence[int]) -> None:
        self.axes = tuple(range(1, len(points) + 1))
        self.space = [s * np.arange(n) / n for s, n in zip(size, points, strict=True)]
        waves = [2 * np.pi * np.fft.fftfreq(n, s / n) for s, n in zip(size, points, strict=True)]
        self.waves = np.meshgrid(*waves, indexing="ij")
        self.kept = np.prod([abs(k) < 2 / 3 * abs(k).max() for k in self.waves], 0)

    def forward(self, u: Fields) -> np.ndarray:
        """The Fourier coefficients of fields."""
        return np.fft.fftn(u, axes=self.axes)

    def back(self, v: np.ndarray) -> Fields:
        """The fields of Fourier coefficients."""
        return np.fft.ifftn(v, axes=self.axes).real

    def derivative(self, u: np.ndarray, order: int = 1, axis: int = 0) -> np.ndarray:
        """A derivative of one field of shape (n_x[, n_y])."""
        return self.back((1j * self.waves[axis]) ** order * self.forward(u[None]))[0]


class Etdrk4:
    """One step of the exponential Runge-Kutta method of fourth order."""

    def __init__(self, linear: np.ndarray, h: float) -> None:
        circle = np.exp(2j * np.pi * (np.arange(1, 65) - 0.5) / 64)
        z = h * linear[..., None] + circle
        real = not np.iscomplexobj(linear)

        def mean(values: np.ndarray) -> np.ndarray:
            return values.mean(-1).real if real else values.mean(-1)

        self.whole, self.half = np.exp(h * linear), np.exp(h * linear / 2)
        e = np.exp(z)
        self.q = h * mean((np.exp(z / 2) - 1) / z)
        self.first = h * mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3)
        self.middle = h * mean((2 + z + e * (z - 2)) / z**3)
        self.last = h * mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3)

    def __call__(self, v: np.ndarray, rest: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The coefficients one step later."""
        n = rest(v)
        a = self.half * v + self.q * n
        na = rest(a)
        b = self.half * v + self.q * na
        nb = rest(b)
        c = self.half * a + self.q * (2 * nb - n)
        return self.whole * v + self.first * n + 2 * self.middle * (na + nb) + self.last * rest(c)


def _sech2(x: np.ndarray, speed: float, place: float) -> np.ndarray:
    """A soliton of u_t = -6 u u_x - u_xxx."""
    return speed / 2 / np.cosh(np.sqrt(speed) / 2 * (x - place)) ** 2


def _zero(u: Fields, grid: Spectral) -> Fields:
    return np.zeros_like(u)


def _smooth(seed: int, waves: int, amplitude: float, *x: np.ndarray) -> np.ndarray:
    """A random smooth periodic field of unit boxes of coordinates, with this root mean square."""
    generator = np.random.default_rng(seed)
    u = np.zeros_like(x[0])
    for k in np.ndindex(*(2 * waves + 1 for _ in x)):
        k = np.array(k) - waves
        if (k**2).sum() <= waves**2:
            phase = 2 * np.pi * (sum(a * b for a, b in zip(k, x, strict=True)) + generator.random())
            u = u + generator.standard_normal() * np.cos(phase)
    u = u - u.mean()
    return amplitude * u / np.sqrt(np.mean(u**2))


def _burgers(u: Fields, g: Spectral) -> Fields:
    return -g.derivative(u[0] ** 2 / 2)[None]


def _lambda_omega(u: Fields, g: Spectral) -> Fields:
    a, b = u
    r = a**2 + b**2
    return np.stack([a - a * r + b * r, b - b * r - a * r])


def _ginzburg_landau(u: Fields, g: Spectral) -> Fields:
    """The rest of A_t = A + (1 + i/2) A_xx - (1 - 4i/5) |A|^2 A with A = u + i v."""
    a, b = u
    r, bent = a**2 + b**2, [0.5 * g.derivative(c, 2) for c in (a, b)]
    return np.stack([-bent[1] - r * (a + 0.8 * b), bent[0] - r * (b - 0.8 * a)])


def _spiral(x: np.ndarray, y: np.ndarray) -> Fields:
    """Two pairs of spirals of opposite sense: periodic."""
    a, b = np.sin(np.pi * x / 10), np.sin(np.pi * y / 10)
    c, d = np.cos(np.pi * x / 10), np.cos(np.pi * y / 10)
    return np.stack([np.tanh(2 * a) * (1 + 0.3 * d), np.tanh(2 * b) * (1 - 0.3 * c)])


JUDGED: dict[str, FieldProblem] = {
    "burgers": FieldProblem(
        {"u": {"u*u_x": -1.0, "u_xx": 0.1}},
        (16.0,),
        (256,),
        np.linspace(0, 10, 101),
        lambda x: np.exp(-((x + 2) ** 2))[None],
        lambda k: -0.1 * k[None] ** 2,
        _burgers,
        finer=2,
        start=-8.0,
    ),
    "kdv": FieldProblem(
        {"u": {"u*u_x": -6.0, "u_xxx": -1.0}},
        (60.0,),
        (384,),
        np.linspace(0, 20, 201),
        lambda x: (_sech2(x, 2.0, -16.0) + _sech2(x, 0.8, -4.0))[None],
        lambda k: 1j * k[None] ** 3,
        lambda u, g: 6 * _burgers(u, g),
        steps=40,
        finer=1,
        start=-30.0,
    ),
    "fisher-kpp": FieldProblem(
        {"u": {"u": 1.0, "u**2": -1.0, "u_xx": 0.1}},
        (30.0,),
        (256,),
        np.linspace(0, 10, 101),
        lambda x: (0.6 * np.exp(-(x**2)) + 0.3 * np.exp(-((x - 7) ** 2) / 2))[None],
        lambda k: 1 - 0.1 * k[None] ** 2,
        lambda u, g: -(u**2),
        start=-15.0,
    ),
    "kuramoto-sivashinsky": FieldProblem(
        {"u": {"u*u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0}},
        (32 * np.pi,),
        (256,),
        np.linspace(0, 100, 251),
        lambda x: (np.cos(x / 16) * (1 + np.sin(x / 16)))[None],
        lambda k: k[None] ** 2 - k[None] ** 4,
        _burgers,
        steps=8,
    ),
    "lambda-omega": FieldProblem(
        {
            "u": {"u": 1.0, "u**3": -1.0, "u*v**2": -1.0, "u**2*v": 1.0, "v**3": 1.0, "lap(u)": 0.1},
            "v": {"v": 1.0, "v**3": -1.0, "u**2*v": -1.0, "u*v**2": -1.0, "u**3": -1.0, "lap(v)": 0.1},
        },
        (20.0, 20.0),
        (64, 64),
        np.linspace(0, 10, 101),
        _spiral,
        lambda k, q: np.stack([-0.1 * (k**2 + q**2)] * 2),
        _lambda_omega,
        steps=2,
        finer=1,
    ),
}
"""The systems that the study measures; nothing was decided with them."""

PRACTICE: dict[str, FieldProblem] = {
    "heat": FieldProblem(
        {"u": {"u_xx": 0.3}},
        (10.0,),
        (128,),
        np.linspace(0, 4, 81),
        lambda x: _smooth(1, 5, 1.0, x / 10)[None],
        lambda k: -0.3 * k[None] ** 2,
        _zero,
    ),
    "advection-diffusion": FieldProblem(
        {"u": {"u_x": -1.5, "u_xx": 0.05}},
        (10.0,),
        (200,),
        np.linspace(0, 5, 121),
        lambda x: np.exp(-2 * (x - 3) ** 2)[None] + 0.5 * np.exp(-((x - 7) ** 2))[None],
        lambda k: -1.5j * k[None] - 0.05 * k[None] ** 2,
        _zero,
    ),
    "allen-cahn": FieldProblem(
        {"u": {"u": 1.0, "u**3": -1.0, "u_xx": 0.05}},
        (12.0,),
        (200,),
        np.linspace(0, 6, 121),
        lambda x: _smooth(3, 6, 0.4, x / 12)[None],
        lambda k: 1 - 0.05 * k[None] ** 2,
        lambda u, g: -(u**3),
    ),
    "modified-kdv": FieldProblem(
        {"u": {"u**2*u_x": -6.0, "u_xxx": -1.0}},
        (40.0,),
        (320,),
        np.linspace(0, 12, 161),
        lambda x: (1.4 / np.cosh(1.4 * (x + 12)) + 0.8 / np.cosh(0.8 * (x + 2)))[None],
        lambda k: 1j * k[None] ** 3,
        lambda u, g: -2 * g.derivative(u[0] ** 3)[None],
        steps=40,
        start=-20.0,
    ),
    "wave": FieldProblem(
        {"u": {"v": 1.0}, "v": {"u_xx": 2.0}},
        (10.0,),
        (160,),
        np.linspace(0, 8, 161),
        lambda x: np.stack([_smooth(4, 5, 1.0, x / 10), _smooth(5, 5, 1.0, x / 10)]),
        lambda k: np.stack([0 * k, 0 * k]),
        lambda u, g: np.stack([u[1], 2 * g.derivative(u[0], 2)]),
        steps=20,
    ),
    "fitzhugh-nagumo": FieldProblem(
        {"u": {"u": 1.0, "u**3": -1.0, "v": -1.0, "u_xx": 1.0}, "v": {"u": 0.1, "v": -0.05, "1": 0.01}},
        (100.0,),
        (256,),
        np.linspace(0, 60, 241),
        lambda x: np.stack([_smooth(6, 8, 0.6, x / 100), _smooth(7, 8, 0.3, x / 100)]),
        lambda k: np.stack([1 - k**2, -0.05 + 0 * k]),
        lambda u, g: np.stack([-(u[0] ** 3) - u[1], 0.1 * u[0] + 0.01]),
        steps=5,
    ),
    "swift-hohenberg": FieldProblem(
        {"u": {"u": -0.7, "u**3": -1.0, "u_xx": -2.0, "u_xxxx": -1.0}},
        (60.0,),
        (256,),
        np.linspace(0, 20, 161),
        lambda x: _smooth(8, 14, 0.5, x / 60)[None],
        lambda k: 0.3 - (1 - k[None] ** 2) ** 2,
        lambda u, g: -(u**3),
        steps=5,
    ),
    "ginzburg-landau": FieldProblem(
        {
            "u": {"u": 1.0, "u**3": -1.0, "u*v**2": -1.0, "u**2*v": -0.8, "v**3": -0.8, "u_xx": 1.0, "v_xx": -0.5},
            "v": {"v": 1.0, "v**3": -1.0, "u**2*v": -1.0, "u*v**2": 0.8, "u**3": 0.8, "v_xx": 1.0, "u_xx": 0.5},
        },
        (50.0,),
        (128,),
        np.linspace(0, 15, 121),
        lambda x: np.stack([_smooth(10, 6, 0.8, x / 50), _smooth(11, 6, 0.8, x / 50)]),
        lambda k: np.stack([1 - k**2] * 2),
        _ginzburg_landau,
        steps=20,
    ),
    "plane-diffusion": FieldProblem(
        {"u": {"u": 1.0, "u**3": -1.0, "lap(u)": 0.2}},
        (10.0, 10.0),
        (48, 48),
        np.linspace(0, 4, 61),
        lambda x, y: _smooth(9, 3, 0.5, x / 10, y / 10)[None],
        lambda k, q: 1 - 0.2 * (k**2 + q**2)[None],
        lambda u, g: -(u**3),
        steps=4,
    ),
}
"""Systems that methods are developed on."""


def with_noise(fields: Mapping[str, np.ndarray], noise: float, seed: int) -> dict[str, np.ndarray]:
    """Fields with Gaussian noise of this share of their root mean square in every cell."""
    generator = np.random.default_rng(seed)
    return {name: u + noise * np.sqrt(np.mean(u**2)) * generator.standard_normal(u.shape) for name, u in fields.items()}
