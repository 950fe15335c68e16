"""Define the algebras of jets: which products of infinitesimals are not zero (see `edgewise.jets.jet`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

Index = tuple[int, ...]


@dataclass(frozen=True)
class Algebra:
    r"""A commutative algebra with $e_0 = 1$ and, for $a, b \ge 1$, $e_a e_b = e_c$ or 0.

    Attributes:
        degrees: the least power of the nilpotent part in which every $e_a$ appears, in increasing order.
        products: the triples (a, b, c), $a, b \ge 1$, of the products that are not zero.
        seeds: the position of $\varepsilon_s$ for every variable s.
        readout: (position, factor) of every derivative that a jet carries; the Laplacian has the index ().
    """

    degrees: tuple[int, ...]
    products: tuple[tuple[int, int, int], ...]
    seeds: tuple[int, ...]
    readout: dict[Index, tuple[int, int]] = field(hash=False, compare=False)

    @property
    def size(self) -> int:
        return len(self.degrees)

    @property
    def order(self) -> int:
        """The highest power N of the nilpotent part that is not zero."""
        return self.degrees[-1]

    def first(self, degree: int) -> int:
        """The first position whose element has at least this degree."""
        return next((a for a, d in enumerate(self.degrees) if d >= degree), self.size)

    def factors(self, c: int) -> list[tuple[int, int]]:
        """The pairs (a, b) with $e_a e_b = e_c$."""
        return [(a, b) for a, b, product in self.products if product == c]


def taylor(indices: Iterable[Sequence[int]]) -> Algebra:
    """Polynomials truncated to the monomials that divide one of these multi-indices, which have one length."""
    return _taylor(frozenset(tuple(a) for a in indices))


@cache
def laplace(d: int, axes: tuple[int, ...] | None = None) -> Algebra:
    r"""Value, gradient and Laplacian in d variables: $\varepsilon_i \varepsilon_j = \delta_{ij}\,\omega$.

    With `axes` the Laplacian is the sum over these variables alone, as in the heat equation.
    """
    readout = {unit(d, j): (j + 1, 1) for j in range(d)} | {(0,) * d: (0, 1), (): (d + 1, 2)}
    squares = tuple((j + 1, j + 1, d + 1) for j in (range(d) if axes is None else axes))
    return Algebra((0, *(1,) * d, 2), squares, tuple(range(1, d + 1)), readout)


@cache
def _taylor(indices: frozenset[Index]) -> Algebra:
    variables = {len(a) for a in indices}
    if len(variables) != 1 or any(n < 0 for a in indices for n in a):
        raise ValueError(f"multi-indices are tuples of one length with entries of at least 0, got {sorted(indices)}")
    (d,) = variables
    units = [unit(d, j) for j in range(d)]
    divisors = {a for top in indices for a in itertools.product(*(range(n + 1) for n in top))}
    monomials = sorted(divisors | set(units), key=lambda a: (sum(a), tuple(-n for n in a)))
    position = {a: n for n, a in enumerate(monomials)}
    products = tuple(
        (position[a], position[b], position[plus(a, b)])
        for a in monomials[1:]
        for b in monomials[1:]
        if plus(a, b) in position
    )
    readout = {a: (n, math.prod(map(math.factorial, a))) for a, n in position.items()}
    return Algebra(tuple(map(sum, monomials)), products, tuple(position[e] for e in units), readout)


def unit(d: int, j: int, n: int = 1) -> Index:
    """The multi-index of the n-th derivative along j."""
    return tuple(n if k == j else 0 for k in range(d))


def plus(a: Index, b: Index) -> Index:
    """The multi-index of both derivatives."""
    return tuple(m + n for m, n in zip(a, b, strict=True))
