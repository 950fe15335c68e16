r"""The terms of an additive model as pieces of polynomials, which every language can compute.

A piece of an axis has a condition and a local variable d, and there every function of the axis is a polynomial in d:
$B_k(x) = \sum_m P_{mk} d^m$. A curve is $\sum_m (P c)_m d^m$ on each piece; a surface is
$\sum_{mn} (P^{(1)} c\, P^{(2)T})_{mn} d^m e^n$ on each pair of pieces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgewise.tables.additive import Axis, CircleAxis, LevelAxis, SplineAxis


@dataclass(frozen=True, eq=False)
class Piece:
    """Where an axis has one polynomial.

    Args:
        kind: "below", "inside", "above" of numbers, "level" or "missing".
        at: the argument where d is 0, or the level.
        start: where a piece "inside" begins.
        end: where it ends.
        last: the end belongs to the piece.
        powers: P, (degree + 1, functions of the axis).
    """

    kind: str
    at: float | str
    start: float
    end: float
    last: bool
    powers: np.ndarray


def pieces_of(axis: Axis) -> list[Piece]:
    """The pieces of an axis; where none holds, the axis is 0. Of a circle the argument is a share of the period."""
    found = []
    if isinstance(axis, LevelAxis):
        units = np.eye(axis.size)
        found = [Piece("level", name, 0.0, 0.0, False, units[k : k + 1]) for k, name in enumerate(axis.levels)]
    elif isinstance(axis, CircleAxis):
        unit = CircleAxis(axis.missing, 0.0, 1.0, axis.intervals)
        knots = np.linspace(0.0, 1.0, axis.intervals + 1)
        found = _inside(unit, knots, 3)
    elif isinstance(axis, SplineAxis):
        knots = np.array(axis.knots)
        ends = [_taylor(axis, knots[[k]], 1)[0] for k in (0, -1)]
        found = [
            Piece("below", float(knots[0]), 0.0, 0.0, False, ends[0]),
            *_inside(axis, knots, axis.degree),
            Piece("above", float(knots[-1]), 0.0, 0.0, False, ends[1]),
        ]
    if axis.missing:
        found.append(Piece("missing", "", 0.0, 0.0, False, np.eye(axis.size)[-1:]))
    return found


def _inside(axis: Axis, knots: np.ndarray, degree: int) -> list[Piece]:
    """A piece per interval, with d = 0 in its middle, so that rounding of a knot cannot choose its neighbour."""
    middles, last = (knots[:-1] + knots[1:]) / 2, len(knots) - 2
    ends = zip(middles.tolist(), knots[:-1].tolist(), knots[1:].tolist(), _taylor(axis, middles, degree), strict=True)
    return [Piece("inside", at, start, end, k == last, p) for k, (at, start, end, p) in enumerate(ends)]


def _taylor(axis: Axis, points: np.ndarray, degree: int) -> np.ndarray:
    """The coefficients of the polynomials around points, (points, degree + 1, functions)."""
    orders = [axis.matrix(points, order).toarray() / math.factorial(order) for order in range(degree + 1)]
    return np.stack(orders, axis=1)
