"""Searches for the system that leaves noise alone: libraries from small to large, each fitted and pruned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.dynamics.refinement import Bench, SystemFit, fitted, grown, pruned, shortened
from edgewise.discovery.dynamics.regression import Proposal, StateRows, curved_proposals, forced_proposal, proposal
from edgewise.discovery.dynamics.right_side import StateTerm, velocity_symbols
from edgewise.discovery.dynamics.shooting import flow_step
from edgewise.discovery.dynamics.term_library import absolutes, highest_degree, mechanics, polynomials, waves
from edgewise.progress import TimeIsOver

ADEQUATE = 1.2
"""A law leaves noise alone where it leaves at most so many times the noise that smoothing finds."""

CHANCE = 2.0
"""And so many standard errors of that noise more, of which few observations say little."""

EXPLAINED = 1.3
"""A regression explains an equation where it leaves at most so many errors of the velocities."""

SUBSTEPS = 8
"""The most steps of the integration between two observations while constants are fitted."""


@dataclass
class SystemSearch:
    """The fits so far, the best one first.

    Attributes:
        bench: the observations.
        rows: of the regression.
        degree: the highest degree of polynomials.
        known_noise: whether the noise of the bench is an estimate to hold a law against.
        allowed: the noise that a law may leave, per component.
        fits: all fits, by evidence.
        timed_out: whether the time ended the search.
    """

    bench: Bench
    rows: StateRows
    degree: int
    known_noise: bool
    allowed: np.ndarray
    fits: list[SystemFit]
    timed_out: bool = False

    @property
    def best(self) -> SystemFit | None:
        """The fit of most evidence."""
        return self.fits[0] if self.fits else None

    def adequate(self, fit: SystemFit | None) -> bool:
        """Whether nothing but noise is left."""
        if fit is None:
            return False
        return bool((fit.shot.noise <= np.maximum(self.allowed, self.bench.floor)).all())

    def run(self) -> None:
        """Libraries from small to large, until one is adequate by a short law; the time may end it earlier."""
        try:
            small, large = self._polynomial_libraries()
            for some in filter(self._explains, small):
                self._try(some)
                if self._settled():
                    break
            if not self._settled() and not (self.adequate(self.best) and self._short()):
                self._beyond_polynomials()
            if not self.adequate(self.best):
                for some in filter(self._explains, large):
                    self._try(some)
            for some in [] if self.fits else small:
                self._try(some)
            self._finish()
        except TimeIsOver:
            self.timed_out = True

    def _explains(self, libraries: Sequence[Sequence[StateTerm]]) -> bool:
        """Whether a regression on these libraries may leave errors alone."""
        return not self.known_noise or all(self._explained(i, library) for i, library in enumerate(libraries))

    def _settled(self) -> bool:
        """Whether rounding alone is left."""
        return self.best is not None and bool((self.best.shot.noise <= 10 * self.bench.floor).all())

    def _short(self) -> bool:
        """Whether the best law has few terms of low degree."""
        best = self.best
        if best is None or len(best.shot.constants) > 3.5 * len(best.terms):
            return False
        return all(sympy.total_degree(t.body) <= 3 for row in best.terms for t in row)

    def _symbols(self) -> tuple[sympy.Symbol, ...]:
        return (*self.bench.data.states, *self.bench.data.controls)

    def _polynomials(self, degree: int) -> list[StateTerm]:
        return polynomials(self._symbols(), highest_degree(len(self._symbols()), degree))

    def _polynomial_libraries(self) -> tuple[list[list[list[StateTerm]]], list[list[list[StateTerm]]]]:
        """Libraries of low degree for a start, and those of high degree, which imitate any function."""
        d, few = len(self.bench.data.states), len(self._symbols()) <= 2
        low = {len(lib): lib for lib in (self._polynomials(k) for k in (2, self.degree))}
        high = {len(lib): lib for lib in (self._polynomials(k) for k in ((5,) if few else ()))}
        return [[lib] * d for lib in low.values()], [[lib] * d for n, lib in high.items() if n not in low]

    def _try(self, libraries: Sequence[Sequence[StateTerm]]) -> None:
        """Fits what the regression proposes, the more cautious proposal first."""
        seen: set[Any] = set()
        for slack in (2.0, 1.0):
            made = [proposal(self.rows, i, lib, extra=1, slack=slack) for i, lib in enumerate(libraries)]
            if any(p is None for p in made):
                continue
            key = tuple(tuple(t.body for t in p.terms) for p in made if p is not None)
            if key not in seen:
                seen.add(key)
                self._fit([p for p in made if p is not None], libraries)
            if self._settled():
                return

    def _fit(self, proposals: Sequence[Proposal], libraries: Sequence[Sequence[StateTerm]]) -> None:
        """One system fitted, pruned and grown."""
        fit = fitted(self.bench, tuple(p.terms for p in proposals), [p.factors for p in proposals])
        if fit is None:
            return
        fit = pruned(self.bench, fit, sum(map(len, libraries)))
        self.keep(fit)
        self.keep(grown(self.bench, fit, libraries))

    def keep(self, fit: SystemFit) -> None:
        """One more fit, in the order of evidence."""
        self.fits.append(fit)
        self.fits.sort(key=lambda f: -f.evidence)

    def _beyond_polynomials(self) -> None:
        """Equations that polynomials do not explain get terms of other kinds, the most likely ones first."""
        data, rows = self.bench.data, self.rows
        largest = self._polynomials(self.degree)
        wide = self._wide()
        menus: list[list[Proposal]] = []
        for i in range(len(data.states)):
            plain = proposal(rows, i, largest, slack=1.25)
            menu = [] if plain is None else [plain]
            if plain is None or not self._explained(i, largest):
                menu += self._other_proposals(i)
            self.bench.tick()
            menus.append(sorted(menu, key=lambda p: -p.evidence))
        if not all(menus):
            return
        chosen = [0] * len(menus)
        for _ in range(8):
            self._fit([menu[n] for menu, n in zip(menus, chosen, strict=True)], [wide] * len(menus))
            if self.adequate(self.best):
                return
            losses = [
                menu[n + 1].evidence - menu[n].evidence if n + 1 < len(menu) else -np.inf
                for menu, n in zip(menus, chosen, strict=True)
            ]
            if not np.isfinite(max(losses)):
                return
            chosen[int(np.argmax(losses))] += 1

    def _explained(self, i: int, library: Sequence[StateTerm]) -> bool:
        """Whether the regression of equation i leaves no more than the errors of the velocities."""
        least = min((c.residual for c in self.rows.choices(i, library)), default=np.inf)
        return bool(least <= EXPLAINED * self.rows.unit[i])

    def _wide(self) -> list[StateTerm]:
        """Terms that a fit may still miss, of all kinds without a constant inside."""
        states = self.bench.data.states
        return [*self._polynomials(min(self.degree, 3)), *absolutes(states), *waves(states)]

    def _other_proposals(self, i: int) -> list[Proposal]:
        data, rows = self.bench.data, self.rows
        quadratic, linear = self._polynomials(2), self._polynomials(1)
        found = [
            proposal(rows, i, [*quadratic, *absolutes(data.states)], slack=1.25),
            proposal(rows, i, [*linear, *waves(data.states)], slack=1.25),
            *([] if self.bench.is_map else [forced_proposal(rows, i, self._polynomials(3), data.time)]),
            *curved_proposals(rows, i, quadratic, data.states),
        ]
        mechanical = None if self.bench.is_map else self._mechanics(i)
        if mechanical is not None:
            found.append(proposal(rows, i, mechanical, slack=1.25))
        return [p for p in found if p is not None and p.terms]

    def _mechanics(self, i: int) -> list[StateTerm] | None:
        """The library of mechanics where equation i is that of the velocity of another component."""
        data = self.bench.data
        pairs = {}
        for j in range(len(data.states)):
            own = proposal(self.rows, j, self._polynomials(1))
            if (
                own is not None
                and len(own.terms) == 1
                and own.terms[0].body in data.states
                and abs(own.factors[0] - 1) < 0.05
            ):
                pairs[j] = data.states.index(own.terms[0].body)
        if i not in pairs.values():
            return None
        velocities = velocity_symbols(data.states)
        others = [velocities[v] for v in pairs.values() if v != i]
        return mechanics([data.states[j] for j in pairs], [data.states[v] for v in pairs.values()], others)

    def _finish(self) -> None:
        """The best fit with exact integration, without needless terms, and with what it misses of a wide library."""
        if self.best is None:
            return
        wide = [self._wide()] * len(self.bench.data.states)
        fit = self.best
        while not self.bench.is_map and self.bench.substeps < SUBSTEPS and not integrates(self.bench, fit):
            self.bench = replace(self.bench, substeps=2 * self.bench.substeps)
            again = fitted(self.bench, fit.terms, fit.factors(), fit.shot.states, (0.1, 0.01))
            if again is None:
                break
            fit = pruned(self.bench, again, sum(map(len, wide)))
            self.fits[0] = fit
        small = self._polynomials(min(self.degree, 3))
        fit = shortened(self.bench, fit, [small] * len(self.bench.data.states))
        self.fits = [fit, *(f for f in self.fits if f is not fit)]
        if len(self.bench.data.states) <= 4:
            more = grown(self.bench, fit, wide, rounds=2)
            self.fits = self.fits if more is fit else [more, *self.fits]


def allowed_noise(noise: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """The noise that a law may leave, from that of smooth curves and its degrees of freedom."""
    return ADEQUATE * noise * (1 + CHANCE / np.sqrt(2 * np.maximum(degrees, 1.0)))


def integrates(bench: Bench, fit: SystemFit) -> bool:
    """Whether twice as many steps of the integration change a segment by less than the noise or rounding."""
    seg, d = bench.segments, fit.shot.states.shape[1]
    ends = []
    for substeps in (bench.substeps, 2 * bench.substeps):
        step = flow_step(fit.right, substeps)
        x, s = fit.shot.states, np.zeros((len(fit.shot.states), d, d + len(fit.shot.constants)))
        for j in range(seg.x.shape[1]):
            x, s = step(x, s, seg.t[:, j : j + 2], seg.u[:, j : j + 2], fit.shot.constants)
        ends.append(x)
    change = np.sqrt(np.mean((ends[0] - ends[1]) ** 2, 0))
    return bool((change < np.maximum(0.1 * fit.shot.noise, 0.3 * bench.floor)).all())
