r"""Measured fields without most of their noise: local polynomials along every axis, as wide as the noise allows."""

from __future__ import annotations

import numpy as np

from edgewise.discovery.fields.bumps import Points
from edgewise.discovery.fields.field_data import FieldData, Recording
from edgewise.discovery.fields.field_terms import Values

HALVES = (3, 4, 6, 8, 11, 15, 20, 28)
"""Points on either side of the middle of a neighbourhood."""

DEGREE = 4
"""Of the polynomials."""


def smooth_fields(data: FieldData, recording: Recording, noise: tuple[float, ...]) -> Values:
    """All fields smoothed along time and all axes."""
    smooth = []
    for values, sigma in zip(recording.u, noise, strict=True):
        values = _smoothed(values, recording.t, 0, sigma, False)
        for axis, (x, closed) in enumerate(zip(data.space, data.periodic, strict=True), 1):
            values = _smoothed(values, x, axis, sigma, closed)
        smooth.append(values)
    return np.stack(smooth)


def _smoothed(values: np.ndarray, x: Points, axis: int, noise: float, closed: bool) -> np.ndarray:
    """Values smoothed in neighbourhoods of the least expected error, by Mallows' C_p (Technometrics 1973)."""
    lines = np.moveaxis(values, axis, 0)
    variance = min(noise, _rough(lines)) ** 2
    best, least = lines, variance
    for half in HALVES:
        if 2 * half + 1 > len(x):
            break
        matrix = _local_polynomials(x, half, closed)
        smooth = np.tensordot(matrix, lines, (1, 0))
        expected = float(np.mean((lines - smooth) ** 2)) + variance * (2 * float(np.trace(matrix)) / len(x) - 1)
        if expected < least:
            best, least = smooth, expected
    return np.moveaxis(best, 0, axis)


def _rough(lines: np.ndarray) -> float:
    """The noise along the first axis by differences of order six."""
    return float(np.sqrt(np.mean(np.diff(lines, 6, axis=0) ** 2) / 924))


def _local_polynomials(x: Points, half: int, closed: bool) -> np.ndarray:
    """The matrix that puts a weighted polynomial through the neighbours of every point."""
    n = len(x)
    step = (x[-1] - x[0]) / (n - 1)
    matrix = np.zeros((n, n))
    for i in range(n):
        first = i - half if closed else min(max(i - half, 0), n - 2 * half - 1)
        own = np.arange(first, first + 2 * half + 1)
        s = (own - i) * step if closed else x[own] - x[i]
        s = s / abs(s).max()
        weights = np.sqrt(np.maximum(1 - abs(s) ** 3, 1e-3))
        basis = np.vander(s, DEGREE + 1, increasing=True) * weights[:, None]
        matrix[i, own % n] = np.linalg.pinv(basis)[0] * weights
    return matrix
