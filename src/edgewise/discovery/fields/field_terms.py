r"""Candidate terms of the right side of a law: derivatives of products of powers, $D\,(u^a v^b \cdots)$.

A term is conservative, so that in a weak form all of its derivatives move to the bump. From values with Gaussian noise
of known size, powers are estimated without bias by Hermite polynomials: $E[(u+e)^2 - \sigma^2] = u^2$ and
$E[(u+e)^3 - 3\sigma^2 (u+e)] = u^3$.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
from jaxtyping import Float

AXES = ("x", "y", "z")
Values = Float[np.ndarray, "fields *cells"]
Series = Float[np.ndarray, "fields times *cells"]

MAX_POWER = 3
MAX_ORDER = 4


@dataclass(frozen=True)
class FieldTerm:
    """One candidate term.

    Attributes:
        powers: of every field; all zero is the constant 1.
        operator: sum of weighted derivatives: pairs of a weight and the order in every axis.
    """

    powers: tuple[int, ...]
    operator: tuple[tuple[float, tuple[int, ...]], ...]

    @property
    def order(self) -> int:
        """Order of the derivatives."""
        return sum(self.operator[0][1])

    @property
    def degree(self) -> int:
        """Degree in the fields."""
        return sum(self.powers)

    def suffix(self, axes: Sequence[str] = AXES) -> str:
        """Name of the operator: empty, x, xx, xy, lap, or bilap."""
        if len(self.operator) == 1:
            return "".join(axis * n for axis, n in zip(axes, self.operator[0][1], strict=False))
        return {2: "lap", 4: "bilap"}[self.order]

    def text(self, names: Sequence[str], axes: Sequence[str] = AXES) -> str:
        """The term as one reads it: u, u**2, u_x, (u**2)_xx, lap(u)."""
        inner, suffix = monomial_text(self.powers, names), self.suffix(axes)
        if not suffix:
            return inner
        if suffix.endswith("lap"):
            return f"{suffix}({inner})"
        return f"{inner}_{suffix}" if self.degree == 1 else f"({inner})_{suffix}"


def monomial_text(powers: Sequence[int], names: Sequence[str]) -> str:
    """A product of powers, such as u**2*v."""
    return "*".join(n if p == 1 else f"{n}**{p}" for n, p in zip(names, powers, strict=True) if p) or "1"


def monomials(fields: int, degree: int) -> Iterator[tuple[int, ...]]:
    """All powers of total degree 1 to `degree`, low degrees first."""
    every = [p for p in product(range(degree + 1), repeat=fields) if 1 <= sum(p) <= degree]
    yield from sorted(every, key=lambda p: (sum(p), tuple(-n for n in p)))


def candidate_terms(
    fields: int, axes: int, *, degree: int = MAX_POWER, order: int = MAX_ORDER, isotropic: bool = False
) -> tuple[FieldTerm, ...]:
    """The library: reactions, and derivatives of every monomial; of order 3 and more of single fields only.

    With `isotropic` only operators that no rotation changes: reactions, Laplacians and Laplacians of Laplacians.
    """
    zero = (0,) * axes
    reactions = [FieldTerm((0,) * fields, ((1.0, zero),))]
    reactions += [FieldTerm(p, ((1.0, zero),)) for p in monomials(fields, degree)]
    operators = _isotropic(axes, order) if isotropic else _directed(axes, order)
    moved = [
        FieldTerm(p, operator)
        for operator in operators
        for p in monomials(fields, degree)
        if fields == 1 or sum(operator[0][1]) <= 2 or sum(p) == 1
    ]
    return tuple(reactions + moved)


def _directed(axes: int, order: int) -> list[tuple[tuple[float, tuple[int, ...]], ...]]:
    highest = order if axes == 1 else min(order, 2)
    orders = [q for q in product(range(highest + 1), repeat=axes) if 1 <= sum(q) <= highest]
    single = [((1.0, q),) for q in sorted(orders, key=lambda q: (sum(q), tuple(-n for n in q)))]
    return single + ([] if axes == 1 else [o for o in _isotropic(axes, order) if sum(o[0][1]) == 4])


def _isotropic(axes: int, order: int) -> list[tuple[tuple[float, tuple[int, ...]], ...]]:
    if axes == 1:
        return [((1.0, (q,)),) for q in range(2, order + 1, 2)]
    unit = np.eye(axes, dtype=int)
    laplacian = tuple((1.0, tuple(map(int, 2 * e))) for e in unit)
    square = [(1.0, 4 * e) for e in unit]
    square += [(2.0, 2 * (unit[i] + unit[j])) for i in range(axes) for j in range(i)]
    bilaplacian = tuple((w, tuple(map(int, q))) for w, q in square)
    return [o for o, n in ((laplacian, 2), (bilaplacian, 4)) if n <= order]


def unbiased_power(u: np.ndarray, variance: float, power: int) -> np.ndarray:
    """An estimate of the power of what was measured as u with Gaussian noise, without bias."""
    if power <= 0:
        return np.ones_like(u) if power == 0 else np.zeros_like(u)
    below, here = np.ones_like(u), u
    for n in range(1, power):
        below, here = here, u * here - n * variance * below
    return here


def term_values(term: FieldTerm, u: Values, variances: Sequence[float]) -> np.ndarray:
    """The product of powers inside a term, in every cell."""
    return _product([unbiased_power(x, s, p) for x, s, p in zip(u, variances, term.powers, strict=True)])


def term_slope(term: FieldTerm, field: int, u: Values, variances: Sequence[float]) -> np.ndarray | None:
    """The derivative of the product inside a term by one field, in every cell; None where it is zero."""
    if term.powers[field] == 0:
        return None
    powers = [p - (n == field) for n, p in enumerate(term.powers)]
    return term.powers[field] * _product(
        [unbiased_power(x, s, p) for x, s, p in zip(u, variances, powers, strict=True)]
    )


def _product(factors: Sequence[np.ndarray]) -> np.ndarray:
    return reduce(np.multiply, factors)
