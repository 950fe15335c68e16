r"""How wide the windows are and where they lie: from the spectrum of the data, never wider than the data allow.

The bandwidth of a bump is that of the signal along each axis, so that what lies beyond it, noise alone, does not enter
the equations; neighbouring windows overlap until all that their bandwidth lets through is seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.discovery.fields.bumps import Points, axis_windows, radius_of
from edgewise.discovery.fields.field_data import FieldData, Recording
from edgewise.discovery.fields.field_noise import noise_size, signal_band
from edgewise.discovery.fields.weak_system import WeakSystem

WIDTH = 1.5
"""Widths of windows in units of the width whose bandwidth is that of the signal."""

MIN_SPACINGS = 8
"""The least radius in grid spacings: below, a sum over the points is no integral of a fourth derivative."""

WIDEST = 4.0
"""An axis is at least so many radii long, where it has the points for that."""

SHIFT = 0.25
"""Distance of neighbouring windows in radii, where their number allows."""

MOST_WINDOWS = 1200
"""Windows of all recordings: their covariance is a dense matrix."""


@dataclass(frozen=True)
class WindowPlan:
    """Radii of the windows along time and every axis of space, and the noise of every field."""

    radii: tuple[float, ...]
    noise: tuple[float, ...]


def window_plan(data: FieldData) -> WindowPlan:
    """The plan for these data."""
    known = len(data.names) - data.targets
    noise = [float(np.median([noise_size(r.u[f]) for r in data.recordings])) for f in range(data.targets)]
    radii = []
    for axis in range(len(data.space) + 1):
        grids = [_points(r, data, axis) for r in data.recordings]
        bands = [
            signal_band(r.u[f], points, axis, noise[f])
            for r, points in zip(data.recordings, grids, strict=True)
            for f in range(data.targets)
        ]
        radii.append(WIDTH * radius_of(max(bands)))
    return WindowPlan(tuple(radii), (*noise, *(0.0,) * known))


def weak_systems(data: FieldData, plan: WindowPlan, orders: int) -> tuple[WeakSystem, ...]:
    """The weak system of every recording, with derivatives of these orders in space."""
    most = max(MOST_WINDOWS // len(data.recordings), 16)
    return tuple(_system(r, data, plan, most, orders) for r in data.recordings)


def _system(recording: Recording, data: FieldData, plan: WindowPlan, most: int, orders: int) -> WeakSystem:
    grids = [_points(recording, data, axis) for axis in range(len(plan.radii))]
    radii = [_possible(radius, points) for radius, points in zip(plan.radii, grids, strict=True)]
    counts = _counts(grids, radii, most)
    windows = [
        axis_windows(points, radius, count, orders if n else 1)
        for n, (points, radius, count) in enumerate(zip(grids, radii, counts, strict=True))
    ]
    return WeakSystem(recording.u, plan.noise, windows[0], tuple(windows[1:]))


def _points(recording: Recording, data: FieldData, axis: int) -> Points:
    return recording.t if axis == 0 else data.space[axis - 1]


def _possible(radius: float, points: Points) -> float:
    length = float(points[-1] - points[0])
    least = min(MIN_SPACINGS * length / (len(points) - 1), length / 2)
    return max(min(radius, length / WIDEST), least)


def _counts(grids: Sequence[Points], radii: Sequence[float], most: int) -> list[int]:
    """Windows along every axis: as dense as useful, fewer along all alike where there would be too many."""
    full = [(p[-1] - p[0] - 2 * a) / (SHIFT * a) + 1 for p, a in zip(grids, radii, strict=True)]
    share = 1.0
    while (
        (counts := [max(min(2, math.ceil(n)), math.ceil(share * n)) for n in full])
        and math.prod(counts) > most
        and share > 0.01
    ):
        share *= 0.97
    return counts
