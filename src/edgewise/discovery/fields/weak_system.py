r"""The weak form of $u_t = \sum_j w_j D_j f_j(u)$: one linear equation for every window of space and time.

With a bump $\psi$ that is a product of bumps along the axes, partial integration gives
$\langle -\psi_t, u\rangle = \sum_j w_j \langle D_j^* \psi, f_j(u)\rangle$. All integrals are products of small
matrices, one for each axis. Noise e in the cells enters the residual as $L_w e$ with
$L_w = \langle -\psi_t, \cdot\rangle - \sum_j w_j \langle D_j^*\psi, f_j'(u)\,\cdot\rangle$, whose covariance is a sum
of Kronecker products where the slopes $f_j'(u)$ are replaced by their mean products over the cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float

from edgewise.discovery.fields.bumps import AxisWindows
from edgewise.discovery.fields.field_terms import FieldTerm, Values, term_slope, term_values

Columns = Float[np.ndarray, "windows terms"]


@dataclass(frozen=True)
class WeakSystem:
    """Integrals of one recording against bumps.

    Attributes:
        u: measured fields, (fields, n_t, *n_space).
        noise: standard deviation of the noise of every field.
        time: windows along time.
        space: windows along every axis of space.
    """

    u: Values
    noise: tuple[float, ...]
    time: AxisWindows
    space: tuple[AxisWindows, ...]

    @property
    def size(self) -> int:
        """Number of windows."""
        return len(self.time) * int(np.prod([len(axis) for axis in self.space]))

    @property
    def variances(self) -> tuple[float, ...]:
        """Of the noise of every field."""
        return tuple(s**2 for s in self.noise)

    def target(self, values: np.ndarray) -> np.ndarray:
        """The integral of the derivative in time of values in every cell, (windows,)."""
        return self._integral(values, 1, (0,) * len(self.space))

    def integral(self, term: FieldTerm, values: np.ndarray) -> np.ndarray:
        """The integral of the operator of a term applied to values in every cell, (windows,)."""
        return reduce(np.add, (weight * self._integral(values, 0, q) for weight, q in term.operator))

    def columns(self, terms: Sequence[FieldTerm]) -> Columns:
        """The integrals of all terms."""
        inner = _memory(lambda term: term_values(term, self.u, self.variances))
        return np.stack([self.integral(term, inner(term)) for term in terms], 1)

    def noise_columns(self, terms: Sequence[FieldTerm], e: Values) -> Columns:
        """By how much noise e in the cells changes the integrals of all terms, in first order."""
        inner = _memory(lambda term: self._moved(term, e))
        return np.stack([self.integral(term, inner(term)) for term in terms], 1)

    def _moved(self, term: FieldTerm, e: Values) -> np.ndarray:
        slopes = (term_slope(term, g, self.u, self.variances) for g in range(len(self.u)))
        parts = [slope * noise for slope, noise in zip(slopes, e, strict=True) if slope is not None]
        return reduce(np.add, parts, np.zeros(self.u.shape[1:]))

    def residual_covariance(
        self, target: int, terms: Sequence[FieldTerm], w: Sequence[float] | np.ndarray, *, apart: bool = False
    ) -> Float[np.ndarray, "windows windows"]:
        """The covariance of the residual of a law for one field; `apart` as if each term had noise of its own."""
        zero = (0,) * len(self.space)
        pairs: dict[tuple[tuple[int, ...], tuple[int, ...]], float] = defaultdict(float)
        for g, variance in enumerate(self.variances):
            parts = [((1, *zero), 1.0, 0, np.ones(()))] if g == target else []
            for n, (term, value) in enumerate(zip(terms, w, strict=True), 1):
                slope = term_slope(term, g, self.u, self.variances)
                if slope is not None:
                    parts += [((0, *q), -value * weight, n, slope) for weight, q in term.operator]
            for i, (p, a, n, f) in enumerate(parts):
                for q, b, m, h in parts[: i + 1]:
                    if not apart or n == m:
                        share = variance * a * b * float(np.mean(f * h))
                        pairs[p, q] += share / (1 + (p == q and n == m and f is h))
                        pairs[q, p] += share / (1 + (p == q and n == m and f is h))
        return reduce(np.add, (c * self._correlation(p, q) for (p, q), c in pairs.items()))

    def _correlation(self, p: tuple[int, ...], q: tuple[int, ...]) -> np.ndarray:
        axes = (self.time, *self.space)
        products = [w.integrals[a] @ w.integrals[b].T for w, a, b in zip(axes, p, q, strict=True)]
        return reduce(np.kron, products)

    def _integral(self, values: np.ndarray, order: int, orders: tuple[int, ...]) -> np.ndarray:
        axes = (self.time, *self.space)
        for window, q in zip(axes, (order, *orders), strict=True):
            values = np.tensordot(values, window.integrals[q], (0, 1))  # the axis done goes last
        return values.reshape(-1)


def _memory(compute):
    """The values inside terms, computed once for all operators."""
    known: dict[tuple[int, ...], np.ndarray] = {}

    def values(term: FieldTerm) -> np.ndarray:
        if term.powers not in known:
            known[term.powers] = compute(term)
        return known[term.powers]

    return values
