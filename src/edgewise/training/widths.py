"""`widths="auto"`: small shapes first, along the front of error against edges."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from edgewise.nn import KAN, KANLinear
from edgewise.training.result import FitResult, Shape
from edgewise.training.stages import Recipe

_log = logging.getLogger(__name__)

HIDDEN = ((), (1,), (2,), (2, 2), (5,), (3, 2), (8,))
CLOSE = 1e4  # a smaller shape within this factor of the least squared error goes on to finer grids, too
SEARCH_RUNGS = 2  # of every shape: up to the highest degree, so that not the grid decides
SOLVED = 1e-12  # relative error of a search that no larger shape is likely to beat


def walk(model: KAN, recipe: Recipe, train: Callable[[KAN, Recipe], FitResult], variance: float) -> FitResult:
    """Search every shape, extend the best of them, return the best with the front of all.

    `train` runs the recipe on a model; `variance` is the loss of a constant, which the errors are compared with.
    """
    start = time.monotonic()
    seen: list[Shape] = []
    history: list[dict[str, Any]] = []
    results: dict[tuple[int, ...], FitResult] = {}

    def run(widths: tuple[int, ...], rungs: int | None) -> FitResult:
        left = recipe.seconds - (time.monotonic() - start)
        result = train(_reshaped(model, widths), dataclasses.replace(recipe, rungs=rungs, seconds=max(left, 0.0)))
        history.extend({**record, "widths": list(widths)} for record in result.history)
        seen.append(_shape(result, widths))
        _log.info("fit: shape %s: error %.3g", widths, seen[-1].error)
        return result

    for widths in _candidates(model.in_features, model.out_features):
        if seen and recipe.seconds < time.monotonic() - start:
            break
        results[widths] = run(widths, SEARCH_RUNGS)
        if seen[-1].error <= SOLVED**2 * variance:
            break
    best_shape = min(seen, key=lambda shape: (shape.error, shape.edges))
    small_shape = min(seen, key=lambda s: (s.error > CLOSE * best_shape.error, s.edges))
    chosen = dict.fromkeys((small_shape.widths, best_shape.widths))
    finals = [run(widths, None) for widths in chosen if recipe.seconds > time.monotonic() - start]
    best = min([*finals, *results.values()], key=lambda result: result.report["validation"])
    report = {**best.report, "seconds": time.monotonic() - start}
    return FitResult(best.model, history, report, _front(seen))


def _candidates(inputs: int, outputs: int) -> list[tuple[int, ...]]:
    """Shapes by the number of their edges, no layer narrower than the output."""
    shapes = {(inputs, *(max(h, outputs) for h in hidden), outputs) for hidden in HIDDEN}
    return sorted(shapes, key=lambda shape: (_edges(shape), len(shape)))


def _edges(widths: tuple[int, ...]) -> int:
    return sum(a * b for a, b in itertools.pairwise(widths))


def _reshaped(model: KAN, widths: tuple[int, ...]) -> KAN:
    """A model of other widths with the settings and names of the given one."""
    layer = model.layers[0]
    assert isinstance(layer, KANLinear)
    return KAN(
        widths,
        layer.basis,
        residual=layer.residual,
        bias=layer.bias is not None,
        input_names=model.input_names,
        output_names=model.output_names,
        dtype=layer.coef.dtype,
    )


def _shape(result: FitResult, widths: tuple[int, ...]) -> Shape:
    error = float(result.report["validation"])
    return Shape(widths, _edges(widths), result.report["parameters"], error, result.model)


def _front(seen: list[Shape]) -> tuple[Shape, ...]:
    """The shapes that no other beats in both edges and error, small ones first."""
    front, least = [], math.inf
    for shape in sorted(seen, key=lambda s: (s.edges, s.error)):
        if shape.error < least:
            front, least = [*front, shape], shape.error
    return tuple(front)
