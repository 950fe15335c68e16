"""Chooses the terms of a system by fits to the trajectories: terms that explain nothing go, terms that do are added.

A regression of smoothed velocities proposes too many terms on purpose. The posterior of a joint fit by shooting says
which factors may be zero (Wald), and the gradient of its likelihood which terms are missing (Rao's score).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from edgewise.discovery.dynamics.fast_program import FastProgram
from edgewise.discovery.dynamics.right_side import RightSide, StateTerm
from edgewise.discovery.dynamics.shooting import (
    GAPS,
    Segments,
    Shot,
    Stepper,
    flow_step,
    map_step,
    normal_equations,
    shoot,
)
from edgewise.discovery.dynamics.trajectories import Trajectories
from edgewise.discovery.sparse_terms import sparse_terms

TIED = 1.0
"""Laws whose logarithms of evidence differ by less are equally likely: the shorter one is taken (Kass, Raftery)."""

Terms = tuple[tuple[StateTerm, ...], ...]


@dataclass(frozen=True)
class Bench:
    """What every fit of one set of observations shares.

    Attributes:
        data: the observations.
        segments: the same, cut.
        starts: rough initial states of the segments (K, d).
        noise: rough noise of every component (d,).
        floor: the smallest noise that is told from rounding (d,).
        is_map: whether times are steps of a map.
        substeps: steps of the integration between two observations.
        tick: called before every step of a fit.
    """

    data: Trajectories
    segments: Segments
    starts: np.ndarray
    noise: np.ndarray
    floor: np.ndarray
    is_map: bool
    substeps: int
    tick: Callable[[], None]

    @property
    def gaps(self) -> tuple[float, ...]:
        """The gaps between segments that fits go through; a map needs small steps, for every state of it is free."""
        return (1.0, 0.3, 0.1, 0.03, 0.01) if self.is_map else GAPS

    @property
    def count(self) -> int:
        """The number of observed values."""
        return self.segments.observations * len(self.floor)

    def stepper(self, right: RightSide | Extended) -> Stepper:
        """Steps of a right side between observations."""
        return map_step(right) if self.is_map else flow_step(right, self.substeps)

    def right(self, terms: Terms) -> RightSide:
        """The equations of these terms."""
        return RightSide.of(terms, self.data.states, self.data.controls, self.data.time)


@dataclass(frozen=True)
class SystemFit:
    """A system with its constants fitted to trajectories.

    Attributes:
        terms: of every equation; their inner constants have the fitted values.
        right: the equations with symbols.
        shot: the fit.
        evidence: log likelihood minus half the logarithm of the number of values for every constant.
    """

    terms: Terms
    right: RightSide
    shot: Shot
    evidence: float

    @property
    def leading(self) -> list[int]:
        """The positions of the factors of terms among the constants, in the order of the terms."""
        return [n for n, owner in enumerate(self.right.owners) if n == 0 or owner != self.right.owners[n - 1]]

    def factors(self, gone: Container[tuple[int, int]] = ()) -> list[list[float]]:
        """The factors of the terms of every equation, without those of some terms."""
        rows: list[list[float]] = [[] for _ in self.terms]
        for n in self.leading:
            if self.right.owners[n] not in gone:
                rows[self.right.owners[n][0]].append(float(self.shot.constants[n]))
        return rows


def fitted(
    bench: Bench,
    terms: Terms,
    factors: Sequence[Sequence[float]],
    states: np.ndarray | None = None,
    gaps: Sequence[float] | None = None,
) -> SystemFit | None:
    """Terms with factors near the given ones, fitted to the trajectories; None where that fails."""
    right = bench.right(terms)
    start = [
        value
        for row, numbers in zip(terms, factors, strict=True)
        for term, factor in zip(row, numbers, strict=True)
        for value in (factor, *term.inner.values())
    ]
    shot = shoot(
        bench.segments,
        bench.stepper(right),
        np.array(start, dtype=float),
        bench.starts if states is None else states,
        bench.noise,
        gaps=bench.gaps if gaps is None else gaps,
        floor=bench.floor,
        tick=bench.tick,
    )
    if shot is None or not np.isfinite(shot.errors).all():
        return None
    known = iter(shot.constants.tolist())
    moved = tuple(tuple(_moved(term, known) for term in row) for row in terms)
    return SystemFit(moved, right, shot, _evidence(bench, shot))


def _moved(term: StateTerm, values: Iterator[float]) -> StateTerm:
    next(values)
    return replace(term, inner={s: next(values) for s in term.inner})


def _evidence(bench: Bench, shot: Shot) -> float:
    rest = shot.residuals[bench.segments.seen]
    mean = np.maximum(np.mean(rest**2, 0), bench.floor**2)
    return float(-0.5 * len(rest) * np.log(mean).sum() - 0.5 * len(shot.constants) * math.log(bench.count))


def doubtful(bench: Bench, candidates: int) -> float:
    """The square of a factor in standard errors below which it is no evidence, for so many candidates."""
    return math.log(bench.count) + 2 * math.log(max(candidates, 2))


def pruned(bench: Bench, fit: SystemFit, candidates: int) -> SystemFit:
    """The fit without the terms whose factors may be zero, as long as the evidence grows."""
    limit = doubtful(bench, candidates)
    while True:
        drop = _droppable(fit, limit)
        smaller = None
        while drop and smaller is None:
            made = _without(bench, fit, drop)
            if made is not None and made.evidence > fit.evidence - limit / 2 * 0.5:
                smaller = made
            else:
                drop = drop[: len(drop) // 2]
        if smaller is None:
            return fit
        fit = smaller


def shortened(bench: Bench, fit: SystemFit, libraries: Sequence[Sequence[StateTerm]]) -> SystemFit:
    """The fit with equations replaced by shorter ones that say the same on its trajectories, if the evidence grows.

    Where the states obey a conservation law one function has many forms. The values of the law on its own trajectories
    have no noise, so that the best set of every smaller size is found exactly.
    """
    x, u, t = _followed(bench, fit)
    velocity = fit.right(x, u, t, fit.shot.constants)
    for i, library in enumerate(libraries):
        own = fit.terms[i]
        if len(own) < 2 or any(term.inner for term in own) or fit.right.sums != fit.right.equations:
            continue
        bodies = [term.body for term in library]
        columns = FastProgram(bodies, (*fit.right.states, *fit.right.controls, fit.right.time))([*x.T, *u.T, t])
        values = np.column_stack([np.broadcast_to(column, len(x)) for column in columns])
        if not (np.isfinite(values).all() and np.isfinite(velocity).all()):
            continue
        for choice in sparse_terms(values, velocity[:, i], most=len(own) - 1):
            if choice.terms and choice.residual < 0.1 * velocity[:, i].std():
                terms = tuple(
                    tuple(library[m] for m in choice.terms) if j == i else row for j, row in enumerate(fit.terms)
                )
                factors = [list(choice.coef) if j == i else row for j, row in enumerate(fit.factors())]
                made = fitted(bench, terms, factors, fit.shot.states, fit_gaps(fit))
                if made is not None and made.evidence > fit.evidence - TIED:
                    return shortened(bench, made, libraries)
    return fit


def _followed(bench: Bench, fit: SystemFit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The trajectories of a fit at the times of the observations, with controls and times."""
    seen = bench.segments.seen
    x = bench.segments.x[seen] - fit.shot.residuals[seen]
    return x, bench.segments.u[:, :-1][seen], bench.segments.t[:, :-1][seen]


def _droppable(fit: SystemFit, limit: float) -> list[tuple[int, int]]:
    """Terms to drop, the least certain first, each judged after those before it are gone."""
    c, v = fit.shot.constants.copy(), fit.shot.covariance.copy()
    alive = fit.leading
    drop: list[tuple[int, int]] = []
    while alive:
        z = np.array([c[n] ** 2 / max(v[n, n], 1e-300) for n in alive])
        worst = int(z.argmin())
        if z[worst] > limit:
            break
        n = alive.pop(worst)
        drop.append(fit.right.owners[n])
        column = v[:, n].copy()
        if column[n] > 0:
            c -= column * c[n] / column[n]
            v -= np.outer(column, column) / column[n]
    return drop


def _without(bench: Bench, fit: SystemFit, drop: Sequence[tuple[int, int]]) -> SystemFit | None:
    gone = set(drop)
    terms = tuple(tuple(t for m, t in enumerate(row) if (i, m) not in gone) for i, row in enumerate(fit.terms))
    return fitted(bench, terms, fit.factors(gone), fit.shot.states, fit_gaps(fit))


def fit_gaps(fit: SystemFit) -> tuple[float, ...]:
    """The gaps for a fit that begins at another one."""
    return (max(fit.shot.gap, GAPS[1]), GAPS[-1]) if fit.shot.gap > GAPS[-1] else (GAPS[1], GAPS[-1])


@dataclass(frozen=True)
class Extended:
    """A right side with further terms of factor zero: their slopes, which say whether one of them is missing."""

    right: RightSide
    constants: np.ndarray
    extra: tuple[tuple[int, StateTerm], ...]
    program: FastProgram

    @classmethod
    def of(cls, fit: SystemFit, extra: Sequence[tuple[int, StateTerm]]) -> Extended:
        """The fit with terms added to equations."""
        bodies = [t.body.xreplace({s: sympy.Float(v, 17) for s, v in t.inner.items()}) for _, t in extra]
        right = fit.right
        return cls(
            right, fit.shot.constants, tuple(extra), FastProgram(bodies, (*right.states, *right.controls, right.time))
        )

    def slopes(self, x: np.ndarray, u: np.ndarray, t: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `RightSide`, with one more column for every further term."""
        value, slopes = self.right.slopes(x, u, t, c[: len(self.constants)])
        more = np.zeros((len(x), x.shape[1], len(self.extra)))
        for n, ((i, _), column) in enumerate(zip(self.extra, self.program([*x.T, *u.T, t]), strict=True)):
            more[:, i, n] = column
        return value, np.concatenate([slopes, more], 2)


def grown(bench: Bench, fit: SystemFit, libraries: Sequence[Sequence[StateTerm]], rounds: int = 6) -> SystemFit:
    """The fit with the terms added that the trajectories miss, one of each equation at a time."""
    candidates = sum(map(len, libraries))
    for _ in range(rounds):
        added = _missing(bench, fit, libraries, doubtful(bench, candidates))
        if not added:
            return fit
        terms = [list(row) for row in fit.terms]
        factors = fit.factors()
        for i, term, factor in added:
            terms[i].append(term)
            factors[i].append(factor)
        larger = fitted(bench, tuple(map(tuple, terms)), factors, fit.shot.states, fit_gaps(fit))
        if larger is None:
            return fit
        larger = pruned(bench, larger, candidates)
        if larger.evidence <= fit.evidence + 0.5 * doubtful(bench, candidates) * 0.2:
            return fit
        fit = larger
    return fit


def _missing(
    bench: Bench, fit: SystemFit, libraries: Sequence[Sequence[StateTerm]], limit: float
) -> list[tuple[int, StateTerm, float]]:
    """For every equation the further term of largest score above the limit, with the factor that a step gives it."""
    known = [{t.body for t in row if not t.inner} for row in fit.terms]
    extra = [(i, term) for i, row in enumerate(libraries) for term in row if term.body not in known[i]]
    if not extra:
        return []
    p = len(fit.shot.constants)
    step = bench.stepper(Extended.of(fit, extra))
    c = np.concatenate([fit.shot.constants, np.zeros(len(extra))])
    noise = np.maximum(fit.shot.noise, bench.floor)
    normal = normal_equations(bench.segments, step, c, fit.shot.states, noise, fit.shot.gap)
    if normal is None:
        return []
    try:
        schur, gradient = normal.reduced()
        inner = (
            np.linalg.solve(schur[:p, :p] + 1e-300, np.column_stack([schur[:p, p:], gradient[:p]]))
            if p
            else np.zeros((0, len(extra) + 1))
        )
    except ValueError:  # LinAlgError is one; others tell that a value overflowed
        return []
    g = gradient[p:] - schur[p:, :p] @ inner[:, -1]
    h = np.diag(schur)[p:] - np.einsum("pq,pq->q", schur[:p, p:], inner[:, :-1])
    usable = h > 1e-9 * np.diag(schur)[p:]
    gains = np.where(usable, g**2 / np.where(usable, h, 1.0), 0.0)
    best = []
    for i in range(len(fit.terms)):
        own = [n for n, (j, _) in enumerate(extra) if j == i]
        if own:
            n = max(own, key=lambda n: gains[n])
            if gains[n] > limit:
                best.append((gains[n], i, extra[n][1], float(-g[n] / h[n])))
    best.sort(key=lambda entry: -entry[0])
    return [(i, term, factor) for gain, i, term, factor in best if gain > 0.1 * best[0][0]]
