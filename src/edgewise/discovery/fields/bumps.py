r"""Integrals along one axis against smooth bumps and their derivatives: $(-1)^q \int \varphi^{(q)}(x)\, g(x)\,dx$.

The bump $\varphi(s) = (1 - s^2)^p$ with $s = (x - c)/a$ and its first $p - 1$ derivatives vanish at $c \pm a$, so that
the integral equals $\int \varphi\, g^{(q)} dx$: the measured values are never differentiated. On evenly spaced points
the sum over them is the integral up to the Fourier coefficients of the bump beyond the sampling rate; elsewhere the
weights are those of the cubic spline through the values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.interpolate import make_interp_spline

Points = Float[np.ndarray, " points"]
Matrix = Float[np.ndarray, "windows points"]

POWER = 12
"""p of every bump: smooth enough for four derivatives and a sum that is an integral to ten digits."""

UNEVEN = 1e-6
"""Spacings that differ by less than this share count as even."""


@dataclass(frozen=True)
class AxisWindows:
    """Bumps along one axis.

    Attributes:
        centres: of the bumps.
        radius: half of the width of every bump.
        integrals: matrix of each order of derivative, from values at the points to integrals.
    """

    centres: Float[np.ndarray, " windows"]
    radius: float
    integrals: tuple[Matrix, ...]

    def __len__(self) -> int:
        return len(self.centres)


def axis_windows(points: Points, radius: float, count: int, orders: int) -> AxisWindows:
    """Evenly placed bumps of this radius that lie between the first and the last point, with `orders` derivatives."""
    low, high = points[0] + radius, points[-1] - radius
    centres = np.linspace(low, high, count) if count > 1 else np.array([(points[0] + points[-1]) / 2])
    weights = quadrature_weights(points)
    s = (points - centres[:, None]) / radius
    inside = np.where(abs(s) < 1, weights, 0.0) / (radius * _area())
    integrals = tuple(
        (-1.0) ** q * inside * np.polynomial.polynomial.polyval(s, _derivative(q)) / radius**q
        for q in range(orders + 1)
    )
    return AxisWindows(centres, radius, integrals)


def quadrature_weights(points: Points) -> Points:
    """Weights of an integral over the points: the spacing where it is even, else those of the cubic spline."""
    if is_even(points):
        return np.full(len(points), (points[-1] - points[0]) / (len(points) - 1))
    cardinal = make_interp_spline(points, np.eye(len(points)), k=min(3, len(points) - 1))
    return np.asarray(cardinal.integrate(points[0], points[-1]))


def is_even(points: Points) -> bool:
    """Whether the points are evenly spaced."""
    gaps = np.diff(points)
    return bool(np.ptp(gaps) <= UNEVEN * gaps.mean() + 1e-12 * abs(points).max())


def bandwidth(radius: float) -> float:
    r"""Standard deviation in frequency of the Fourier transform of a bump, $\sqrt{2p + 3}/a$ in radians."""
    return math.sqrt(2 * POWER + 3) / radius


def radius_of(band: float) -> float:
    """The radius of a bump with this bandwidth."""
    return math.sqrt(2 * POWER + 3) / band


@lru_cache(maxsize=16)
def _derivative(q: int) -> np.ndarray:
    bump = np.polynomial.polynomial.polypow([1.0, 0.0, -1.0], POWER)
    return np.polynomial.polynomial.polyder(bump, q)


@lru_cache(maxsize=1)
def _area() -> float:
    r"""$\int_{-1}^1 (1 - s^2)^p ds$."""
    return math.sqrt(math.pi) * math.gamma(POWER + 1) / math.gamma(POWER + 1.5)
