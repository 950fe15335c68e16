r"""Implicit laws that are polynomials, $\sum_k c_k \prod_j x_j^{a_{kj}} = 0$, from the null space of the monomials.

A circle, $a^2 + b^2 = c^2$, $PV = RnT$ or $ab = f(a + b)$ need no column that is a function of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import sympy
from jaxtyping import Float

Array = np.ndarray

DEGREES = {2: 4, 3: 3, 4: 3, 5: 2, 6: 2}
"""The highest total degree that is tried for so many columns."""

NULL = 1e-6
"""The relative smallest singular value where the monomials have a null space, with the rounding of the cells."""

GAP = 100.0
"""The next singular value must be so many times larger: several laws of a degree are no law."""

MOST_TERMS = 8
"""A longer polynomial is a table of the data."""

MOST_UNNAMED = 2
"""A polynomial with more coefficients that are no simple numbers may be a series of another function."""

ROWS = 2000
LARGEST = 10**12
"""The largest numerator; a larger number is written as a decimal."""

SIMPLE = 20
"""The largest denominator of a rational coefficient."""


def polynomial_law(values: Float[Array, "rows columns"], symbols: Sequence[sympy.Symbol]) -> Any:
    """The polynomial of least degree in all columns that vanishes in every row, or None."""
    for degree in range(1, DEGREES.get(len(symbols), 0) + 1):
        powers = [p for p in product(range(degree + 1), repeat=len(symbols)) if sum(p) <= degree]
        law = _law_of(values[:ROWS], powers)
        if law is not None:
            used, coefficients = law
            whole = len(used) <= MOST_TERMS and all(any(p[j] for p in used) for j in range(len(symbols)))
            return _expression(used, coefficients, symbols) if whole else None
    return None


def _law_of(values: Array, powers: list[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], Array] | None:
    """The monomials with a coefficient, and the coefficients of the monomials without scale."""
    if len(values) < 2 * len(powers):
        return None
    vector, small, gap, scale = _null(values, powers)
    if small > NULL or gap < GAP:
        return None
    used = [p for p, c in zip(powers, vector, strict=True) if abs(c) > max(1e-5, 30 * small)]
    vector, small, _, scale = _null(values, used)
    return (used, vector / scale) if small < NULL else None


def _null(values: Array, powers: list[tuple[int, ...]]) -> tuple[Array, float, float, Array]:
    """The last singular vector of the monomials of size 1, its singular value, the next one over it, and the sizes."""
    size = np.sqrt(np.mean(values**2, 0))
    columns = np.stack([np.prod((values / size) ** np.array(p), axis=1) for p in powers], 1)
    scale = np.sqrt(np.mean(columns**2, 0))
    _, singular, turn = np.linalg.svd(columns / scale, full_matrices=False)
    own = scale * np.array([np.prod(size ** np.array(p)) for p in powers])
    before = singular[-2] if len(singular) > 1 else singular[0]
    return turn[-1], float(singular[-1] / singular[0]), float(before / max(singular[-1], 1e-300)), own


def _expression(powers: list[tuple[int, ...]], coefficients: Array, symbols: Sequence[sympy.Symbol]) -> Any:
    """The polynomial, scaled so that as many coefficients as possible are simple, the highest power first positive."""
    options = [[_simple(c / divisor) for c in coefficients] for divisor in coefficients]
    best = min(options, key=lambda o: (_unnamed(o), sum(_size(c) for c in o)))
    if _unnamed(best) > MOST_UNNAMED:
        return None
    terms = [
        c * sympy.prod([s**p for s, p in zip(symbols, ps, strict=True)]) for c, ps in zip(best, powers, strict=True)
    ]
    common = math.lcm(*(int(c.q) for c in best if c.is_Rational))
    sign = -1 if best[-1] < 0 else 1
    return sign * (common if all(c.is_Rational for c in best) else 1) * sympy.Add(*terms)


def _simple(value: float) -> Any:
    """The rational number that a coefficient is up to rounding, or the coefficient."""
    near = Fraction(value).limit_denominator(SIMPLE)
    if near and abs(value - near) < 1e-6 * abs(value) and abs(near.numerator) < LARGEST:
        return sympy.Rational(near.numerator, near.denominator)
    return sympy.Float(value)


def _unnamed(coefficients: list[Any]) -> int:
    return sum(isinstance(c, sympy.Float) for c in coefficients)


def _size(value: Any) -> float:
    """Small for small integers; a decimal number is read more easily above 1."""
    return float(bool(abs(value) < 1)) if isinstance(value, sympy.Float) else abs(value.p) + value.q
