"""Measured fields on grids as values: read from arrays, checked, gaps filled, and split in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgewise._columns import as_tensor
from edgewise.discovery.fields.bumps import Points, is_even
from edgewise.discovery.fields.field_terms import AXES, Values

MIN_TIMES, MIN_POINTS = 32, 20
"""The times and the points along an axis at least: a bump needs several, and a part is held out."""

MAX_MISSING = 0.2
"""With a larger share of missing cells a recording is refused."""

LARGEST = 1e50
"""Of all values, and its inverse the smallest: fourth powers are squared."""

HELD_OUT = 0.25
"""The last share of the times, which no law is fitted to before it is verified there."""

SEAM = 3.0
"""A step across the ends of a periodic axis is at most so many times a step between neighbours."""


@dataclass(frozen=True)
class Recording:
    """Fields of one run on one grid.

    Attributes:
        t: times, increasing.
        u: values (fields, n_t, *n_space), first the fields with a law, then known inputs.
        filled: share of the cells whose values were missing.
    """

    t: Points
    u: Values
    filled: float = 0.0

    def part(self, rows: slice) -> Recording:
        """Some of its times."""
        return replace(self, t=self.t[rows], u=self.u[:, rows])


@dataclass(frozen=True)
class FieldData:
    """All that `discover_field` knows of its problem.

    Attributes:
        recordings: of the same fields on the same points.
        space: coordinates of every axis.
        axes: their names.
        names: of the fields with a law, then of the inputs.
        targets: number of the former.
        periodic: whether the ends of every axis are neighbours.
    """

    recordings: tuple[Recording, ...]
    space: tuple[Points, ...]
    axes: tuple[str, ...]
    names: tuple[str, ...]
    targets: int
    periodic: tuple[bool, ...]

    def split(self) -> tuple[FieldData, FieldData]:
        """The first part of the times of every recording, and the rest."""
        cuts = [round(len(r.t) * (1 - HELD_OUT)) for r in self.recordings]
        first = tuple(r.part(slice(0, c)) for r, c in zip(self.recordings, cuts, strict=True))
        last = tuple(r.part(slice(c, None)) for r, c in zip(self.recordings, cuts, strict=True))
        return replace(self, recordings=first), replace(self, recordings=last)


def read_fields(t: Any, u: Any, space: Any, inputs: Mapping[str, Any] | None, periodic: Any) -> FieldData:
    """The data of `discover_field`, checked; every `ValueError` names the array and what to do."""
    axes, points = _space(space)
    many = isinstance(u, list | tuple) and not _is_plain(u)
    runs = list(u) if many else [u]
    times = list(t) if many and isinstance(t, list | tuple) and not _is_plain(t) else [t] * len(runs)
    if len(times) != len(runs):
        raise ValueError(f"t has {len(times)} recordings and u has {len(runs)}; give one t for each u, or one for all")
    tables = [_named(run) for run in runs]
    names = tuple(tables[0])
    if any(tuple(table) != names for table in tables):
        raise ValueError("the recordings have different fields; give the same names in the same order in each")
    if inputs is not None and not isinstance(inputs, Mapping):
        raise ValueError("inputs must be a mapping of names to arrays, such as {'f': f}")
    known = dict(inputs or {})
    _check_names((*names, *known), axes)
    recordings = tuple(
        _recording(time, table, known, points, f" of recording {n}" if many else "")
        for n, (time, table) in enumerate(zip(times, tables, strict=True))
    )
    recordings, points = _without_repeated_end(recordings, points, periodic)
    closed = _periodic(recordings, points, periodic)
    return FieldData(recordings, points, axes, (*names, *known), len(names), closed)


def _space(space: Any) -> tuple[tuple[str, ...], tuple[Points, ...]]:
    if isinstance(space, Mapping):
        axes, arrays = tuple(map(str, space)), tuple(space.values())
    else:
        many = isinstance(space, tuple) or (isinstance(space, list) and not _is_plain(space))
        arrays = tuple(space) if many else (space,)
        axes = AXES[: len(arrays)]
    if not 1 <= len(arrays) <= len(AXES):
        raise ValueError(f"space has {len(arrays)} axes; give the coordinates of one, two or three of them")
    return axes, tuple(_increasing(a, f"space[{name!r}]", MIN_POINTS) for name, a in zip(axes, arrays, strict=True))


def _increasing(values: Any, what: str, least: int) -> Points:
    array = _numbers(values, what)
    if array.ndim != 1 or len(array) < least:
        raise ValueError(f"{what} has shape {array.shape}; it must be one axis of at least {least} coordinates")
    if not np.isfinite(array).all() or not (np.diff(array) > 0).all():
        raise ValueError(f"{what} must increase from one to the next; sort it together with u, without repeats")
    return array


def _numbers(values: Any, what: str) -> np.ndarray:
    """Real numbers as float64; a masked cell is NaN."""
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(float), np.nan)
    try:
        array = np.asarray(as_tensor(values) if hasattr(values, "to_numpy") else values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{what} is no array of numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{what} has the type {array.dtype}; give an array of real numbers, complex fields as two")
    array = array.astype(np.float64)
    largest = abs(array[np.isfinite(array)]).max(initial=0.0)
    if largest > LARGEST or 0 < largest < 1 / LARGEST:
        raise ValueError(f"{what} has values of size {largest:.3g}, whose powers are no numbers; choose another unit")
    return array


def _is_plain(values: Any) -> bool:
    """Whether a list is an array written out, not a list of recordings."""
    return not any(isinstance(v, Mapping) or getattr(v, "ndim", 0) >= 1 for v in values)


def _named(u: Any) -> dict[str, np.ndarray]:
    table = {str(k): v for k, v in u.items()} if isinstance(u, Mapping) else {"u": u}
    if not table:
        raise ValueError("u has no fields; give an array, or arrays by name")
    return {name: _numbers(v, name) for name, v in table.items()}


def _check_names(names: Sequence[str], axes: Sequence[str]) -> None:
    for name in (*names, *axes):
        if not name.isidentifier() or "_" in name:
            raise ValueError(f"{name!r} cannot be the name of a field or axis; use letters and digits, no underscore")
    if any(len(axis) != 1 for axis in axes):
        raise ValueError(f"the axes are named {', '.join(axes)}; use single letters, as derivatives are written u_xx")
    if len({*names, *axes, "t"}) < len(names) + len(axes) + 1:
        raise ValueError(f"{', '.join((*names, *axes))}: fields and axes need different names, and none may be t")


def _recording(
    t: Any, table: Mapping[str, np.ndarray], inputs: Mapping[str, Any], space: Sequence[Points], where: str
) -> Recording:
    time = _increasing(t, f"t{where}", MIN_TIMES)
    shape = (len(time), *map(len, space))
    for name, values in table.items():
        if values.shape != shape:
            raise ValueError(
                f"{name}{where} has shape {values.shape}; t and space ask for {shape}: (n_t, n_x, ...)"
                + ("; its axes are in another order, move them" if sorted(values.shape) == sorted(shape) else "")
            )
        values = values[np.isfinite(values)]
        if values.size and np.std(values) <= 1e-12 * abs(values).max():
            raise ValueError(f"{name}{where} is constant; a law cannot be seen in it")
    given = [_numbers(v, f"inputs[{n!r}]") for n, v in inputs.items()]
    try:
        known = [np.broadcast_to(v, shape) for v in given]
    except ValueError as error:
        raise ValueError(f"the inputs {', '.join(inputs)} must have the shape {shape}{where}, or broadcast") from error
    u = np.stack([*table.values(), *known])
    missing = ~np.isfinite(u)
    share = float(missing.any(0).mean())
    if share > MAX_MISSING:
        raise ValueError(f"{share:.0%} of the cells{where} are missing or not finite; at most {MAX_MISSING:.0%} may be")
    return Recording(time, _filled(u, missing, time) if share else u, share)


def _filled(u: Values, missing: np.ndarray, t: Points) -> Values:
    """Missing cells from their neighbours in time, linear."""
    flat, holes = u.copy().reshape(len(u), len(t), -1), missing.reshape(len(u), len(t), -1)
    for f, x in np.argwhere(holes.any(1)):
        hole = holes[f, :, x]
        if hole.all():
            raise ValueError("a point in space has no values at any time; leave it out of space and of u")
        flat[f, hole, x] = np.interp(t[hole], t[~hole], flat[f, ~hole, x])
    return flat.reshape(u.shape)


def _without_repeated_end(
    recordings: tuple[Recording, ...], space: tuple[Points, ...], periodic: Any
) -> tuple[tuple[Recording, ...], tuple[Points, ...]]:
    """The last point of a periodic axis dropped where it repeats the first."""
    points = list(space)
    for axis, x in enumerate(space, 2):
        same = all(np.array_equal(r.u.take(0, axis), r.u.take(-1, axis)) for r in recordings)
        if same and periodic is not False and any(np.ptp(r.u.take(0, axis)) > 0 for r in recordings):
            points[axis - 2] = x[:-1]
            kept = np.arange(len(x) - 1)
            recordings = tuple(replace(r, u=r.u.take(kept, axis)) for r in recordings)
    return recordings, tuple(points)


def _periodic(recordings: Sequence[Recording], space: Sequence[Points], given: Any) -> tuple[bool, ...]:
    if given is not None:
        flags = (given,) * len(space) if isinstance(given, bool) else tuple(given) if np.iterable(given) else (given,)
        if not all(isinstance(flag, bool | np.bool_) for flag in flags):
            raise ValueError(f"periodic={given!r} must be True, False, or a tuple of these for every axis")
        flags = tuple(map(bool, flags))
        if len(flags) != len(space):
            raise ValueError(f"periodic has {len(flags)} values and space has {len(space)} axes")
        return flags
    return tuple(is_even(x) and all(_closes(r.u, axis) for r in recordings) for axis, x in enumerate(space, 2))


def _closes(u: Values, axis: int) -> bool:
    """Whether all fields step across the ends of an axis, in value and slope, as they do between its neighbours."""
    u = np.moveaxis(u, axis, -1)
    steps, across = np.diff(u, axis=-1), u[..., 0] - u[..., -1]
    bend = np.stack([steps[..., 0] - across, across - steps[..., -1]], -1)
    others = (1,) * 0 + tuple(range(1, u.ndim - 1))
    step, jump = np.sqrt((steps**2).mean(others)).max(-1), np.sqrt((across**2).mean(others))
    curve = np.sqrt((np.diff(steps, axis=-1) ** 2).mean(others)).max(-1)
    kink = np.sqrt((bend**2).mean(others)).max(-1)
    return bool((jump <= SEAM * step).all() and (kink <= SEAM * curve).all())
