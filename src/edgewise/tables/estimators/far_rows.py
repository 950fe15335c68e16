"""Warns of rows far outside those of training: curves continue as straight lines there, and reach any value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from edgewise.nn import KAN, KANLinear
from edgewise.tables.additive import AdditiveModel
from edgewise.tables.additive.axes import SplineAxis
from edgewise.tables.additive.inputs import Column
from edgewise.tables.estimators.warned import warn_user

FAR = 1.0
"""Widths of the range of training beyond its ends."""
NAMED = 3

Reading = tuple[str, np.ndarray, float, float]
"""A name, the numbers that are read, and the ends of the range in training."""


def warn_of_far_rows(readings: Iterable[Reading]) -> None:
    """Warn where a number lies farther outside the range of training than that is wide.

    Args:
        readings: of every input.
    """
    found = [text for reading in readings if (text := _farthest(*reading))]
    if found:
        more = f"; {len(found) - NAMED} columns more" if len(found) > NAMED else ""
        warn_user(
            "rows lie farther outside the rows of training than those are wide: curves continue as straight lines "
            f"there, and nothing was learnt about such rows: {'; '.join(found[:NAMED])}{more}"
        )


def _farthest(name: str, values: np.ndarray, low: float, high: float) -> str:
    reach = FAR * (high - low)
    if not len(values) or not (np.fmin.reduce(values) < low - reach or np.fmax.reduce(values) > high + reach):
        return ""
    beyond = np.fmax(low - values, values - high)
    row, count = int(np.nanargmax(beyond)), int((beyond > reach).sum())
    return f"{name!r} ({count}), such as {values[row]:g} in row {row} where training had {low:g} to {high:g}"


def of_additive(model: AdditiveModel, columns: list[Column]) -> Iterator[Reading]:
    """What the curves of an additive model read."""
    for term in model.terms:
        (part, *others), axis = term.inputs, term.axes[0]
        if not others and isinstance(axis, SplineAxis):
            yield part.name, part.read(columns), axis.knots[0], axis.knots[-1]


def of_network(model: KAN, x: np.ndarray) -> Iterator[Reading]:
    """What the first layer of a network reads, in the user's units."""
    layer, units = model.layers[0], model.input_affine
    assert isinstance(layer, KANLinear)
    ends = torch.stack(layer.basis.span(layer.grid))
    if units is not None:
        ends = (ends - units.shift) / units.scale
    low, high = ends.amin(0).tolist(), ends.amax(0).tolist()
    yield from zip(model.input_names or (), x.T, low, high, strict=True)
