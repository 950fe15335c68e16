"""The functions of the KAN paper (arXiv 2404.19756): five toys, fifteen special functions, 27 Feynman equations.

The paper states neither the sampling ranges nor the sizes of its samples for the last two groups. The ranges here are
ours: natural ones that keep away from poles, written beside each function. `paper` is the smallest RMSE that the paper
prints for a row, in any column, and `paper_shape` the shape of its best pruned KAN; they were reached on other ranges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import special
from torch import Tensor

PI = math.pi


@dataclass(frozen=True)
class TargetFunction:
    """A function of several variables, sampled evenly from a box.

    Attributes:
        group: "toy", "special" or "feynman".
        ranges: (low, high) of every variable; one pair is for all.
        function: columns of numpy -> values.
        shape: the paper's shape where it names one, else that of its best pruned KAN; the number of inputs first.
        paper: the smallest RMSE of the paper's row; None where it prints none.
    """

    name: str
    group: str
    text: str
    ranges: tuple[tuple[float, float], ...]
    function: Callable[..., np.ndarray]
    shape: tuple[int, ...]
    paper: float | None = None

    @property
    def variables(self) -> int:
        """The number of inputs."""
        return self.shape[0]

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs (count, variables) and values (count,), in float64."""
        ranges = self.ranges * self.variables if len(self.ranges) == 1 else self.ranges
        low, high = torch.tensor(ranges, dtype=torch.float64).T
        x = low + (high - low) * torch.rand(count, self.variables, generator=generator, dtype=torch.float64)
        return x, torch.from_numpy(np.asarray(self.function(*x.T.numpy()), dtype=np.float64))


def _harmonic(m: int, n: int) -> Callable[..., np.ndarray]:
    """The real part of the spherical harmonic of order m and degree n at (azimuth, polar angle)."""
    scale = math.sqrt((2 * n + 1) / (4 * PI) * math.factorial(n - m) / math.factorial(n + m))
    return lambda azimuth, polar: scale * special.lpmv(m, n, np.cos(polar)) * np.cos(m * azimuth)


def _legendre(m: int) -> Callable[..., np.ndarray]:
    return lambda v, x: special.lpmv(m, v, x)


def _sinc2(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return a * np.sinc((b - c) / (2 * PI)) ** 2


def _toys() -> list[TargetFunction]:
    box = ((-1.0, 1.0),)

    def composed(a, b, c, d):
        return np.exp((np.sin(PI * (a**2 + b**2)) + np.sin(PI * (c**2 + d**2))) / 2)

    return [
        TargetFunction("bessel", "toy", "J0(20 x)", box, lambda x: special.j0(20 * x), (1, 1)),
        TargetFunction(
            "exp-sin", "toy", "exp(sin(pi x) + y^2)", box, lambda x, y: np.exp(np.sin(PI * x) + y**2), (2, 1, 1)
        ),
        TargetFunction("product", "toy", "x y", box, lambda x, y: x * y, (2, 2, 1)),
        TargetFunction(
            "100-d",
            "toy",
            "exp(mean of sin^2(pi x_i / 2), i = 1..100)",
            box,
            lambda *x: np.exp(np.mean(np.sin(PI * np.stack(x) / 2) ** 2, axis=0)),
            (100, 1, 1),
        ),
        TargetFunction(
            "composed",
            "toy",
            "exp((sin(pi (a^2 + b^2)) + sin(pi (c^2 + d^2))) / 2)",
            box,
            composed,
            (4, 4, 2, 1),
        ),
    ]


def _specials() -> list[TargetFunction]:
    sphere = ((0.0, 2 * PI), (0.0, PI))
    inner = ((0.0, 5.0), (-0.95, 0.95))
    rows = [
        ("ellipj", ((0.0, 4.0), (0.0, 1.0)), lambda u, m: special.ellipj(u, m)[0], (2, 3, 2, 1, 1), 1.33e-4),
        ("ellipkinc", ((0.0, PI / 2), (0.0, 0.95)), special.ellipkinc, (2, 2, 1, 1, 1), 1.24e-4),
        ("ellipeinc", ((0.0, PI / 2), (0.0, 1.0)), special.ellipeinc, (2, 2, 1, 1), 8.26e-5),
        ("jv", ((0.0, 5.0), (0.5, 10.0)), special.jv, (2, 3, 1, 1, 1), 1.64e-3),
        ("yv", ((0.0, 3.0), (1.0, 10.0)), special.yv, (2, 2, 2, 1), 1.49e-5),
        ("kv", ((0.0, 3.0), (1.0, 5.0)), special.kv, (2, 2, 1), 2.52e-5),
        ("iv", ((0.0, 3.0), (0.5, 5.0)), special.iv, (2, 4, 3, 2, 1, 1), 9.28e-3),
        ("lpmv0", inner, _legendre(0), (2, 2, 1), 5.25e-5),
        ("lpmv1", inner, _legendre(1), (2, 4, 1), 6.90e-4),
        ("lpmv2", inner, _legendre(2), (2, 3, 2, 1), 2.26e-4),
        ("sph01", sphere, _harmonic(0, 1), (2, 1, 1), 2.21e-7),
        ("sph11", sphere, _harmonic(1, 1), (2, 3, 2, 1), 1.22e-4),
        ("sph02", sphere, _harmonic(0, 2), (2, 1, 1), 1.95e-7),
        ("sph12", sphere, _harmonic(1, 2), (2, 2, 1, 1), 1.50e-5),
        ("sph22", sphere, _harmonic(2, 2), (2, 2, 3, 2, 1), 9.45e-5),
    ]
    return [TargetFunction(name, "special", name, ranges, f, shape, paper) for name, ranges, f, shape, paper in rows]


def _feynman() -> list[TargetFunction]:
    turn, unit, few, some = (0.0, 2 * PI), (0.0, 1.0), (1.0, 3.0), (1.0, 5.0)
    near, far = (1.0, 2.0), (3.0, 4.0)

    def gauss(d, s):
        return np.exp(-(d**2) / (2 * s**2)) / np.sqrt(2 * PI * s**2)

    rows = [
        ("I.6.2", "gauss(th, s)", (few, few), gauss, (2, 2, 1, 1), 2.86e-5),
        ("I.6.2b", "gauss(th - th1, s)", (few, few, few), lambda t, u, s: gauss(t - u, s), (3, 2, 2, 1, 1), 4.45e-4),
        (
            "I.9.18",
            "a / ((b - 1)^2 + (c - d)^2 + (e - f)^2)",
            (near, (2.0, 4.0), near, far, near, far),
            lambda a, b, c, d, e, f: a / ((b - 1) ** 2 + (c - d) ** 2 + (e - f) ** 2),
            (6, 4, 1, 1),
            1.48e-3,
        ),
        ("I.12.11", "1 + a sin th", (unit, turn), lambda a, t: 1 + a * np.sin(t), (2, 2, 1), 6.71e-4),
        ("I.13.12", "a (1/b - 1)", (some, some), lambda a, b: a * (1 / b - 1), (2, 2, 1), 1.42e-3),
        (
            "I.15.3x",
            "(1 - a) / sqrt(1 - b^2)",
            (unit, (0.0, 0.9)),
            lambda a, b: (1 - a) / np.sqrt(1 - b**2),
            (2, 2, 1, 1, 1),
            8.54e-4,
        ),
        ("I.16.6", "(a + b) / (1 + a b)", (unit,), lambda a, b: (a + b) / (1 + a * b), (2, 2, 1), 6.20e-4),
        ("I.18.4", "(1 + a b) / (1 + a)", ((0.0, 5.0),), lambda a, b: (1 + a * b) / (1 + a), (2, 2, 1), 1.50e-4),
        (
            "I.26.2",
            "arcsin(n sin th)",
            ((0.0, 0.99), (0.0, PI / 2)),
            lambda n, t: np.arcsin(n * np.sin(t)),
            (2, 2, 2, 1, 1),
            7.90e-4,
        ),
        ("I.27.6", "1 / (1 + a b)", ((0.0, 5.0),), lambda a, b: 1 / (1 + a * b), (2, 1, 1), 1.94e-4),
        (
            "I.29.16",
            "sqrt(1 + a^2 - 2 a cos(th1 - th2))",
            ((0.0, 0.9), turn, turn),
            lambda a, t, u: np.sqrt(1 + a**2 - 2 * a * np.cos(t - u)),
            (3, 2, 3, 1),
            3.20e-3,
        ),
        (
            "I.30.3",
            "sin^2(n th / 2) / sin^2(th / 2)",
            (some, some),
            lambda n, t: np.sin(n * t / 2) ** 2 / np.sin(t / 2) ** 2,
            (2, 3, 2, 3, 1, 1),
            1.03e-3,
        ),
        ("I.30.5", "arcsin(a / n)", (unit, (1.1, 5.0)), lambda a, n: np.arcsin(a / n), (2, 1, 1), 3.49e-5),
        (
            "I.37.4",
            "1 + a + 2 sqrt(a) cos d",
            ((0.2, 5.0), turn),
            lambda a, d: 1 + a + 2 * np.sqrt(a) * np.cos(d),
            (2, 2, 1),
            4.91e-6,
        ),
        ("I.40.1", "n0 exp(-a)", (some, (0.0, 5.0)), lambda n, a: n * np.exp(-a), (2, 2, 1), 3.12e-4),
        ("I.44.4", "n ln a", (some, some), lambda n, a: n * np.log(a), (2, 2, 1), 2.30e-5),
        (
            "I.50.26",
            "cos a + alpha cos^2 a",
            (turn, unit),
            lambda a, b: np.cos(a) + b * np.cos(a) ** 2,
            (2, 3, 2, 1),
            1.52e-4,
        ),
        ("II.2.42", "(a - 1) b", (some, some), lambda a, b: (a - 1) * b, (2, 2, 2, 1), 1.81e-4),
        (
            "II.6.15a",
            "c sqrt(a^2 + b^2) / (4 pi)",
            (few,),
            lambda a, b, c: c * np.sqrt(a**2 + b**2) / (4 * PI),
            (3, 2, 1, 1),
            5.92e-4,
        ),
        (
            "II.11.7",
            "n0 (1 + a cos th)",
            (few, unit, turn),
            lambda n, a, t: n * (1 + a * np.cos(t)),
            (3, 3, 1, 1),
            5.92e-4,
        ),
        ("II.11.27", "n a / (1 - n a / 3)", (unit,), lambda n, a: n * a / (1 - n * a / 3), (2, 2, 1), 1.43e-5),
        (
            "II.35.18",
            "n0 / (exp(a) + exp(-a))",
            (few, (0.0, 3.0)),
            lambda n, a: n / (np.exp(a) + np.exp(-a)),
            (2, 1, 1, 1),
            7.71e-5,
        ),
        ("II.36.38", "a + alpha b", (few,), lambda a, b, c: a + b * c, (3, 2, 1), 1.15e-3),
        ("II.38.3", "a / b", (some, some), lambda a, b: a / b, (2, 2, 1, 1, 1), 8.78e-5),
        ("III.9.52", "a sinc^2((b - c) / 2)", (few, some, some), _sinc2, (3, 3, 2, 1, 1, 1), 9.07e-4),
        ("III.10.19", "sqrt(1 + a^2 + b^2)", (few,), lambda a, b: np.sqrt(1 + a**2 + b**2), (2, 1, 2, 1), 1.67e-4),
        (
            "III.17.37",
            "beta (1 + alpha cos th)",
            (some, unit, turn),
            lambda b, a, t: b * (1 + a * np.cos(t)),
            (3, 3, 1),
            4.12e-4,
        ),
    ]
    return [TargetFunction(name, "feynman", text, r, f, shape, paper) for name, text, r, f, shape, paper in rows]


FUNCTIONS: dict[str, TargetFunction] = {f.name: f for f in (*_toys(), *_specials(), *_feynman())}
