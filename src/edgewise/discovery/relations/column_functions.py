r"""Functions of one column, and products of two and three columns, whose sums a relation is searched in.

A column with many values has cubic splines on quantiles of a smooth monotone coordinate of it (its logarithm over
decades, an inverse hyperbolic sine where its tails are heavy), a column of few values polynomials, and a column of
texts the indicators of its levels. All are orthonormal on the rows that they were made for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.interpolate import BSpline

Array = np.ndarray

ORDERS = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1))
"""The degrees of the polynomials that are multiplied for a pair of columns."""

HIGHEST = 3
"""The highest degree of these polynomials."""

FEW_VALUES = 12
"""A column with so few different values has polynomials."""

STRAIGHT = 0.01
"""The roughness of a straight line: hardly penalised."""

RARE = 0.02
"""Levels with a smaller share of the rows are one level together."""

DECADES = 100.0
"""A positive column with a larger ratio of its ends is seen in its logarithm."""


@dataclass(frozen=True, eq=False)
class ColumnFunctions:
    """What one column is seen through: `width` curves for sums, factors of degrees up to `powers` for products."""

    curves: Callable[[Array], Array]
    factors: Callable[[Array], Array]
    width: int
    powers: int


def nearly_constant(values: Float[Array, " rows"], levels: int) -> bool:
    """Whether all but a few rare cells of a column are equal: what is left of it says nothing."""
    if levels:
        return bool(np.bincount(values.astype(int)).max() > (1 - RARE) * len(values))
    few = len(np.unique(values)) <= FEW_VALUES
    low, high = np.quantile(values, [RARE / 2, 1 - RARE / 2]) if few else (values.min(), values.max())
    return bool(low == high)


def functions_of(values: Float[Array, " rows"], levels: int, size: int) -> ColumnFunctions:
    """The functions of a column.

    Args:
        values: of the rows that they are made for.
        levels: the number of its levels; 0 for a column of numbers.
        size: the largest number of curves.
    """
    if levels:
        kept = [c for c in range(levels) if (values == c).mean() >= RARE][:-1] or [0]
        indicators = _orthonormal(lambda v: (v[:, None] == np.array(kept)).astype(float), values)
        return _measured(indicators, lambda v: indicators(v)[:, :HIGHEST], values)
    coordinate = _coordinate(values)
    different = len(np.unique(values))
    if different <= FEW_VALUES:
        ends = np.quantile(values, [RARE / 2, 1 - RARE / 2])
        coordinate = _within(coordinate, *ends)
        different = len(np.unique(np.clip(values, *ends)))
    degree = min(max(different - 1, 1), HIGHEST)
    powers = _orthonormal(lambda v: coordinate(v)[:, None] ** np.arange(1, degree + 1), values)
    if different <= FEW_VALUES:
        most = min(max(different - 1, 1), 5)
        few = _orthonormal(lambda v: coordinate(v)[:, None] ** np.arange(1, most + 1), values)
        return _measured(few, powers, values)
    u = coordinate(values)
    inner = np.unique(np.quantile(u, np.linspace(0, 1, max(size - 2, 2))[1:-1]))
    low, high = u.min(), u.max()
    inner = inner[(inner > low) & (inner < high)]
    knots = np.concatenate([[low] * 4, inner, [high] * 4])

    def curves(v: Array) -> Array:
        return BSpline.design_matrix(np.clip(coordinate(v), low, high), knots, 3).toarray()

    return _measured(_orthonormal(curves, values, by_smoothness=True), powers, values)


def _measured(curves: Callable[[Array], Array], factors: Callable[[Array], Array], values: Array) -> ColumnFunctions:
    return ColumnFunctions(curves, factors, curves(values[:2]).shape[1], factors(values[:2]).shape[1])


def _coordinate(values: Array) -> Callable[[Array], Array]:
    """A smooth increasing function of the values, about [-2, 2] on them."""
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    bend: Callable[[Array], Array] = np.asarray
    if values.min() > 0 and values.max() > DECADES * values.min():
        bend = _within(np.log, values.min() / 10, np.inf)
    elif np.ptp(values) > 8 * (high - low) > 0:
        bend = partial(_bent, middle, high - low)
    bent = bend(values)
    centre, scale = (bent.max() + bent.min()) / 2, np.ptp(bent) / 4
    return lambda v: np.clip((bend(v) - centre) / scale, -2.5, 2.5)


def _within(function: Callable[[Array], Array], low: float, high: float) -> Callable[[Array], Array]:
    """The function of values that are moved into an interval."""
    return lambda v: function(np.clip(v, low, high))


def _bent(middle: float, width: float, v: Array) -> Array:
    """A straight line near the middle and a logarithm far from it."""
    return np.arcsinh(2 * (v - middle) / width)


def _orthonormal(
    functions: Callable[[Array], Array], values: Array, *, by_smoothness: bool = False
) -> Callable[[Array], Array]:
    """The same space of functions, orthonormal and of mean 0 on the values; what is constant there is left out.

    Splines can be turned so that the smoothest come first (Demmler and Reinsch, 1975).
    """
    raw = functions(values)
    mean = raw.mean(0)
    _, scale, turn = np.linalg.svd((raw - mean) / np.sqrt(len(raw)), full_matrices=False)
    keep = scale > 1e-7 * scale[0]
    mix = turn[keep].T / scale[keep]
    if by_smoothness:
        bends = np.diff(mix, n=2, axis=0)
        mix = mix @ np.linalg.eigh(bends.T @ bends)[1]
    else:
        kept = np.linalg.qr(raw - mean)[1]
        mix = np.linalg.inv(kept) * np.sqrt(len(raw))
    return lambda v: (functions(v) - mean) @ mix


@dataclass(frozen=True, eq=False)
class Features:
    """Curves of every column and products of factors of two and three columns, as columns of one matrix.

    Attributes:
        columns: the functions of every column.
        blocks: for the columns of a product, or the one column of curves, its place in the matrix.
        mean, scale: of the products on the rows that they were made for.
    """

    columns: tuple[ColumnFunctions, ...]
    blocks: dict[tuple[int, ...], slice]
    mean: Array
    scale: Array

    @cached_property
    def width(self) -> int:
        """The number of features."""
        return len(self.mean)

    def __call__(self, values: Float[Array, "rows columns"]) -> Float[Array, "rows features"]:
        """All features of some rows."""
        return (_raw(self.columns, self.blocks, values) - self.mean) / self.scale

    @cached_property
    def roughness(self) -> Float[Array, " features"]:
        """How fast each feature varies: the fourth power of its degree, as of a smoothing spline; 1 at degree 2."""
        degrees = [
            np.arange(1.0, block.stop - block.start + 1) if len(key) == 1 else np.array(_degrees(key, self.columns))
            for key, block in self.blocks.items()
        ]
        return np.concatenate([np.where(d > 1, (d / 2) ** 4, STRAIGHT) for d in degrees])

    def places(self, columns: frozenset[int], order: int) -> Array:
        """Where the features of these columns are: curves alone (order 1), with products of 2, or of 3 columns."""
        chosen = [b for key, b in self.blocks.items() if len(key) <= order and columns.issuperset(key)]
        return np.concatenate([np.arange(b.start, b.stop) for b in chosen])

    def factors_in(self, key: tuple[int, ...], column: int, values: Array) -> list[tuple[int, Array]]:
        """For every product of some columns: the place of the factor of one of them, and the product of the others."""
        factors = {j: self.columns[j].factors(values[:, j]) for j in key}
        others = [j for j in key if j != column]
        if len(key) == 3:
            return [(0, factors[others[0]][:, 0] * factors[others[1]][:, 0])]
        pairs = [(p, q) for p, q in ORDERS if p <= factors[key[0]].shape[1] and q <= factors[key[1]].shape[1]]
        mine = 0 if key[0] == column else 1
        return [(pair[mine] - 1, factors[others[0]][:, pair[1 - mine] - 1]) for pair in pairs]


def make_features(values: Float[Array, "rows columns"], levels: list[int], size: int, order: int) -> Features:
    """The features of a table: curves, and products of at most `order` columns."""
    columns = tuple(functions_of(v, n, size) for v, n in zip(values.T, levels, strict=True))
    blocks, start = {}, 0
    for degree in range(1, order + 1):
        for key in combinations(range(len(columns)), degree):
            width = columns[key[0]].width if degree == 1 else len(_degrees(key, columns))
            blocks[key] = slice(start, start + width)
            start += width
    raw = _raw(columns, blocks, values)
    scale = raw.std(0)
    return Features(columns, blocks, raw.mean(0), np.where(scale > 1e-9, scale, 1.0))


def _degrees(key: tuple[int, ...], columns: tuple[ColumnFunctions, ...]) -> list[int]:
    """The degrees of the products of these columns."""
    if len(key) == 3:
        return [3]
    return [p + q for p, q in ORDERS if p <= columns[key[0]].powers and q <= columns[key[1]].powers]


def _raw(columns: tuple[ColumnFunctions, ...], blocks: dict[tuple[int, ...], slice], values: Array) -> Array:
    factors = [c.factors(v) for c, v in zip(columns, values.T, strict=True)]
    out = np.empty((len(values), max(b.stop for b in blocks.values())))
    for key, block in blocks.items():
        if len(key) == 1:
            out[:, block] = columns[key[0]].curves(values[:, key[0]])
        elif len(key) == 2:
            a, b = (factors[j] for j in key)
            pairs = [(p, q) for p, q in ORDERS if p <= a.shape[1] and q <= b.shape[1]]
            out[:, block] = np.stack([a[:, p - 1] * b[:, q - 1] for p, q in pairs], 1)
        else:
            out[:, block] = np.prod([factors[j][:, :1] for j in key], axis=0)
    return out
