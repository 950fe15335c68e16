"""Proposes the terms of every equation by sparse regression of smoothed velocities, or of the next values of a map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.dynamics.fast_program import FastProgram
from edgewise.discovery.dynamics.right_side import StateTerm, velocity_symbols
from edgewise.discovery.dynamics.smooth_path import SmoothPath
from edgewise.discovery.dynamics.term_library import CurvedTerm, families, forcing
from edgewise.discovery.dynamics.trajectories import Trajectories
from edgewise.discovery.sparse_terms import TermChoice, best_terms, sparse_terms

MOST_TERMS = 12
"""The most terms of an equation that are proposed."""

SIZES = (2, 5)
"""Terms with a constant inside are compared in sets of so many terms: in large ones a wrong family imitates any."""

ENOUGH = 1.1
"""Residuals of so many errors of the velocities leave nothing to explain."""


@dataclass(frozen=True)
class StateRows:
    """Rows for regression: states, controls, times, and the targets with their weights.

    Attributes:
        symbols: of the columns of `inputs`: states, controls, time and velocities.
        inputs: (rows, symbols).
        targets: velocities or next values (rows, d).
        weights: of every row in every equation (rows, d).
        independent: how many rows count as independent, per equation.
        unit: the error that a residual of weight one may have, per equation; zero where it is not known.
        tick: called before every search for sets of terms; what it raises ends the regression.
    """

    symbols: tuple[sympy.Symbol, ...]
    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    independent: np.ndarray
    unit: np.ndarray
    tick: Callable[[], None]
    _columns: dict[Any, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of_flow(cls, data: Trajectories, smoothed: Sequence[SmoothPath], tick: Callable[[], None]) -> StateRows:
        """Smoothed states and velocities, weighted by the errors of these."""
        velocity = np.concatenate([s.velocity for s in smoothed])
        doubt = np.concatenate([s.doubt for s in smoothed])
        doubt = np.maximum(doubt, np.median(doubt, 0)) + 1e-300
        x = np.concatenate([s.x for s in smoothed])
        columns = [x, _controls(data), _times(data)[:, None], velocity]
        symbols = (*data.states, *data.controls, data.time, *velocity_symbols(data.states))
        freedom = np.sum([s.freedom for s in smoothed], 0)
        least = doubt.min(0)
        return cls(symbols, np.concatenate(columns, 1), velocity, least / doubt, freedom, least, tick)

    @classmethod
    def of_map(cls, data: Trajectories, tick: Callable[[], None]) -> StateRows:
        """Every value with the next one."""
        inputs = np.concatenate([np.column_stack([p.x[:-1], p.u[:-1], p.t[:-1]]) for p in data.paths])
        targets = np.concatenate([p.x[1:] for p in data.paths])
        symbols = (*data.states, *data.controls, data.time)
        d = targets.shape[1]
        return cls(symbols, inputs, targets, np.ones_like(targets), np.full(d, float(len(targets))), np.zeros(d), tick)

    def values(self, terms: Sequence[StateTerm]) -> np.ndarray:
        """The value of every term in every row (rows, terms)."""
        new = [term for term in terms if term.inner or term.body not in self._columns]
        bodies = [term.body.xreplace({s: sympy.Float(v, 17) for s, v in term.inner.items()}) for term in new]
        with np.errstate(all="ignore"):
            columns = FastProgram(bodies, self.symbols)(list(self.inputs.T)) if new else []
        full = [np.broadcast_to(column, len(self.inputs)) for column in columns]
        self._columns.update((term.body, column) for term, column in zip(new, full, strict=True) if not term.inner)
        curved = iter([column for term, column in zip(new, full, strict=True) if term.inner])
        return np.column_stack([next(curved) if term.inner else self._columns[term.body] for term in terms])

    def choices(
        self, i: int, terms: Sequence[StateTerm], always: Sequence[int] = (), most: int = MOST_TERMS
    ) -> tuple[TermChoice, ...]:
        """The best sets of terms for equation i, by size; terms that are not finite somewhere are left out."""
        self.tick()
        values = self.values(terms)
        usable = np.flatnonzero(np.isfinite(values).all(0))
        if not set(always) <= set(usable.tolist()):
            return ()
        w = self.weights[:, i]
        found = sparse_terms(
            values[:, usable] * w[:, None],
            self.targets[:, i] * w,
            most=most,
            independent_rows=float(self.independent[i]),
            always=[int(np.flatnonzero(usable == a)[0]) for a in always],
        )
        return tuple(
            TermChoice(tuple(int(usable[m]) for m in c.terms), c.coef, c.errors, c.residual, c.evidence) for c in found
        )


def _controls(data: Trajectories) -> np.ndarray:
    return np.concatenate([p.u for p in data.paths])


def _times(data: Trajectories) -> np.ndarray:
    return np.concatenate([p.t for p in data.paths])


@dataclass(frozen=True)
class Proposal:
    """Terms of one equation with start values of their factors.

    Attributes:
        terms: the terms.
        factors: their factors.
        evidence: of the regression.
    """

    terms: tuple[StateTerm, ...]
    factors: tuple[float, ...]
    evidence: float


def proposal(
    rows: StateRows,
    i: int,
    terms: Sequence[StateTerm],
    always: Sequence[int] = (),
    extra: int = 0,
    slack: float = 1.0,
    most: int = MOST_TERMS,
) -> Proposal | None:
    """The set of most evidence for equation i, or a smaller one that leaves no more than the errors of the velocities.

    `extra` terms more are taken from the path of sets, which fits to the trajectories drop again. With `slack` the set
    may leave so many times more than the best one: errors of smoothing are correlated, and invite needless terms.
    """
    choices = rows.choices(i, terms, always, most)
    if not choices:
        return None
    best = best_terms(choices)
    enough = max(ENOUGH * rows.unit[i], slack * best.residual)
    size = min([len(best.terms), *(len(c.terms) for c in choices if c.residual <= enough and c.terms)]) + extra
    chosen = max((c for c in choices if len(c.terms) <= size), key=lambda c: len(c.terms))
    return Proposal(tuple(terms[m] for m in chosen.terms), chosen.coef, best.evidence)


def curved_proposals(
    rows: StateRows, i: int, base: Sequence[StateTerm], states: Sequence[sympy.Symbol], keep: int = 3
) -> list[Proposal]:
    """The best proposals for equation i with one term that has a constant inside, by evidence."""
    chosen: list[tuple[int, CurvedTerm, float]] = []
    starts = [_starts(rows, i, base, family) for family in families(states, rows.inputs[:, : len(states)])]
    for n, most in enumerate(SIZES):
        best = sorted((own[n] for own in starts if math.isfinite(own[n][0])), key=lambda start: -start[0])
        chosen += [(most, family, k) for _, family, k in best[:keep]]
    found = []
    for most, family, k in chosen:
        k = _refined(rows, i, base, family, k, most)
        terms = [*base, family.at(k)]
        made = proposal(rows, i, terms, always=[len(base)], most=MOST_TERMS if most > SIZES[0] else most)
        if made is not None:
            found.append(
                Proposal(made.terms, made.factors, made.evidence - math.log(max(rows.independent[i], 2.0)) / 2)
            )
    found.sort(key=lambda p: -p.evidence)
    few = [p for p in found[keep:] if len(p.terms) <= SIZES[0]]
    return [*found[:keep], *few[:2]]


def _starts(
    rows: StateRows, i: int, base: Sequence[StateTerm], family: CurvedTerm
) -> list[tuple[float, CurvedTerm, float]]:
    """For every size of `SIZES` the most evidence of a family on its grid, and the constant there."""
    trials = [(k, _evidences(rows, i, base, family.at(k))) for k in family.grid]
    best = [max(trials, key=lambda trial: trial[1][n]) for n in range(len(SIZES))]
    return [(values[n], family, k) for n, (k, values) in enumerate(best)]


def _evidences(rows: StateRows, i: int, base: Sequence[StateTerm], term: StateTerm) -> list[float]:
    """The most evidence of sets with a term, for every size of `SIZES`."""
    choices = rows.choices(i, [*base, term], always=[len(base)], most=SIZES[-1])
    return [max((c.evidence for c in choices if len(c.terms) <= most), default=-math.inf) for most in SIZES]


def _refined(rows: StateRows, i: int, base: Sequence[StateTerm], family: CurvedTerm, k: float, most: int) -> float:
    """The constant of most evidence near k, by three finer grids of factors."""
    width = abs(math.log(abs(family.grid[-1] / family.grid[-2])))
    for _ in range(3):
        near = [k * math.exp(width * s) for s in np.linspace(-1, 1, 7)]
        k = max(near, key=lambda value: _evidences(rows, i, base, family.at(value))[SIZES.index(most)])
        width /= 3
    return k


def forced_proposal(rows: StateRows, i: int, base: Sequence[StateTerm], time: sympy.Symbol) -> Proposal | None:
    """The best proposal for equation i with a periodic force, whose frequency is where the rest has most power."""
    w = rows.weights[:, i]
    t = rows.inputs[:, rows.symbols.index(time)]
    values = rows.values(base)
    values = values[:, np.isfinite(values).all(0)] * w[:, None]
    norms = np.linalg.norm(values, axis=0)
    q, r = np.linalg.qr(values[:, norms > 0] / norms[norms > 0])
    q = q[:, np.abs(np.diag(r)) > 1e-9]
    y = rows.targets[:, i] * w
    y = y - q @ (q.T @ y)
    duration = t.max() - t.min()
    fastest = math.pi * len(np.unique(t)) / duration / 3
    grid = np.arange(0.5, fastest * duration / math.pi / 2 * 4, 0.25) * math.pi / duration
    grid = grid[grid < fastest]
    if not len(grid):
        return None
    power = [_power(omega, t, w, q, y)[0] for omega in grid]
    omega = float(grid[int(np.argmax(power))])
    width = float(grid[1] - grid[0])
    for _ in range(4):
        near = omega + width * np.linspace(-1, 1, 9)
        omega = float(max(near, key=lambda value: _power(value, t, w, q, y)[0]))
        width /= 4
    cosine, sine = sympy.cos(omega * time), sympy.sin(omega * time)
    choices = rows.choices(i, [*base, StateTerm(cosine), StateTerm(sine)], always=[len(base), len(base) + 1])
    if not choices:
        return None
    best = best_terms(choices)
    a, b = best.coef[-2:]
    terms = [*(base[m] for m in best.terms[:-2]), forcing(time, omega, math.atan2(-b, a))]
    evidence = best.evidence - math.log(max(rows.independent[i], 2.0)) / 2 - math.log(len(grid))
    return Proposal(tuple(terms), (*best.coef[:-2], math.hypot(a, b)), evidence)


def _power(omega: float, t: np.ndarray, w: np.ndarray, q: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """How much of y two waves of this frequency explain beside the columns of q."""
    pair = np.column_stack([np.cos(omega * t), np.sin(omega * t)]) * w[:, None]
    pair = pair - q @ (q.T @ pair)
    norms = np.linalg.norm(pair, axis=0)
    if (norms < 1e-6 * math.sqrt(len(t))).any():
        return 0.0, pair
    basis, _ = np.linalg.qr(pair)
    return float(np.sum((basis.T @ y) ** 2)), pair
