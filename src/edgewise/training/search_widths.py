"""`Auto(widths="auto")`: small shapes first, along the front of error against edges."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math

from edgewise.nn import KAN, KANLinear
from edgewise.progress import Budget
from edgewise.training.methods import Auto
from edgewise.training.result import FitResult, Record, Shape
from edgewise.training.samples import Run, Samples
from edgewise.training.search_recipe import search

_log = logging.getLogger(__name__)

HIDDEN = ((), (1,), (2,), (2, 2), (5,), (3, 2), (8,))
CLOSE = 1e4  # a smaller shape within this factor of the least squared error is extended to finer grids, too
SEARCH_RUNGS = 2  # of every shape: up to the highest degree, so that not the grid decides
SOLVED = 1e-12  # relative error of a search that no larger shape is likely to beat


def search_widths(run: Run, method: Auto, train: Samples, held: Samples | None, budget: Budget) -> FitResult:
    """Search every shape, extend the best of them, return the best with the front of all."""
    given = run.model
    assert isinstance(given, KAN)
    variance = float(train.y.var(0, correction=0).mean()) if run.loss.units else 0.0  # the loss of a constant
    seen: list[Shape] = []
    history: list[Record] = []
    results: list[FitResult] = []

    def try_(widths: tuple[int, ...], rungs: int | None) -> None:
        model = _reshaped(given, widths)
        result = search(dataclasses.replace(run, model=model), method, train, held, budget.share(1.0), rungs)
        history.extend({**record, "widths": list(widths)} for record in result.history)
        seen.append(_shape(result, widths))
        results.append(result)
        _log.info("fit: shape %s: error %.3g", widths, seen[-1].error)

    for widths in _shapes(given.in_features, given.out_features):
        if seen and budget.over:
            break
        try_(widths, SEARCH_RUNGS)
        if seen[-1].error <= SOLVED**2 * variance:
            break
    searched = len(seen)
    best_shape = min(seen, key=lambda shape: (shape.error, shape.edges))
    small_shape = min(seen, key=lambda s: (s.error > CLOSE * best_shape.error, s.edges))
    for widths in dict.fromkeys((small_shape.widths, best_shape.widths)):
        if not budget.over:
            try_(widths, None)
    best = min([*results[searched:], *results[:searched]], key=_error)
    report = dataclasses.replace(best.report, seconds=budget.spent)
    return FitResult(best.model, history, report, _front(seen))


def _error(result: FitResult) -> float:
    """The held-out loss, which every search reports."""
    assert result.report.validation is not None
    return result.report.validation


def _shapes(inputs: int, outputs: int) -> list[tuple[int, ...]]:
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
    return Shape(widths, _edges(widths), result.report.parameters, _error(result), result.model)


def _front(seen: list[Shape]) -> tuple[Shape, ...]:
    """The shapes that no other one beats in both edges and error, small ones first."""
    front, least = [], math.inf
    for shape in sorted(seen, key=lambda s: (s.edges, s.error)):
        if shape.error < least:
            front, least = [*front, shape], shape.error
    return tuple(front)
