"""Observed trajectories as values: read from arrays, frames and lists, checked, and split into fitted and held-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from jaxtyping import Float

from edgewise._columns import as_tensor, column_names

MIN_ROWS = 12
"""The rows that a trajectory must have; with fewer nothing is left to verify a law with."""

HELD_OUT = 0.2
"""The share of the observations that no constant is fitted to before the verification."""

MANY = 5
"""From this number of trajectories on whole ones are held out, else the last part of each."""


@dataclass(frozen=True)
class Path:
    """One observed trajectory.

    Attributes:
        t: times (n,), increasing.
        x: observations (n, d).
        u: controls (n, k), linear between the times.
        label: its name, for messages.
    """

    t: Float[np.ndarray, " n"]
    x: Float[np.ndarray, "n d"]
    u: Float[np.ndarray, "n k"]
    label: str = ""

    def __len__(self) -> int:
        return len(self.t)

    def part(self, rows: slice) -> Path:
        """Some of its rows."""
        return replace(self, t=self.t[rows], x=self.x[rows], u=self.u[rows])


@dataclass(frozen=True)
class Trajectories:
    """Trajectories of one system with the symbols of its components.

    Attributes:
        paths: the trajectories.
        states, controls: symbols of the components of x and u.
        time: the symbol of time.
    """

    paths: tuple[Path, ...]
    states: tuple[sympy.Symbol, ...]
    controls: tuple[sympy.Symbol, ...]
    time: sympy.Symbol

    @property
    def spread(self) -> Float[np.ndarray, " d"]:
        """The standard deviation of every component over all trajectories."""
        return np.concatenate([path.x for path in self.paths]).std(0)

    @property
    def size(self) -> int:
        """The number of observations."""
        return sum(map(len, self.paths))

    @property
    def duration(self) -> float:
        """The length of the longest trajectory in time."""
        return max(float(path.t[-1] - path.t[0]) for path in self.paths)

    def split(self) -> tuple[Trajectories, Trajectories]:
        """What is fitted, and what is held out: whole trajectories where there are many, else the last part of each."""
        if len(self.paths) >= MANY:
            held = max(1, round(HELD_OUT * len(self.paths)))
            return replace(self, paths=self.paths[:-held]), replace(self, paths=self.paths[-held:])
        cuts = [len(path) - max(4, round(HELD_OUT * len(path))) for path in self.paths]
        fitted = tuple(path.part(slice(0, cut)) for path, cut in zip(self.paths, cuts, strict=True))
        rest = tuple(path.part(slice(cut - 1, None)) for path, cut in zip(self.paths, cuts, strict=True))
        return replace(self, paths=fitted), replace(self, paths=rest)


def read_trajectories(
    t: Any, x: Any, controls: Any, trajectory: Any, names: Sequence[str] | None, control_names: Sequence[str] | None
) -> Trajectories:
    """The trajectories of the arguments of `discover_dynamics`; raises `ValueError` naming the first fault."""
    many = isinstance(x, list | tuple) and bool(x) and np.ndim(next(iter(x))) >= 1
    if many and trajectory is not None:
        raise ValueError("`trajectory` labels the rows of one array; x is already a list of trajectories")
    first, first_u = (x[0] if many else x), (controls[0] if many and controls is not None else controls)
    labels = [f"trajectory {n}" for n in range(len(x))] if many else [""]
    xs = [
        _columns(part, f"x of {label}" if label else "x")
        for part, label in zip(x if many else [x], labels, strict=True)
    ]
    ts = _times(t, xs, many)
    us = _controls(controls, xs, many)
    paths = [Path(t, x, u, label) for t, x, u, label in zip(ts, xs, us, labels, strict=True)]
    if trajectory is not None:
        paths = _parts(paths[0], trajectory)
    width = {path.x.shape[1] for path in paths}
    if len(width) > 1:
        raise ValueError(f"the trajectories have different numbers of components: {sorted(width)}")
    states = _symbols(names or column_names(first), paths[0].x.shape[1], "x")
    inputs = _symbols(control_names or column_names(first_u), paths[0].u.shape[1], "u")
    found = Trajectories(tuple(paths), states, inputs, _time_symbol(states, inputs))
    _check(found)
    return found


def _columns(values: Any, what: str) -> Float[np.ndarray, "n d"]:
    values = np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values
    array = np.array(as_tensor(values).detach().cpu().double().numpy())
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"{what} has shape {array.shape}; give (times, components), or a list of such arrays")
    return array


def _times(t: Any, xs: Sequence[np.ndarray], many: bool) -> list[np.ndarray]:
    """The times of every trajectory; one array serves all that have its length."""
    own = many and isinstance(t, list | tuple) and len(t) == len(xs) > 0 and np.ndim(t[0]) >= 1
    given = [np.array(as_tensor(part).double().numpy()) for part in (t if own else [t] * len(xs))]
    for times, x in zip(given, xs, strict=True):
        if times.shape != (len(x),):
            raise ValueError(f"t has shape {times.shape} and x {x.shape}; there must be one time for every row of x")
    return given


def _controls(controls: Any, xs: Sequence[np.ndarray], many: bool) -> list[np.ndarray]:
    if controls is None:
        return [np.zeros((len(x), 0)) for x in xs]
    given = [_columns(part, "controls") for part in (controls if many else [controls])]
    if [len(u) for u in given] != [len(x) for x in xs]:
        raise ValueError("controls must have one row for every row of x")
    return given


def _parts(path: Path, trajectory: Any) -> list[Path]:
    """One path for every label, in the order of their first rows."""
    labels = np.asarray(trajectory)
    if labels.shape != (len(path),):
        raise ValueError(f"`trajectory` has shape {labels.shape}; it must have one label for each of {len(path)} rows")
    distinct = list(dict.fromkeys(labels.tolist()))
    rows = [np.flatnonzero(labels == label) for label in distinct]
    return [
        Path(path.t[i], path.x[i], path.u[i], f"trajectory {label}") for label, i in zip(distinct, rows, strict=True)
    ]


def _symbols(names: Sequence[str] | None, count: int, letter: str) -> tuple[sympy.Symbol, ...]:
    plain = [letter] if count == 1 else [f"{letter}{n + 1}" for n in range(count)]
    names = plain if names is None else [str(name) for name in names]
    if len(names) != count or len(set(names)) < count:
        raise ValueError(f"{count} different names are needed for the components, got {', '.join(names)}")
    return tuple(sympy.Symbol(name, real=True) for name in names)


def _time_symbol(*taken: Sequence[sympy.Symbol]) -> sympy.Symbol:
    names = {symbol.name for symbols in taken for symbol in symbols}
    return sympy.Symbol(next(name for name in ("t", "time", "t_", "time_") if name not in names), real=True)


def _check(found: Trajectories) -> None:
    shared = {s.name for s in found.states} & {s.name for s in found.controls}
    if shared:
        raise ValueError(f"{', '.join(sorted(shared))}: a name of a component and of a control; rename one of them")
    for path in found.paths:
        where = f" of {path.label}" if path.label else ""
        for name, values, symbols in (("x", path.x, found.states), ("controls", path.u, found.controls)):
            rows, columns = np.nonzero(~np.isfinite(values))
            if len(rows):
                raise ValueError(
                    f"{name}{where} is not finite in row {rows[0]}, component {symbols[columns[0]]} ({len(rows)} cells "
                    "in all); drop these rows, or fill them from what you know: missing components are not guessed"
                )
        if not np.isfinite(path.t).all():
            raise ValueError(f"t{where} is not finite in row {np.flatnonzero(~np.isfinite(path.t))[0]}")
        back = np.flatnonzero(np.diff(path.t) <= 0)
        if len(back):
            n = back[0]
            raise ValueError(
                f"t{where} does not increase at row {n + 1} ({path.t[n]:g}, then {path.t[n + 1]:g}); sort the rows, "
                "drop repeated times, or tell trajectories apart with `trajectory` or a list"
            )
        if len(path) < MIN_ROWS:
            raise ValueError(f"{path.label or 'x'} has {len(path)} rows; at least {MIN_ROWS} are needed")
    still = [str(s) for s, sd, top in zip(found.states, found.spread, _sizes(found), strict=True) if sd <= 1e-12 * top]
    if still:
        raise ValueError(f"{', '.join(still)}: constant in all rows; leave it out, it is a parameter and no state")


def _sizes(found: Trajectories) -> np.ndarray:
    return np.maximum(np.abs(np.concatenate([path.x for path in found.paths])).max(0), 1e-300)
