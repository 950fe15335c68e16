r"""Right sides $f(x, u, t; c)$ of a system as sums of terms, evaluated with all derivatives that a fit needs.

A term is an expression of the states, the controls, time and its own inner constants, such as $x y / (K + x)$. Terms of
an equation may also contain velocities of other components, as in mechanics, where the law is $M(x)\,x' = F(x)$; the
system is then solved for the velocities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.dynamics.fast_program import FastProgram


@dataclass(frozen=True)
class StateTerm:
    """A candidate term of an equation.

    Attributes:
        body: the expression.
        inner: its constants and their values, by symbol.
    """

    body: Any
    inner: Mapping[sympy.Symbol, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.body)


def velocity_symbols(states: Sequence[sympy.Symbol]) -> tuple[sympy.Symbol, ...]:
    """The symbols that stand for the derivatives of the states within terms."""
    return tuple(sympy.Symbol(f"{s.name}'", real=True) for s in states)


@dataclass(frozen=True)
class RightSide:
    """The equations of a system with constants as symbols.

    Attributes:
        equations: one expression per state.
        states, controls: their symbols.
        time: the symbol of time.
        constants: symbols of the constants, in the order of the vectors that they are given in.
        owners: the equation and the position of the term that a constant belongs to.
        sums: the equations as sums of terms, where these contain velocities; else as above.
    """

    equations: tuple[Any, ...]
    states: tuple[sympy.Symbol, ...]
    controls: tuple[sympy.Symbol, ...]
    time: sympy.Symbol
    constants: tuple[sympy.Symbol, ...]
    owners: tuple[tuple[int, int], ...]
    sums: tuple[Any, ...] = ()

    @classmethod
    def of(
        cls,
        terms: Sequence[Sequence[StateTerm]],
        states: tuple[sympy.Symbol, ...],
        controls: tuple[sympy.Symbol, ...],
        time: sympy.Symbol,
    ) -> RightSide:
        r"""The equations $x_i' = \sum_m c_{im} \\theta_{im}$ for the terms of every component."""
        constants: list[sympy.Symbol] = []
        owners: list[tuple[int, int]] = []
        sums = []
        for i, row in enumerate(terms):
            total = sympy.Integer(0)
            for m, term in enumerate(row):
                factors = [sympy.Symbol(f"c_{i}_{m}", real=True)]
                factors += [sympy.Symbol(f"k_{i}_{m}_{n}", real=True) for n in range(len(term.inner))]
                constants += factors
                owners += [(i, m)] * len(factors)
                total += factors[0] * term.body.xreplace(dict(zip(term.inner, factors[1:], strict=True)))
            sums.append(total)
        return cls(_explicit(sums, states), states, controls, time, tuple(constants), tuple(owners), tuple(sums))

    @cached_property
    def inputs(self) -> tuple[sympy.Symbol, ...]:
        """The symbols that an evaluation needs values of."""
        return (*self.states, *self.controls, self.time, *self.constants)

    @cached_property
    def _value(self) -> FastProgram:
        return FastProgram(self.equations, self.inputs)

    @cached_property
    def _slopes(self) -> tuple[FastProgram, list[tuple[int, int]]]:
        """The program of values and of all derivatives that are not zero, and the places of these."""
        entries, places = [], []
        for i, equation in enumerate(self.equations):
            for j, symbol in enumerate((*self.states, *self.constants)):
                slope = _slope(equation, symbol)
                if slope != 0:
                    entries.append(slope)
                    places.append((i, j))
        return FastProgram((*self.equations, *entries), self.inputs), places

    def __call__(self, x: np.ndarray, u: np.ndarray, t: np.ndarray, c: np.ndarray) -> np.ndarray:
        """The velocities at states (rows, d), controls (rows, k) and times (rows,)."""
        value = np.empty_like(x)
        for i, column in enumerate(self._value([*x.T, *u.T, t, *c])):
            value[:, i] = column
        return value

    def slopes(self, x: np.ndarray, u: np.ndarray, t: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The velocities (rows, d), and their derivatives by the states and constants (rows, d, d + constants)."""
        program, places = self._slopes
        columns = program([*x.T, *u.T, t, *c])
        d = len(self.states)
        value, slopes = np.empty_like(x), np.zeros((len(x), d, d + len(self.constants)))
        for i in range(d):
            value[:, i] = columns[i]
        for (i, j), column in zip(places, columns[d:], strict=True):
            slopes[:, i, j] = column
        return value, slopes

    def with_constants(self, c: Sequence[Any], *, explicit: bool = True) -> tuple[Any, ...]:
        """The equations with values of the constants: floats with 17 digits, exact numbers as they are.

        Where they contain velocities they are solved for these, or left as sums of terms if not `explicit`.
        """
        table = {
            s: v if isinstance(v, sympy.Basic) else sympy.Float(float(v), 17)
            for s, v in zip(self.constants, c, strict=True)
        }
        return tuple(e.xreplace(table) for e in (self.equations if explicit else self.sums))


def _slope(equation: Any, symbol: sympy.Symbol) -> Any:
    """The derivative; where a sign jumps, which is nearly nowhere, it counts as constant."""
    if symbol not in equation.free_symbols:
        return sympy.Integer(0)
    return sympy.diff(equation, symbol).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))


def _explicit(sums: list[Any], states: tuple[sympy.Symbol, ...]) -> tuple[Any, ...]:
    """The sums, solved for the velocities that they contain; these are linear in them."""
    velocities = velocity_symbols(states)
    if not any(s.free_symbols & set(velocities) for s in sums):
        return tuple(sums)
    equations = [v - s for v, s in zip(velocities, sums, strict=True)]
    matrix, right = sympy.linear_eq_to_matrix(equations, velocities)
    return tuple(matrix.LUsolve(right))
