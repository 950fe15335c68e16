"""From a finished search to an answer: the law is verified, refitted to all observations, and its constants named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgewise.discovery.dynamics.dynamics_value import MARKS, Dynamics, SystemLaw
from edgewise.discovery.dynamics.named_constants import named_constants
from edgewise.discovery.dynamics.refinement import Bench, SystemFit, fitted
from edgewise.discovery.dynamics.right_side import velocity_symbols
from edgewise.discovery.dynamics.shooting import NOISE_FLOOR, Segments
from edgewise.discovery.dynamics.smooth_path import smooth
from edgewise.discovery.dynamics.system_search import SystemSearch
from edgewise.discovery.dynamics.trajectories import Trajectories
from edgewise.discovery.dynamics.verification import begin, verified
from edgewise.expressions import Formula, pareto
from edgewise.progress import Budget


def answer(search: SystemSearch, data: Trajectories, held: Trajectories, budget: Budget) -> Dynamics:
    """The verified law with the constants of a fit to all observations, or the reason why there is none."""
    bench, best = search.bench, search.best
    kind = "map" if bench.is_map else "flow"
    states, controls = tuple(s.name for s in data.states), tuple(s.name for s in data.controls)
    front = tuple(_front(search))
    how = "t counts steps and x jumps: a map. " if bench.is_map else ""
    if best is None:
        why = (
            "the time was over before any law was fitted"
            if search.timed_out
            else "no law of any library could be fitted"
        )
        return Dynamics(kind, None, how + why, (), None, {}, front, states, controls, budget.spent, data, held)
    bench.tick.strict = False  # type: ignore[attr-defined]
    limit = search.allowed if search.known_noise else None
    check = verified(bench, best, held, limit)
    noise = dict(zip(states, best.shot.noise.tolist(), strict=True))
    if not check.passed or not best.shot.constants.size:
        objection = check.objection or "nothing changes but by noise"
        late = "; the time was over before all libraries were tried" if search.timed_out else ""
        reason = f"{how}the best law is not announced: {objection}{late}"
        return Dynamics(kind, None, reason, (), check, noise, front, states, controls, budget.spent, data, held)
    whole, final = _refitted(bench, best, data)
    left = tuple(f"{name}{MARKS[kind]}" for name in states)
    constants = named_constants(final, left, _degrees(whole, final))
    exact = [c.value if c.name is None else c.name for c in constants]
    law = _formula(final, exact, kind)
    implicit = final.right.sums != final.right.equations
    noise = dict(zip(states, final.shot.noise.tolist(), strict=True))
    reason = f"{how}{check}; it leaves {_shares(final, whole)} of the spread, as noise does"
    return Dynamics(
        kind=kind,
        law=law,
        reason=reason,
        constants=constants,
        verification=check,
        noise=noise,
        alternatives=front,
        states=states,
        controls=controls,
        seconds=budget.spent,
        data=data,
        held_out=held,
        followed=_followed(whole, final),
        begins=tuple(begin(bench, best, path) for path in held.paths),
        sums=_formula(final, exact, kind, explicit=False) if implicit else None,
    )


def _shares(fit: SystemFit, bench: Bench) -> str:
    shares = fit.shot.noise / bench.data.spread
    return "rounding" if (shares < 10 * NOISE_FLOOR).all() else f"{shares.max():.2g}"


def _degrees(bench: Bench, fit: SystemFit) -> int:
    """Observations less constants and the initial states of trajectories."""
    initial = len(bench.data.paths) * len(bench.data.states)
    return max(bench.count - len(fit.shot.constants) - initial, 1)


def _followed(bench: Bench, fit: SystemFit) -> tuple[np.ndarray, ...]:
    """The trajectories of the law that were fitted to those observed."""
    seen = bench.segments.seen
    x = bench.segments.x[seen] - fit.shot.residuals[seen]
    return tuple(np.split(x, np.cumsum([len(path) for path in bench.data.paths])[:-1]))


def _refitted(bench: Bench, fit: SystemFit, data: Trajectories) -> tuple[Bench, SystemFit]:
    """The same terms fitted to all observations, from the constants of the first fit."""
    length = bench.segments.x.shape[1]
    segments = Segments.of(data.paths, length)
    parts = [path.x if bench.is_map else smooth(path).x for path in data.paths]
    starts = np.concatenate([part[::length] for part in parts])
    whole = replace(bench, data=data, segments=segments, starts=starts, noise=fit.shot.noise)
    again = fitted(whole, fit.terms, fit.factors())
    return (bench, fit) if again is None else (whole, again)


def _formula(fit: SystemFit, values: Sequence[Any], kind: str, *, explicit: bool = True) -> Formula:
    right = fit.right
    expressions = right.with_constants(values, explicit=explicit)
    names = tuple(f"{s.name}{MARKS[kind]}" for s in right.states)
    velocities = () if explicit else velocity_symbols(right.states)
    return Formula(expressions, (*right.states, *right.controls, right.time, *velocities), names)


def _front(search: SystemSearch) -> list[SystemLaw]:
    kind = "map" if search.bench.is_map else "flow"
    laws = []
    for fit in search.fits:
        residual = float((fit.shot.noise / search.bench.data.spread).max())
        laws.append(SystemLaw(_formula(fit, fit.shot.constants.tolist(), kind), residual, len(fit.shot.constants)))
    return pareto(laws, lambda law: law.constants, lambda law: law.residual, gain=1e-3)
