r"""Solves laws forward in time: $u_t = \sum_j w_j D_j f_j(u)$ with finite differences in space.

Stencils of nine points (order six or eight) on any grid. A periodic axis wraps around; at the ends of another one the
outermost points follow given values, as many as a stencil is wide. Explicit steps (Dormand and Prince, order 8) where
the stiffness allows them, else backward differences with the exact sparse Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from scipy import sparse
from scipy.integrate import solve_ivp

from edgewise.discovery.fields.bumps import Points
from edgewise.discovery.fields.field_terms import FieldTerm, Series, Values, term_slope, term_values

HALF = 4
"""Points on either side of the middle of a stencil."""

RTOL = 1e-6
BLOW_UP = 1e3
"""A solution that exceeds its initial size by this factor is stopped."""

STIFF = 2e4
"""Explicit steps up to this product of the largest rate and the time span."""

MAX_GROWTH = 60.0
"""Waves that grow by exp of more than this within the time span make the problem ill-posed."""


@dataclass(frozen=True)
class Grid:
    """Points in space with what happens at their ends."""

    space: tuple[Points, ...]
    periodic: tuple[bool, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of points along every axis."""
        return tuple(map(len, self.space))

    def operator(self, term: FieldTerm) -> Any:
        """The sparse matrix of the derivatives of a term, from all cells to all cells."""
        parts = [
            weight * reduce(sparse.kron, map(difference, self.space, q, self.periodic)) for weight, q in term.operator
        ]
        return sparse.csr_matrix(reduce(lambda a, b: a + b, parts))

    def given(self) -> np.ndarray:
        """Which cells lie at ends that do not wrap around, and so follow given values."""
        marks = np.zeros(self.shape, dtype=bool)
        for axis, closed in enumerate(self.periodic):
            if not closed:
                ends = np.moveaxis(marks, axis, 0)
                ends[:HALF] = ends[-HALF:] = True
        return marks


def difference(x: Points, order: int, periodic: bool) -> Any:
    """The matrix of a derivative along one axis; one-sided near ends that do not wrap around."""
    n = len(x)
    if order == 0:
        return sparse.identity(n, format="csr")
    step = (x[-1] - x[0]) / (n - 1)
    rows, columns, values = [], [], []
    for i in range(n):
        first = i - HALF if periodic else min(max(i - HALF, 0), n - 2 * HALF - 1)
        own = np.arange(first, first + 2 * HALF + 1)
        offsets = (own - i) * step if periodic else x[own] - x[i]
        rows += [i] * len(own)
        columns += list(own % n)
        values += list(stencil(offsets, order))
    return sparse.csr_matrix((values, (rows, columns)), shape=(n, n))


def stencil(offsets: Points, order: int) -> Points:
    """Weights of values at these offsets whose sum is the derivative at zero, exact for polynomials."""
    size = abs(offsets).max()
    powers = np.vander(offsets / size, increasing=True).T
    right = np.zeros(len(offsets))
    right[order] = float(np.prod(np.arange(1, order + 1))) / size**order
    return np.linalg.solve(powers, right)


@dataclass(frozen=True)
class LawOnGrid:
    """A law as a system of ordinary differential equations of all cells."""

    grid: Grid
    terms: tuple[tuple[FieldTerm, ...], ...]
    w: tuple[tuple[float, ...], ...]
    inputs: int = 0

    def growth(self, u: Values) -> float:
        """The largest growth rate of any wave that the grid carries, about states of the fields."""
        fields = len(self.terms)
        cells = u.reshape(len(u), -1)
        states = cells[:, np.linspace(0, cells.shape[1] - 1, 30).astype(int)]
        waves = [np.pi * np.linspace(0, 1, 33) * (len(x) - 1) / (x[-1] - x[0]) for x in self.grid.space]
        worst = 0.0
        for axis, k in enumerate(waves):
            rates = np.zeros((states.shape[1], len(k), fields, fields), dtype=complex)
            for i, (terms, w) in enumerate(zip(self.terms, self.w, strict=True)):
                for term, value in zip(terms, w, strict=True):
                    own = [(c, q[axis]) for c, q in term.operator if sum(q) == q[axis]]
                    symbol = sum(c * (1j * k) ** n for c, n in own) + 0 * k
                    for j in range(fields):
                        slope = term_slope(term, j, states, (0.0,) * len(u))
                        if slope is not None:
                            rates[:, :, i, j] += value * slope[:, None] * symbol
            worst = max(worst, float(np.linalg.eigvals(rates).real.max()))
        return worst

    def solve(
        self,
        start: Values,
        t: Points,
        outside: Callable[[float], Values] | None = None,
        tick: Callable[[str], None] = lambda stage: None,
    ) -> tuple[Series, int]:
        """The fields at times t from their values at the first, and the number of times that were reached.

        Args:
            start: fields and inputs at the first time.
            t: times.
            outside: fields and inputs in all cells at a time; needed where an axis is not periodic or inputs are known.
            tick: called now and then; what it raises stops the solution.
        """
        right = _Right(self, start, outside, tick)
        limit = BLOW_UP * max(float(abs(start).max()), 1e-300)

        def too_large(_: float, y: np.ndarray) -> float:
            return limit - float(abs(y).max())

        too_large.terminal = True  # type: ignore[attr-defined]
        free = right.free_values(start)
        scale = max(float(abs(start[: len(self.terms)]).max()), 1e-300)
        options: dict[str, Any] = {"rtol": RTOL, "atol": RTOL * scale * 1e-2, "t_eval": t, "events": too_large}
        if right.rate(float(t[0]), free) * (t[-1] - t[0]) > STIFF:
            options |= {"method": "BDF", "jac": right.jacobian}
        else:
            options |= {"method": "DOP853"}
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is tried again, shorter
            end = solve_ivp(right, (float(t[0]), float(t[-1])), free, **options)
        states = [right.whole(time, y)[: len(self.terms)] for time, y in zip(end.t, end.y.T, strict=True)]
        return np.stack(states, 1), len(states)


class _Right:
    """Right side and Jacobian in the cells that are free."""

    def __init__(self, law: LawOnGrid, start: Values, outside: Any, tick: Callable[[str], None]) -> None:
        self.law, self.start, self.outside, self.tick = law, start, outside, tick
        self.free = ~law.grid.given().reshape(-1)
        if outside is None and (not self.free.all() or len(start) > len(law.terms)):
            raise ValueError(
                "an axis is not periodic or the law has inputs: give `boundary`, the fields in all cells at all times, "
                "of which only the ends of the axis are read"
            )
        self.none = (0.0,) * len(start)
        operators: dict[Any, Any] = {}
        for term in {t for row in law.terms for t in row}:
            if term.operator not in operators:
                operators[term.operator] = law.grid.operator(term)[self.free]
        self.operators = operators

    def free_values(self, u: Values) -> np.ndarray:
        return u[: len(self.law.terms)].reshape(len(self.law.terms), -1)[:, self.free].reshape(-1)

    def whole(self, time: float, y: np.ndarray) -> Values:
        u = self.start.copy() if self.outside is None else np.array(self.outside(time))
        flat = u.reshape(len(u), -1)
        flat[: len(self.law.terms), self.free] = y.reshape(len(self.law.terms), -1)
        return flat.reshape(self.start.shape)

    def __call__(self, time: float, y: np.ndarray) -> np.ndarray:
        self.tick("solving the law forward")
        u = self.whole(time, y)
        flat = u.reshape(len(u), -1)
        rows = []
        for terms, w in zip(self.law.terms, self.law.w, strict=True):
            sums: dict[Any, np.ndarray] = {}
            for term, value in zip(terms, w, strict=True):
                part = value * term_values(term, flat, self.none)
                sums[term.operator] = sums[term.operator] + part if term.operator in sums else part
            rows.append(sum((self.operators[o] @ part for o, part in sums.items()), np.zeros(int(self.free.sum()))))
        return np.concatenate(rows)

    def jacobian(self, time: float, y: np.ndarray) -> Any:
        flat = self.whole(time, y).reshape(len(self.start), -1)
        blocks: list[list[Any]] = []
        size = int(self.free.sum())
        for terms, w in zip(self.law.terms, self.law.w, strict=True):
            row = [sparse.csr_matrix((size, size)) for _ in self.law.terms]
            for term, value in zip(terms, w, strict=True):
                for j in range(len(self.law.terms)):
                    slope = term_slope(term, j, flat, self.none)
                    if slope is not None:
                        scaled = self.operators[term.operator] @ sparse.diags(value * slope)
                        row[j] = row[j] + scaled[:, self.free]
            blocks.append(row)
        return sparse.csc_matrix(sparse.bmat(blocks))

    def rate(self, time: float, y: np.ndarray) -> float:
        """A bound of the fastest rate: the largest sum of sizes in a row of the Jacobian."""
        return float(abs(self.jacobian(time, y)).sum(1).max())


def boundary_values(t: Points, u: Values) -> Callable[[float], Values]:
    """Values in all cells at any time, linear between the times of recorded ones (fields, n_t, *cells)."""

    def outside(time: float) -> Values:
        n = int(np.clip(np.searchsorted(t, time) - 1, 0, len(t) - 2))
        share = float(np.clip((time - t[n]) / (t[n + 1] - t[n]), 0.0, 1.0))
        return (1 - share) * u[:, n] + share * u[:, n + 1]

    return outside
