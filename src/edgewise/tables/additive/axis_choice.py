"""Choose the terms of a table and their bases: what a column of numbers, levels or dates becomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from edgewise.tables.additive.axes import Axis, CircleAxis, LevelAxis, SplineAxis, counted
from edgewise.tables.additive.blocks import Block, curve_block
from edgewise.tables.additive.inputs import WEEKDAYS, Column, Input
from edgewise.tables.additive.row_sums import joined, many_processes, own_rows

MOST_LEVELS = 1000
"""Levels of a column that have a coefficient of their own; the rarer ones have effect 0, as levels never seen."""
MOST_LEVELS_OF_A_SURFACE = 30
CIRCLE_INTERVALS = 12
SHAPES = ("increasing", "decreasing", "convex", "concave")


@dataclass(frozen=True)
class TermSettings:
    """What the user says about the terms.

    Args:
        intervals: pieces of every curve; None chooses by the number of rows.
        degree: of the splines.
        plain: one penalty of one strength for all curves.
        straight: all curves of numbers are straight lines.
        shapes: the shape of a curve by the name of its column.
        cyclic: the two ends of a period by the name of its column.
        known: axes by the names of terms, which are taken as they are.
    """

    intervals: int | None = None
    degree: int = 3
    plain: bool = False
    straight: bool = False
    shapes: Mapping[str, str] = field(default_factory=dict)
    cyclic: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    known: Mapping[str, Axis] = field(default_factory=dict)


def main_blocks(
    columns: Sequence[Column], weights: np.ndarray, settings: TermSettings
) -> tuple[list[Block], list[str]]:
    """The blocks of all columns, and notes on what was left out.

    Args:
        columns: of the training table.
        weights: of its rows; rows of weight 0 choose nothing.
        settings: of the user.
    """
    known = [column.name for column in columns]
    for what, names in (("shapes", settings.shapes), ("cyclic", settings.cyclic)):
        for name in names:
            if name not in known:
                raise ValueError(f"{what} names the column {name!r}; the columns are {', '.join(known)}")
    for column in columns:
        if column.name in settings.cyclic:
            _check_period(column, settings.cyclic[column.name])
    own, weights = own_rows(len(weights)), joined(weights)
    used = weights > 0
    blocks, notes = [], []
    for position, column in enumerate(columns):
        for part in inputs_of(position, column, used):
            values = joined(part.read(columns))
            axis, note = settings.known.get(part.name), list[str]()
            if axis is None:
                axis, note = choose_axis(part, chosen_rows(values, used), chosen_rows(weights, used), settings)
            shape = settings.shapes.get(column.name, "")
            if shape and not isinstance(axis, SplineAxis):
                raise ValueError(f"the column {column.name!r} cannot be {shape}: only curves of numbers have shapes")
            if shape and shape not in SHAPES:
                raise ValueError(f"shapes[{column.name!r}] is {shape!r}; choose one of {', '.join(SHAPES)}")
            notes += note
            block = curve_block(part, axis, values, weights, plain=settings.plain, shape=shape)
            blocks.append(block.chosen(own) if many_processes() else block)
    return blocks, notes


def _check_period(column: Column, ends: tuple[float, float]) -> None:
    """`ValueError` for a column that is not of numbers, or ends that are not two increasing ones."""
    if column.kind != "number":
        raise ValueError(
            f"cyclic names the column {column.name!r} of {column.kind}s; only numbers are cyclic in a period of yours "
            "(season, weekday and hour of dates are so anyway)"
        )
    if np.shape(ends) != (2,) or not -np.inf < float(ends[0]) < float(ends[1]) < np.inf:
        raise ValueError(f"cyclic[{column.name!r}] must be the two ends of a period such as (0, 24), got {ends!r}")


def inputs_of(position: int, column: Column, used: np.ndarray) -> list[Input]:
    """What is read from a column: dates become a year, a season, a weekday and an hour, where these differ."""
    if column.kind != "date":
        return [Input(position, column.name, column.kind)]
    dates = joined(column.values)[used]
    dates = dates[~np.isnat(dates)]
    found = [Input(position, column.name, "date", "year")]
    if len(dates) and dates.max() - dates.min() > np.timedelta64(180, "D"):
        found.append(Input(position, column.name, "date", "season"))
    if len(np.unique(dates.astype("datetime64[D]").astype(np.int64) % 7)) > 1:
        found.append(Input(position, column.name, "date", "weekday"))
    if (dates != dates.astype("datetime64[D]")).any():
        found.append(Input(position, column.name, "date", "hour"))
    return found


def choose_axis(part: Input, values: np.ndarray, weights: np.ndarray, settings: TermSettings) -> tuple[Axis, list[str]]:
    """The basis of an argument, from its values in rows of positive weight, and notes on what it leaves out."""
    if part.kind == "level" or part.part == "weekday":
        return level_axis(part.name, values, weights, MOST_LEVELS)
    missing = bool(np.isnan(values).any())
    if part.part in ("season", "hour"):
        return CircleAxis(missing, 0.0, 1.0 if part.part == "season" else 24.0, CIRCLE_INTERVALS), []
    if part.column in settings.cyclic:
        low, high = settings.cyclic[part.column]
        return CircleAxis(missing, float(low), float(high) - float(low), settings.intervals or CIRCLE_INTERVALS), []
    intervals = 1 if settings.straight else settings.intervals or default_intervals(weights.sum())
    known = ~np.isnan(values)
    degree = 1 if settings.straight else settings.degree
    axis = spline_axis(chosen_rows(values, known), chosen_rows(weights, known), missing, intervals, degree)
    return axis, [f"{part.name} has no known cell and no effect"] * bool(np.isnan(values).all())


def chosen_rows(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Some rows of an array; the array itself where these are all."""
    return values if chosen.all() else values[chosen]


def default_intervals(rows: float) -> int:
    """Pieces of a curve: the smoothing decides, so that they only must be enough."""
    return int(np.clip(round(1.25 * rows ** (1 / 3)), 5, 32))


def level_axis(name: str, values: np.ndarray, weights: np.ndarray, most: int) -> tuple[LevelAxis, list[str]]:
    """The levels, most frequent first; weekdays in their order."""
    counts: Counter[str | None] = Counter()
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        counts[value] += weight
    missing = counts.pop(None, 0) > 0
    if set(counts) <= set(WEEKDAYS):
        return LevelAxis(missing, tuple(day for day in WEEKDAYS if day in counts)), []
    levels = sorted((str(level) for level in counts), key=lambda level: (-counts[level], level))
    notes = [f"{name} has {len(levels)} levels; all but the {most} most frequent have no effect"] * (len(levels) > most)
    return LevelAxis(missing, tuple(levels[:most])), notes


def spline_axis(values: np.ndarray, weights: np.ndarray, missing: bool, intervals: int, degree: int) -> SplineAxis:
    """Knots at quantiles, with no more functions than distinct values.

    A value that occurs m times weighs as much as the square root of m values: a share of zeros takes few of the knots.
    """
    distinct, counts = counted(values, weights)
    if len(distinct) < 2:
        middle = float(distinct[0]) if len(distinct) else 0.0
        half = max(0.5, 0.5 * abs(middle))
        return SplineAxis(missing, (middle - half, middle + half), 1)
    degree = min(degree, len(distinct) - 1)
    intervals = max(1, min(intervals, len(distinct) - degree))
    share = np.sqrt(counts)
    place = np.cumsum(share) - share / 2
    place = (place - place[0]) / (place[-1] - place[0])
    knots = np.interp(np.linspace(0, 1, intervals + 1), place, distinct)
    apart = np.diff(knots) > 1e-10 * (knots[-1] - knots[0])
    kept = np.append(knots[:-1][apart], knots[-1])
    kept[0] = knots[0]
    return SplineAxis(missing, tuple(map(float, kept)), degree)
