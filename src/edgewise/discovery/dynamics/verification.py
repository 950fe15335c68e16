"""Holds a law against observations that it was not fitted to: it must follow them, and predict them from the begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import sympy
from scipy.integrate import solve_ivp
from scipy.spatial import KDTree

from edgewise.discovery.dynamics.fast_program import FastProgram
from edgewise.discovery.dynamics.refinement import Bench, SystemFit
from edgewise.discovery.dynamics.right_side import RightSide
from edgewise.discovery.dynamics.shooting import Segments, flow_step, map_step, shoot
from edgewise.discovery.dynamics.trajectories import Path, Trajectories
from edgewise.stored import read_fields

FOLLOWS = 1.5
"""A law follows held-out observations where it leaves at most so many times what it left of the fitted ones."""

TOLERATED = 0.1
"""A prediction holds while it errs by less than this share of the spread, or by less than three times the noise."""

EXPLAINS = 0.5
"""What a law leaves of a component must be less than this share of its spread."""

LIKE = 0.4
"""Remainders at neighbouring states of a map that are more alike than this are no noise."""

ONE_STEP = 0.8
"""Noise of observations makes y[n+1] - f(y[n]) larger than it is, and noise that acts on the system does not."""

CONSTANTS = 6
"""The most constants of a law for every component."""

CANCELS = 1e3
"""Curved terms that are so many times as large as their sum imitate another function in a narrow range."""

TANGENTS = 64
"""The number of points from which growth of small differences is followed."""


@dataclass(frozen=True)
class Verification:
    """How a law does on held-out observations.

    Attributes:
        passed: whether the law is announced.
        objection: why not; empty where it is.
        residual: what trajectories of the law that begin anywhere leave of the held-out observations, per component.
        horizon: how long the prediction from the begin of the held-out part holds, in units of t.
        duration: the length of the held-out part.
        lyapunov: the largest Lyapunov exponent of the law, per unit of t.
        chaotic: whether it is positive beyond doubt.
    """

    passed: bool
    objection: str
    residual: tuple[float, ...]
    horizon: float
    duration: float
    lyapunov: float
    chaotic: bool

    def to_json(self) -> dict[str, Any]:
        """The numbers as a JSON object."""
        numbers = asdict(self) | {"residual": list(self.residual)}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in numbers.items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Verification:
        """The verification that `to_json` described."""
        if not isinstance(fields, Mapping):
            raise ValueError("a stored verification is a JSON object")
        unknown = {k: math.nan for k in ("horizon", "duration", "lyapunov") if k in fields and fields[k] is None}
        return read_fields(cls, {**fields, **unknown}, "a stored verification")

    def __str__(self) -> str:
        whole = self.horizon >= 0.999 * self.duration
        span = f"all {self.duration:.4g}" if whole else f"{self.horizon:.3g} of {self.duration:.4g}"
        text = f"predicts {span} time units that it was not fitted to"
        if self.chaotic:
            text += f" ({self.horizon * self.lyapunov:.2g} Lyapunov times; the largest exponent is {self.lyapunov:.3g})"
        return text


def verified(bench: Bench, fit: SystemFit, held: Trajectories, limit: np.ndarray | None) -> Verification:
    """The verification of a fit on held-out trajectories.

    Args:
        bench: of the fit.
        fit: the law.
        held: trajectories that it was not fitted to, or the last parts of those that it was fitted to.
        limit: the noise that it may leave of the fitted ones, where that is known.
    """
    spread = np.maximum(bench.data.spread, held.spread)
    left = _left(bench, fit, held.paths)
    growth, doubt = lyapunov(bench, fit)
    chaotic = growth > 4 * doubt and growth * held.duration > 1
    lasts = [(_horizon(bench, fit, path, spread, chaotic), float(path.t[-1] - path.t[0])) for path in held.paths]
    horizon, duration = min(lasts, key=lambda last: last[0] / last[1])
    residual = np.full(len(spread), np.inf) if left is None else left
    check = Verification(True, "", tuple(map(float, residual)), horizon, duration, growth, chaotic)
    objection = next(_objections(bench, fit, check, spread, limit), "")
    return replace(check, passed=not objection, objection=objection)


def _objections(
    bench: Bench, fit: SystemFit, check: Verification, spread: np.ndarray, limit: np.ndarray | None
) -> Iterator[str]:
    """Why the law is not announced, the first reason first."""
    names, noise, left = bench.data.states, np.maximum(fit.shot.noise, bench.floor), np.array(check.residual)
    if limit is not None and (fit.shot.noise > np.maximum(limit, bench.floor)).any():
        i = int(np.argmax(noise / np.maximum(limit, bench.floor)))
        yield (
            f"its trajectories leave {noise[i] / spread[i]:.2g} of the spread of {names[i]}, and smooth curves "
            f"{limit[i] / spread[i]:.2g} or less: more than noise"
        )
    if not np.isfinite(left).all():
        yield "its trajectories leave every bound on the held-out part"
    if (left > EXPLAINS * spread).any():
        i = int(np.argmax(left / spread))
        yield f"its trajectories leave {left[i] / spread[i]:.2g} of the spread of {names[i]}"
    if (left > FOLLOWS * noise).any():
        i = int(np.argmax(left / noise))
        yield f"it leaves {left[i] / noise[i]:.2g} times as much of {names[i]} on the held-out rows as on the others"
    if bench.is_map and (noise > 10 * bench.floor).any():
        yield from _objections_to_map(bench, fit, noise, spread)
    count = len(fit.shot.constants)
    if count > CONSTANTS * len(names):
        yield f"it needs {count} constants: curves rather than a law"
    for name, size in zip(names, cancelled(bench, fit), strict=True):
        if size > CANCELS:
            yield f"the terms of {name} are {size:.1g} times as large as their sum, and imitate another function"
    whole = check.horizon > 0.999 * check.duration
    if check.chaotic and not whole and check.horizon * check.lyapunov < 1:
        yield f"its prediction holds for {check.horizon * check.lyapunov:.2g} Lyapunov times only"
    if not check.chaotic and check.horizon < 0.9 * check.duration:
        yield f"its prediction holds for {check.horizon:.3g} of {check.duration:.3g} time units, and it is not chaotic"


def _objections_to_map(bench: Bench, fit: SystemFit, noise: np.ndarray, spread: np.ndarray) -> Iterator[str]:
    """What one step of a map says against it."""
    names = bench.data.states
    similar, rest = likeness(bench, fit)
    if (rest > EXPLAINS * spread).any():
        yield f"from one row to the next it leaves {(rest / spread).max():.2g} of the spread"
    if (rest < ONE_STEP * noise).any():
        i = int(np.argmin(rest / noise))
        yield (
            f"it leaves {rest[i] / spread[i]:.2g} of the spread of {names[i]} from one row to the next, and "
            f"{noise[i] / spread[i]:.2g} along a trajectory: the noise acts on the system, not on its observation"
        )
    if similar.max() > LIKE:
        yield f"what it leaves of {names[int(similar.argmax())]} depends on the state: it is not noise"


def cancelled(bench: Bench, fit: SystemFit) -> list[float]:
    """How many times as large as their sum the terms of every equation are; 0 for polynomials and mechanics."""
    data, factors = bench.data, fit.factors()
    x, u, t = (np.concatenate([getattr(p, name) for p in data.paths]) for name in ("x", "u", "t"))
    symbols, columns = (*data.states, *data.controls, data.time), [*x.T, *u.T, t]
    ratios = []
    for row, own in zip(fit.terms, factors, strict=True):
        bodies = [term.body.xreplace({s: sympy.Float(v, 17) for s, v in term.inner.items()}) for term in row]
        if all(b.is_polynomial() for b in bodies) or any(b.free_symbols - set(symbols) for b in bodies):
            ratios.append(0.0)
            continue
        values = [
            c * np.broadcast_to(v, len(x)) for c, v in zip(own, FastProgram(bodies, symbols)(columns), strict=True)
        ]
        sizes = np.sum(np.abs(values), 0)
        ratios.append(float(np.sqrt(np.mean(sizes**2) / max(np.mean(np.sum(values, 0) ** 2), 1e-300))))
    return ratios


def likeness(bench: Bench, fit: SystemFit) -> tuple[np.ndarray, np.ndarray]:
    """The correlation of what a map leaves at a state and at the nearest other state, and its size, per component.

    Near zero for noise, near one where another function fits better (the test of Stefansson, Koncar and Jones, Neural
    Computing and Applications 1997).
    """
    rests = [p.x[1:] - fit.right(p.x[:-1], p.u[:-1], p.t[:-1], fit.shot.constants) for p in bench.data.paths]
    rest = np.concatenate(rests)
    states = np.concatenate([np.column_stack([p.x[:-1], p.u[:-1]]) for p in bench.data.paths])
    scaled = states / np.maximum(states.std(0), 1e-300)
    near = np.asarray(KDTree(scaled).query(scaled, k=2)[1])
    rest = rest - rest.mean(0)
    square = np.mean(rest**2, 0)
    return np.mean(rest * rest[near[:, 1]], 0) / np.maximum(square, 1e-300), np.sqrt(square)


def _left(bench: Bench, fit: SystemFit, paths: Sequence[Path]) -> np.ndarray | None:
    """The noise that trajectories of the law leave, where their initial states are free and nothing else is."""
    segments = Segments.of(paths, bench.segments.x.shape[1])
    noise = np.maximum(fit.shot.noise, bench.floor)
    gaps = (10.0, *bench.gaps)
    shot = shoot(
        segments,
        bench.stepper(fit.right),
        fit.shot.constants,
        segments.x[:, 0],
        noise,
        gaps=gaps,
        floor=bench.floor,
        fixed=True,
    )
    return None if shot is None else shot.noise


def _horizon(bench: Bench, fit: SystemFit, path: Path, spread: np.ndarray, chaotic: bool) -> float:
    """How long the law predicts a path from its first state; of a chaotic one the median over several later begins."""
    first = begin(bench, fit, path)
    spans = [_span(bench, fit, path, first, spread)]
    memory = 5 * bench.segments.x.shape[1] + 20
    if chaotic and spans[0] < 0.999 * (path.t[-1] - path.t[0]):
        for row in np.linspace(0, 0.7 * len(path), 6).astype(int)[1:]:
            known = path.part(slice(max(0, row - memory), row + 1))
            if len(known) > 6:
                spans.append(_span(bench, fit, path.part(slice(row, None)), _state(bench, fit, known, -1), spread))
    return float(np.median(spans))


def _span(bench: Bench, fit: SystemFit, path: Path, start: np.ndarray | None, spread: np.ndarray) -> float:
    """How long the law predicts a path from this state."""
    if start is None:
        return 0.0
    x = simulated(fit.right, fit.shot.constants, start, path.t, path.u, bench.is_map)
    error = np.sqrt(np.mean(((x - path.x) / spread) ** 2, 1))
    noise = float(np.sqrt(np.mean((fit.shot.noise / spread) ** 2)))
    wrong = np.flatnonzero(~(error < max(TOLERATED, 3.5 * noise)))
    return float((path.t[wrong[0]] if len(wrong) else path.t[-1]) - path.t[0])


def begin(bench: Bench, fit: SystemFit, path: Path) -> np.ndarray | None:
    """The state at the begin of a path: that of the fitted trajectory that ends there, else from its first rows."""
    seg = bench.segments
    for k in np.flatnonzero(~seg.linked):
        last = int(np.flatnonzero(seg.seen[k])[-1])
        if seg.t[k, last] == path.t[0] and np.array_equal(seg.x[k, last], path.x[0]):
            times, controls = seg.t[k, : last + 1], seg.u[k, : last + 1]
            return simulated(fit.right, fit.shot.constants, fit.shot.states[k], times, controls, bench.is_map)[-1]
    return _state(bench, fit, path.part(slice(0, max(4, len(path) // 10))), 0)


def _state(bench: Bench, fit: SystemFit, path: Path, row: int) -> np.ndarray | None:
    """The first or last state of the trajectory of the law that is nearest to some rows."""
    segments = Segments.of([path], min(len(path), bench.segments.x.shape[1]))
    noise, c = np.maximum(fit.shot.noise, bench.floor), fit.shot.constants
    starts, step = segments.x[:, 0], bench.stepper(fit.right)
    shot = shoot(segments, step, c, starts, noise, gaps=bench.gaps, floor=bench.floor, fixed=True)
    if shot is None:
        return None
    begun = segments.seen.shape[1] * (len(shot.states) - 1)
    return (
        shot.states[0]
        if row == 0
        else simulated(fit.right, c, shot.states[-1], path.t[begun:], path.u[begun:], bench.is_map)[-1]
    )


def simulated(
    right: RightSide, constants: np.ndarray, start: np.ndarray, t: np.ndarray, u: np.ndarray, is_map: bool
) -> np.ndarray:
    """The trajectory of a law from a state, at the times t with controls u: (times, d); NaN from where it ends."""
    c = np.asarray(constants, dtype=float)
    path = np.full((len(t), len(start)), np.nan)
    path[0] = start
    if is_map:
        with np.errstate(all="ignore"):
            for n in range(len(t) - 1):
                path[n + 1] = right(path[n : n + 1], u[n : n + 1], t[n : n + 1], c)[0]
        return path
    if len(t) < 2 or not np.isfinite(start).all():
        return path

    def velocity(time: float, x: np.ndarray) -> np.ndarray:
        control = np.array([np.interp(time, t, column) for column in u.T])
        return right(x[None], control[None], np.array([time]), c)[0]

    def escaped(_: float, x: np.ndarray) -> float:
        return 1e6 * size - float(np.abs(x).max())

    escaped.terminal = True  # type: ignore[attr-defined]
    size = float(np.abs(start).max()) + 1.0
    with np.errstate(all="ignore"):
        done = solve_ivp(
            velocity, (t[0], t[-1]), start, method="DOP853", t_eval=t, rtol=1e-9, atol=1e-9 * size, events=escaped
        )
    path[: done.y.shape[1]] = done.y.T
    return path


def lyapunov(bench: Bench, fit: SystemFit) -> tuple[float, float]:
    """The largest Lyapunov exponent of a law, by its own Jacobian along its trajectories, and the standard error.

    Trajectories begin at many observed states; the first third, in which small differences turn into the direction of
    fastest growth, does not count.
    """
    seg = bench.segments
    d, c = seg.x.shape[2], fit.shot.constants
    chosen = np.unique(np.linspace(0, len(seg.x) - 1, TANGENTS).astype(int))
    x, u, t = fit.shot.states[chosen], seg.u[chosen, 0], seg.t[chosen, 0]
    step: Callable[..., Any] = map_step(fit.right) if bench.is_map else flow_step(fit.right, bench.substeps)
    interval = 1.0 if bench.is_map else float(np.median(np.concatenate([np.diff(p.t) for p in bench.data.paths])))
    count = 60 if bench.is_map else int(np.clip(bench.data.size // 2, 50, 300))
    tangent = np.zeros((len(x), d, d + len(c)))
    tangent[:, :, 0] = np.random.default_rng(0).normal(size=(len(x), d))
    grown = np.zeros(len(x))
    with np.errstate(all="ignore"):
        for n in range(count):
            x, tangent = step(x, tangent, np.column_stack([t, t + interval]), np.stack([u, u], 1), c)
            t = t + interval
            size = np.linalg.norm(tangent[:, :, 0], axis=1)
            grown += np.log(size) * (n >= count // 3)
            tangent[:, :, 0] /= size[:, None]
            tangent[:, :, 1:] = 0
    rates = grown / ((count - count // 3) * interval)
    rates = rates[np.isfinite(rates) & np.isfinite(x).all(1)]
    if len(rates) < 8:
        return math.nan, math.inf
    return float(rates.mean()), float(rates.std() / math.sqrt(len(rates)))
