"""Candidate terms of right sides: polynomials, absolute values, mechanics of angles, and curved terms with a constant.

A library is a list of terms whose factors are found by linear least squares. A family is a term with a constant inside,
such as x/(K + x), for which the constant is searched on a grid before it is refined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.dynamics.right_side import StateTerm

MAX_TERMS = 130
"""Libraries are cut to lower degrees before they have more candidates."""


def polynomials(symbols: Sequence[sympy.Symbol], degree: int) -> list[StateTerm]:
    """All products of up to `degree` symbols, the shortest first."""
    products = (sympy.Mul(*some) for k in range(degree + 1) for some in combinations_with_replacement(symbols, k))
    return [StateTerm(product) for product in products]


def highest_degree(symbols: int, wanted: int) -> int:
    """The highest degree up to the wanted one whose polynomials are few enough."""
    count = [int(sympy.binomial(symbols + k, k)) for k in range(wanted + 1)]
    return max(k for k in range(wanted + 1) if count[k] <= MAX_TERMS or k <= 1)


def absolutes(states: Sequence[sympy.Symbol]) -> list[StateTerm]:
    """Friction and kinks: |x|, x|x|, sign(x), x|y|."""
    own = [StateTerm(body) for x in states for body in (sympy.Abs(x), x * sympy.Abs(x), sympy.sign(x))]
    return own + [StateTerm(x * sympy.Abs(y)) for x in states for y in states if x != y]


def waves(states: Sequence[sympy.Symbol]) -> list[StateTerm]:
    """Sines and cosines of every state and of sums and differences of two."""
    angles = [k * x for x in states for k in (1, 2)]
    angles += [x + sign * y for x, y in combinations(states, 2) for sign in (1, -1)]
    return [StateTerm(wave(a)) for a in angles for wave in (sympy.sin, sympy.cos)]


def mechanics(
    positions: Sequence[sympy.Symbol], speeds: Sequence[sympy.Symbol], accelerations: Sequence[sympy.Symbol]
) -> list[StateTerm]:
    """What coupled pendulums and arms are made of, with the accelerations of the others as in M(x) x'' = F(x, x')."""
    single = [wave(x) for x in positions for wave in (sympy.sin, sympy.cos)]
    double = [wave(x - y) for x, y in combinations(positions, 2) for wave in (sympy.sin, sympy.cos)]
    factors = [*(v**2 for v in speeds), *(v * w for v, w in combinations(speeds, 2)), *accelerations]
    bodies = [sympy.Integer(1), *positions, *speeds, *(v * sympy.Abs(v) for v in speeds), *single, *double]
    return [StateTerm(body) for body in [*bodies, *(wave * factor for wave in double for factor in factors)]]


@dataclass(frozen=True)
class CurvedTerm:
    """A term with one constant inside and the values that are tried for it first."""

    body: Any
    constant: sympy.Symbol
    grid: tuple[float, ...]

    def at(self, value: float) -> StateTerm:
        """The term with a value of the constant."""
        return StateTerm(self.body, {self.constant: float(value)})


K = sympy.Symbol("K", real=True)


def families(states: Sequence[sympy.Symbol], x: np.ndarray) -> Iterator[CurvedTerm]:
    """Saturation, inhibition, decay and waves of every state, alone and as the factor of another one."""
    for j, z in enumerate(states):
        size = float(np.abs(x[:, j]).max())
        middle = float(np.median(np.abs(x[:, j]))) or size
        constants = tuple(np.geomspace(middle / 20, 10 * size, 9))
        rates = tuple(np.geomspace(0.1 / size, 20 / size, 9))
        factors = (sympy.Integer(1), *states)
        for other in factors:
            if x[:, j].min() >= 0:
                yield CurvedTerm(other / (K + z), K, constants)
                if other not in (1, z):
                    yield CurvedTerm(other * z / (K + z), K, constants)
            squares = tuple(c**2 for c in constants)
            yield CurvedTerm(other / (K + z**2), K, squares)
            if other != 1:
                yield CurvedTerm(other * z / (K + z**2), K, squares)
            signed = rates if x[:, j].min() >= 0 else (*(-r for r in rates[::2]), *rates[::2])
            yield CurvedTerm(other * sympy.exp(-K * z), K, signed)
        for wave in (sympy.sin, sympy.cos):
            yield CurvedTerm(wave(K * z), K, rates)
        yield CurvedTerm(sympy.tanh(K * z), K, rates)


def forcing(time: sympy.Symbol, frequency: float, phase: float) -> StateTerm:
    """A periodic force cos(w t + phase)."""
    w, p = sympy.symbols("w p", real=True)
    return StateTerm(sympy.cos(w * time + p), {w: frequency, p: phase})
