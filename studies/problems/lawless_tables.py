"""Tables without a law in the functions of the library: noise, hidden inputs, other functions, chaos, rough curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

Sample = tuple[np.ndarray, np.ndarray]
"""Inputs of shape (rows, inputs) and the target."""

ROWS = 500


def gaussian_noise(g: np.random.Generator) -> Sample:
    """A target that has nothing to do with the inputs."""
    return g.uniform(0, 3, (ROWS, 3)), g.standard_normal(ROWS)


def heavy_noise(g: np.random.Generator) -> Sample:
    """The same with Student's t of two degrees of freedom."""
    return g.uniform(1, 3, (ROWS, 2)), g.standard_t(2, ROWS)


def positive_noise(g: np.random.Generator) -> Sample:
    """The same, log-normal, with inputs over decades."""
    return 10 ** g.uniform(-1, 2, (ROWS, 2)), np.exp(g.standard_normal(ROWS))


def counts(g: np.random.Generator) -> Sample:
    """Counts of a constant rate."""
    return g.uniform(0, 1, (ROWS, 3)), g.poisson(4, ROWS).astype(float)


def smooth_noise(g: np.random.Generator) -> Sample:
    """A stationary random curve that is smooth, without noise."""
    x = np.sort(g.uniform(0, 20, ROWS))
    distance = (x[:, None] - x) ** 2
    return x[:, None], np.linalg.cholesky(np.exp(-distance) + 1e-8 * np.eye(ROWS)) @ g.standard_normal(ROWS)


def random_walk(g: np.random.Generator) -> Sample:
    """Sums of independent steps over their number."""
    return np.arange(float(ROWS))[:, None], g.standard_normal(ROWS).cumsum()


def airy(g: np.random.Generator) -> Sample:
    """The Airy function on both sides of zero."""
    x = g.uniform(-12, 2, ROWS)
    return x[:, None], special.airy(x)[0]


def gamma(g: np.random.Generator) -> Sample:
    """The gamma function over another input."""
    x = g.uniform(0.3, 4, (ROWS, 2))
    return x, special.gamma(x[:, 0]) / x[:, 1]


def zeta(g: np.random.Generator) -> Sample:
    """Riemann's zeta function near its pole."""
    x = g.uniform(1.05, 6, ROWS)
    return x[:, None], special.zeta(x)


def lambert(g: np.random.Generator) -> Sample:
    """The inverse of w e^w, times another input."""
    x = g.uniform(0, 8, (ROWS, 2))
    return x, x[:, 1] * special.lambertw(x[:, 0]).real


def legendre(g: np.random.Generator) -> Sample:
    """A Legendre function of a degree that is no whole number."""
    x = g.uniform(-0.95, 0.95, ROWS)
    return x[:, None], special.lpmv(0, 4.37, x)


def fresnel(g: np.random.Generator) -> Sample:
    """Fresnel's sine integral with 1 % noise."""
    x = g.uniform(0, 6, ROWS)
    return x[:, None], special.fresnel(x)[0] + 0.002 * g.standard_normal(ROWS)


def chaos(g: np.random.Generator) -> Sample:
    """The logistic map after 20 steps."""
    x = g.uniform(0, 1, ROWS)
    y = x
    for _ in range(20):
        y = 3.97 * y * (1 - y)
    return x[:, None], y


def short_chaos(g: np.random.Generator) -> Sample:
    """The third iterate of a map of two inputs that is no polynomial."""
    x = g.uniform(0, 1, (ROWS, 2))
    u, v = x.T
    for _ in range(3):
        u, v = np.sin(3 * u + v), np.cos(2 * v * u)
    return x, u


def hidden_factor(g: np.random.Generator) -> Sample:
    """A law times an input that is not in the table and varies by a factor of two."""
    x = g.uniform(1, 3, (ROWS, 2))
    return x, x[:, 0] * np.sin(3 * x[:, 1]) * g.uniform(1, 2, ROWS) + special.jv(0.3, 4 * x[:, 0] * x[:, 1])


def hidden_groups(g: np.random.Generator) -> Sample:
    """Each row follows one of three curves, and no column says which."""
    x = g.uniform(0, 5, ROWS)
    curves = np.stack([special.jv(0, 2 * x), special.erfcx(x) + np.sin(x), np.cos(x**1.3)])
    return x[:, None], curves[g.integers(0, 3, ROWS), np.arange(ROWS)]


def weierstrass(g: np.random.Generator) -> Sample:
    """A curve that has no slope anywhere."""
    x = g.uniform(0, 2, ROWS)
    return x[:, None], sum(0.6**k * np.cos(3**k * np.pi * x) for k in range(12))


def saw(g: np.random.Generator) -> Sample:
    """A saw of increasing frequency."""
    x = g.uniform(0, 3, ROWS)
    return x[:, None], np.mod(x**2.3 + 0.4, 1.0)


def hashed(g: np.random.Generator) -> Sample:
    """A hash of two whole numbers."""
    x = g.integers(0, 60, (ROWS, 2))
    return x.astype(float), ((x[:, 0] * 2654435761 ^ x[:, 1] * 40503) % 9973).astype(float)


def many_bumps(g: np.random.Generator) -> Sample:
    """Twelve bumps of random places, widths and heights in a plane."""
    x, places = g.uniform(0, 1, (ROWS, 2)), g.uniform(0, 1, (12, 2))
    squares = ((x[:, None] - places) ** 2).sum(-1) / g.uniform(0.05, 0.3, 12) ** 2
    return x, np.exp(-squares) @ g.standard_normal(12)


LAWLESS: dict[str, Callable[[np.random.Generator], Sample]] = {
    sample.__name__.replace("_", "-"): sample
    for sample in (
        gaussian_noise,
        heavy_noise,
        positive_noise,
        counts,
        smooth_noise,
        random_walk,
        airy,
        gamma,
        zeta,
        lambert,
        legendre,
        fresnel,
        chaos,
        short_chaos,
        hidden_factor,
        hidden_groups,
        weierstrass,
        saw,
        hashed,
        many_bumps,
    )
}
"""Every table by its name."""
