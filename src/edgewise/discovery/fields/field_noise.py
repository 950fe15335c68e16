r"""What the grid tells of a measured field: the size of its noise, and the band of frequencies with a signal.

Differences of high order along all axes remove every smooth part, so that the median of their sizes is that of noise.
Power spectra show up to which frequency a signal stands out of that noise, which decides how wide bumps must be
(as Messenger and Bortz, J. Comput. Phys. 2021, choose theirs from the spectrum).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from edgewise.discovery.fields.bumps import Points

ORDER = 6
"""Order of the differences along one axis; half of it along both where there are two."""

MEDIAN = 0.6744897501960817
"""Median size of a standard normal value."""

PASSED = 0.999
"""Share of the power of the signal that lies in its band."""


def noise_size(u: Float[np.ndarray, "*grid"]) -> float:
    """Standard deviation of the noise of one field, assumed equal and independent in all cells."""
    return min(_differenced(u, orders) for orders in _orders(u.shape))


def _orders(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Differences along each axis, and along time and each axis in space."""
    unit = np.eye(len(shape), dtype=int)
    single = [tuple(map(int, ORDER * e)) for e in unit]
    mixed = [tuple(map(int, (ORDER - 2) * (unit[0] + e))) for e in unit[1:]]
    return [o for o in single + mixed if all(n > 2 * q for n, q in zip(shape, o, strict=True))]


def _differenced(u: np.ndarray, orders: tuple[int, ...]) -> float:
    size = 1.0
    for axis, order in enumerate(orders):
        u = np.diff(u, order, axis=axis)
        size *= math.sqrt(math.comb(2 * order, order))
    return float(np.median(abs(u))) / MEDIAN / size


def signal_band(u: Float[np.ndarray, "*grid"], points: Points, axis: int, noise: float) -> float:
    """The angular frequency along an axis below which nearly all of the power above the noise lies."""
    n = u.shape[axis]
    window = np.hanning(n + 2)[1:-1]
    lines = np.moveaxis(u, axis, 0).reshape(n, -1)
    lines = (lines - lines.mean(0)) * window[:, None]
    power = (abs(np.fft.rfft(lines, axis=0)) ** 2).mean(1)[1:]
    level = noise**2 * float(np.sum(window**2))
    signal = np.cumsum(np.where(power > 2 * level, power - level, 0.0))
    place = int(np.searchsorted(signal, PASSED * signal[-1])) + 1
    return 2 * math.pi * place / (points[-1] - points[0])
