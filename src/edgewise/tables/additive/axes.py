r"""The bases of one argument: B-splines on knots, periodic B-splines, and levels.

An axis is settings alone. Its functions are $B_0, \dots, B_{K-1}$, and where `missing` is set one more, which is 1
where the cell is missing and 0 elsewhere; all others are 0 there. A row touches degree + 1 functions at most, so that
the values are sparse matrices.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse

from edgewise.bases import BSpline
from edgewise.stored import read_fields


@dataclass(frozen=True)
class Axis(ABC):
    """A basis of one argument.

    Args:
        missing: there is a level of its own for missing cells.
    """

    kind: ClassVar[str]
    missing: bool

    @property
    @abstractmethod
    def functions(self) -> int:
        """The number K of functions, without that of missing cells."""

    @property
    def size(self) -> int:
        """The number of coefficients."""
        return self.functions + self.missing

    @abstractmethod
    def matrix(self, values: np.ndarray, order: int = 0) -> sparse.csr_array:
        """The functions, or their derivatives of this order, at the arguments: (rows, size).

        A missing cell without a level of its own, or a level that training did not see, is a row of zeros.
        """

    @abstractmethod
    def span(self, points: int) -> np.ndarray:
        """Arguments that show the whole curve: so many even ones from end to end, or all levels."""

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object, read back by `axis_from_json`."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class SplineAxis(Axis):
    r"""B-splines on increasing knots, continued by straight lines: K = intervals + degree functions of sum 1.

    Args:
        missing: there is a level of its own for missing cells.
        knots: the ends of the intervals.
        degree: of the pieces.
    """

    kind: ClassVar[str] = "spline"
    knots: tuple[float, ...]
    degree: int = 3

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or not all(a < b for a, b in itertools.pairwise(self.knots)):
            raise ValueError(
                f"the knots of a spline must be two or more increasing numbers, got {list(self.knots)[:9]}"
            )
        if not all(map(math.isfinite, self.knots)):
            raise ValueError("the knots of a spline must be finite")

    @property
    def basis(self) -> BSpline:
        """The family of functions of the package."""
        return BSpline(len(self.knots) - 1, self.degree)

    @property
    def grid(self) -> torch.Tensor:
        """The knots as the grid of `basis`, (1, intervals + 1)."""
        return torch.tensor([self.knots], dtype=torch.float64)

    @property
    def functions(self) -> int:
        return len(self.knots) - 1 + self.degree

    def span(self, points: int) -> np.ndarray:
        return np.linspace(self.knots[0], self.knots[-1], points)

    @property
    def abscissae(self) -> np.ndarray:
        """With them as coefficients the curve is its argument (Greville), (K,)."""
        return self.basis.greville(self.grid)[0].numpy()

    def matrix(self, values: np.ndarray, order: int = 0) -> sparse.csr_array:
        known = ~np.isnan(values)
        x = torch.tensor(values[known], dtype=torch.float64)[:, None]
        index, local = self.basis.local_derivative(x, self.grid, order)
        columns = index[:, 0].numpy()[:, None] + np.arange(self.degree + 1)
        return _rows(columns, local[:, 0].numpy(), known, self, order)


@dataclass(frozen=True)
class CircleAxis(Axis):
    r"""Periodic cubic B-splines on even knots, K = `intervals` of them, with sum 1.

    Args:
        missing: there is a level of its own for missing cells.
        low: where the period begins.
        period: its length.
        intervals: pieces of one period, at least 4.
    """

    kind: ClassVar[str] = "circle"
    low: float
    period: float
    intervals: int

    def __post_init__(self) -> None:
        if self.intervals < 4 or not 0 < self.period < math.inf:
            raise ValueError(
                f"a cyclic curve needs 4 intervals or more and a period above 0, got {self.intervals} and {self.period}"
            )

    @property
    def functions(self) -> int:
        return self.intervals

    def span(self, points: int) -> np.ndarray:
        return np.linspace(self.low, self.low + self.period, points)

    def matrix(self, values: np.ndarray, order: int = 0) -> sparse.csr_array:
        known = ~np.isnan(values)
        basis = BSpline(self.intervals, 3, knots="uniform")
        grid = torch.linspace(0, 1, self.intervals + 1, dtype=torch.float64)[None]
        x = torch.from_numpy(np.mod((values[known] - self.low) / self.period, 1.0))[:, None]
        index, local = basis.local_derivative(x, grid, order)
        columns = (index[:, 0].numpy()[:, None] + np.arange(4)) % self.intervals
        return _rows(columns, local[:, 0].numpy() / self.period**order, known, self, order)


@dataclass(frozen=True)
class LevelAxis(Axis):
    """One function per level, 1 there and 0 elsewhere.

    Args:
        missing: there is a level of its own for missing cells.
        levels: the texts of the levels.
    """

    kind: ClassVar[str] = "levels"
    levels: tuple[str, ...]

    @property
    def functions(self) -> int:
        return len(self.levels)

    def span(self, points: int) -> np.ndarray:
        return np.array(self.levels, object)

    def codes(self, values: np.ndarray) -> np.ndarray:
        """The number of every level, -1 for one that is not here, `functions` for a missing cell."""
        place: dict[str | None, int] = {level: k for k, level in enumerate(self.levels)}
        place[None] = self.functions if self.missing else -1
        return np.fromiter((place.get(value, -1) for value in values), np.int64, len(values))

    def matrix(self, values: np.ndarray, order: int = 0) -> sparse.csr_array:
        if order > 0:
            raise ValueError("levels have no derivative; ask for that of a curve or a surface of numbers")
        codes = self.codes(values)
        known = codes >= 0
        rows = np.concatenate([[0], known.cumsum()])
        return sparse.csr_array((np.ones(known.sum()), codes[known], rows), (len(values), self.size))


AXES: dict[str, type[Axis]] = {axis.kind: axis for axis in (SplineAxis, CircleAxis, LevelAxis)}


def counted(values: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The distinct numbers in increasing order and the sum of the weights of each, by one sort without its order."""
    if weights is None or (weights == weights[:1]).all():
        ordered = np.sort(values)
        first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
        counts = np.diff(np.append(first, len(ordered)))
        return ordered[first], counts if weights is None else counts * weights[:1]
    distinct, codes = np.unique(values, return_inverse=True)
    return distinct, np.bincount(codes, weights, len(distinct))


def axis_from_json(record: Mapping[str, Any]) -> Axis:
    """The axis that `Axis.to_json` described."""
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in AXES:
        raise ValueError(f"unknown axis {kind!r}; known are {', '.join(AXES)}")
    own = {name: value for name, value in record.items() if name != "kind"}
    return read_fields(AXES[kind], own, f"an axis of kind {kind!r}")


def _rows(columns: np.ndarray, local: np.ndarray, known: np.ndarray, axis: Axis, order: int) -> sparse.csr_array:
    """The sparse matrix of local values of the known rows; missing cells have their own function where there is one."""
    width = columns.shape[1]
    own = axis.missing and order == 0
    counts = np.where(known, width, int(own))
    rows = np.concatenate([[0], counts.cumsum()])
    places = np.full(rows[-1], axis.functions, np.int64)
    data = np.ones(rows[-1])
    at = (rows[:-1][known][:, None] + np.arange(width)).ravel()
    places[at], data[at] = columns.ravel(), local.ravel()
    return sparse.csr_array((data, places, rows), (len(known), axis.size))
