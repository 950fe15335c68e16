r"""Finds the law of trajectories: $x' = f(x, u, t)$ of a flow or $x_{n+1} = f(x_n, u_n)$ of a map.

Smoothing with evidence gives rough velocities; a sparse regression on libraries of terms, from polynomials to terms
with a constant inside, proposes systems (Brunton, Proctor and Kutz, PNAS 2016). Then the constants are fitted to the
trajectories themselves by multiple shooting, and the posterior of that fit, not a threshold, says which terms stay. A
law is announced only if it leaves no more than the noise and predicts observations that it was not fitted to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from edgewise.discovery.dynamics.dynamics_value import Constant, Dynamics, SystemLaw
from edgewise.discovery.dynamics.refinement import Bench, SystemFit, fitted
from edgewise.discovery.dynamics.regression import StateRows
from edgewise.discovery.dynamics.right_side import velocity_symbols
from edgewise.discovery.dynamics.shooting import NOISE_FLOOR, Segments
from edgewise.discovery.dynamics.smooth_path import smooth
from edgewise.discovery.dynamics.system_search import ADEQUATE, SystemSearch
from edgewise.discovery.dynamics.trajectories import Trajectories, read_trajectories
from edgewise.discovery.dynamics.verification import verified
from edgewise.expressions import Formula, pareto
from edgewise.expressions.constants import named_near
from edgewise.progress import Budget, Listener, Pulse, TimeIsOver

STEPS = 8
"""Observations in a segment of a flow; every state of a map is a segment."""

ROUGH = 0.5
"""A path whose steps are larger than this share of its spread is no sample of a flow."""


def discover_dynamics(
    t: Any,
    x: Any,
    *,
    controls: Any = None,
    trajectory: Any = None,
    names: Sequence[str] | None = None,
    control_names: Sequence[str] | None = None,
    kind: Literal["auto", "flow", "map"] = "auto",
    degree: int = 3,
    seconds: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    progress: Listener | None = None,
) -> Dynamics:
    """Search for the law that trajectories follow, and say so when there is none.

    Args:
        t: times (n,), increasing within a trajectory, at any distances; a list of these for a list of trajectories.
        x: states (n, d), or (n,) for one component: array, tensor or frame; or a list with one of these for every
            trajectory.
        controls: inputs of the system (n, k), linear between the times; a list where x is a list.
        trajectory: labels (n,) that tell several trajectories in one array apart.
        names: names of the components; those of the columns of a frame, or x1, x2, ... by default.
        control_names: names of the controls, likewise.
        kind: "flow" for a differential equation, "map" for a recurrence over the rows; "auto" takes a map where t are
            whole numbers one apart and x jumps from row to row.
        degree: the highest degree of polynomials; up to 5 is tried for one or two components.
        seconds: time limit in seconds: nothing is begun after it, and what has begun ends soon.
        clock: measures the time; `time.process_time` makes the answer independent of other processes.
        progress: called with an `Event` every second or so; what it raises stops the search.

    Raises:
        ValueError: where the observations cannot be used; the message names the first of them.
        TypeError: columns of a frame that are no numbers.

    >>> t = np.linspace(0, 10, 200)
    >>> print(discover_dynamics(t, 3 * np.exp(-t / 2), names=["a"]).law)
    `a'` = -a/2
    """
    if kind not in ("auto", "flow", "map"):
        raise ValueError(f"kind is {kind!r}; it is 'auto', 'flow' or 'map'")
    budget = Budget(seconds, clock)
    data = read_trajectories(t, x, controls, trajectory, names, control_names)
    is_map = kind == "map" or (kind == "auto" and _jumps(data))
    fitted_part, held = data.split()
    tick = _Tick(Pulse(budget, progress), budget)
    search = _search(fitted_part, is_map, degree, tick)
    search.run()
    return _answer(search, data, held, budget)


class _Tick:
    """Called before every step of a fit: ends the search once its time is over."""

    def __init__(self, pulse: Pulse, budget: Budget) -> None:
        self.pulse, self.budget, self.strict = pulse, budget, True

    def __call__(self) -> None:
        if self.strict and self.budget.over:
            raise TimeIsOver
        if self.strict:
            self.pulse("fits to trajectories")


def _jumps(data: Trajectories) -> bool:
    """Whether times are whole numbers one apart, and the path is rough."""
    steps = np.concatenate([np.diff(path.t) for path in data.paths])
    if not np.allclose(steps, 1.0, atol=1e-9):
        return False
    moves = np.concatenate([np.diff(path.x, axis=0) for path in data.paths])
    return bool((np.sqrt(np.mean(moves**2, 0)) > ROUGH * data.spread).any())


def _search(data: Trajectories, is_map: bool, degree: int, tick: Callable[[], None]) -> SystemSearch:
    floor = NOISE_FLOOR * data.spread
    if is_map:
        starts = np.concatenate([path.x for path in data.paths])
        bench = Bench(data, Segments.of(data.paths, 1), starts, 0.02 * data.spread, floor, True, 1, tick)
        return SystemSearch(bench, StateRows.of_map(data), degree, False, [])
    smoothed = [smooth(path) for path in data.paths]
    noise = np.sqrt(np.mean([s.noise**2 for s in smoothed], 0))
    starts = np.concatenate([s.x[::STEPS] for s in smoothed])
    bench = Bench(data, Segments.of(data.paths, STEPS), starts, noise, floor, False, 1, tick)
    return SystemSearch(bench, StateRows.of_flow(data, smoothed), degree, True, [])


def _answer(search: SystemSearch, data: Trajectories, held: Trajectories, budget: Budget) -> Dynamics:
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
    limit = ADEQUATE * bench.noise if search.known_noise else None
    check = verified(bench, best, held, limit)
    noise = dict(zip(states, best.shot.noise.tolist(), strict=True))
    if not check.passed or not best.shot.constants.size:
        objection = check.objection or "nothing changes but by noise"
        late = "; the time was over before all libraries were tried" if search.timed_out else ""
        reason = f"{how}the best law is not announced: {objection}{late}"
        return Dynamics(kind, None, reason, (), check, noise, front, states, controls, budget.spent, data, held)
    whole, final = _refitted(bench, best, data)
    constants = _constants(final, data)
    exact = [c.value if c.name is None else c.name for c in constants]
    law = _formula(final, exact, kind)
    noise = dict(zip(states, final.shot.noise.tolist(), strict=True))
    reason = f"{how}{check}; it leaves {_shares(final, whole)} of the spread, as noise does"
    initial = tuple(final.shot.states[_begins(whole.segments)])
    return Dynamics(
        kind, law, reason, constants, check, noise, front, states, controls, budget.spent, data, held, initial
    )


def _shares(fit: SystemFit, bench: Bench) -> str:
    shares = fit.shot.noise / bench.data.spread
    return "rounding" if (shares < 10 * NOISE_FLOOR).all() else f"{shares.max():.2g}"


def _begins(segments: Segments) -> np.ndarray:
    """The first segment of every trajectory."""
    return np.flatnonzero(np.r_[True, ~segments.linked[:-1]])


def _refitted(bench: Bench, fit: SystemFit, data: Trajectories) -> tuple[Bench, SystemFit]:
    """The same terms fitted to all observations, from the constants of the first fit."""
    length = bench.segments.x.shape[1]
    segments = Segments.of(data.paths, length)
    parts = [path.x if bench.is_map else smooth(path).x for path in data.paths]
    starts = np.concatenate([part[::length] for part in parts])
    whole = replace(bench, data=data, segments=segments, starts=starts, noise=fit.shot.noise)
    return whole, fitted(whole, fit.terms, fit.factors()) or fit


def _constants(fit: SystemFit, data: Trajectories) -> tuple[Constant, ...]:
    """All constants with errors; names are given one by one, the others move as the posterior says."""
    names: dict[int, Any] = {}
    c, v = fit.shot.constants.copy(), fit.shot.covariance.copy()
    while True:
        offers = []
        for n in range(len(c)):
            sigma = float(np.sqrt(max(v[n, n], 0.0)))
            if n not in names and sigma > 0:
                near = [(bits, n, name) for bits, name in named_near(float(c[n]), max(sigma, 1e-9 * abs(c[n])))]
                offers += [o for o in near if abs(float(o[2]) - c[n]) <= 2 * sigma + 1e-9 * abs(c[n])]
        if not offers:
            break
        _, n, name = max(offers, key=lambda offer: offer[0])
        names[n] = name
        column = v[:, n].copy()
        c += column * (float(name) - c[n]) / column[n]
        v -= np.outer(column, column) / column[n]
        c[n], v[n], v[:, n] = float(name), 0.0, 0.0
    found = []
    for n, (i, m) in enumerate(fit.right.owners):
        term, leading = fit.terms[i][m], n in set(fit.leading)
        label = str(term) if leading else f"{list(term.inner)[n - 1 - fit.leading[_place(fit, n)]]} in {term}"
        value = float(fit.shot.constants[n]) if n in names else float(c[n])
        found.append(Constant(data.states[i].name, label, value, float(fit.shot.errors[n]), names.get(n)))
    return tuple(found)


def _place(fit: SystemFit, n: int) -> int:
    return max(k for k, first in enumerate(fit.leading) if first <= n)


def _formula(fit: SystemFit, values: Sequence[Any], kind: str, *, explicit: bool = True) -> Formula:
    right = fit.right
    mark = "'" if kind == "flow" else "[n+1]"
    expressions = right.with_constants(values, explicit=explicit)
    names = tuple(f"{s.name}{mark}" for s in right.states)
    velocities = () if explicit else velocity_symbols(right.states)
    return Formula(expressions, (*right.states, *right.controls, right.time, *velocities), names)


def _front(search: SystemSearch) -> list[SystemLaw]:
    kind = "map" if search.bench.is_map else "flow"
    laws = []
    for fit in search.fits:
        residual = float((fit.shot.noise / search.bench.data.spread).max())
        laws.append(SystemLaw(_formula(fit, fit.shot.constants.tolist(), kind), residual, len(fit.shot.constants)))
    return pareto(laws, lambda law: law.constants, lambda law: law.residual, gain=1e-3)
