r"""Laws that are sums of functions of one column, $h(x_t) = c + \sum_j f_j(x_j)$, from the curves of the relation.

Where curves alone bind the columns, every one of them is named by itself; the constants are then refitted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float

from edgewise.discovery.relations.column_views import ColumnView, simplest
from edgewise.discovery.relations.least_sets import DETERMINED, LeastSet
from edgewise.discovery.relations.predicted_columns import Moments
from edgewise.expressions.constants import refit_constants, snap
from edgewise.expressions.evaluate import evaluate
from edgewise.expressions.simplify import canonical
from edgewise.symbolic.edges import search_edge

FITTED_ROWS = 600
"""Constants are fitted to so many rows, and judged by all."""

CURVE_ERROR = 1e-3
"""The relative error of a curve of a relation; functions that are closer to it are as good."""


EXACT = 1e-6
"""A sum with a smaller error leaves the rounding of the cells."""

EXACT_WITH_NUMBERS = 1e-9
"""The same where more numbers without a name than `FEW_NUMBERS` could imitate a curve."""

FEW_NUMBERS = 2


@dataclass(frozen=True)
class SumLaw:
    """A sum of functions of one column each, and its largest error in units of the spread of what it gives."""

    expression: Any
    error: float

    @property
    def exact(self) -> bool:
        """Whether rounding alone is left."""
        numbers = len(self.expression.atoms(sympy.Float))
        return self.error < (EXACT if numbers <= FEW_NUMBERS else EXACT_WITH_NUMBERS)


def sum_law(
    s: LeastSet,
    moments: Moments,
    values: Float[np.ndarray, "rows columns"],
    order: list[int],
    symbols: tuple[sympy.Symbol, ...],
    view: tuple[int, ColumnView],
) -> SumLaw | None:
    """The view of a column as a sum of functions of the others; None where curves alone do not bind them.

    Args:
        s: the relation.
        moments: of the rows that it was found on.
        values: all rows of its columns.
        order: the columns of `values`.
        symbols: of them.
        view: a column, and the function of it that the sum gives.
    """
    target, seen = view
    others = s.columns - {target}
    model = simplest(moments, target, others)
    if model.order > 1 or moments.loss(target, others, model) > DETERMINED:
        return None
    phi, weights = moments.functions(target, others, model)
    y = seen.values(values[:, order.index(target)])
    columns = moments.features.columns
    slope = np.polyfit(columns[target].curves(values[:, order.index(target)]) @ phi, y, 1)[0]
    terms, start = [], 0
    for j in sorted(others):
        v = values[:, order.index(j)]
        curve = slope * columns[j].curves(v) @ weights[start : start + columns[j].width]
        start += columns[j].width
        found = search_edge(torch.as_tensor(v), torch.as_tensor(curve), resolution=CURVE_ERROR)
        if not found:
            return None
        terms.append(found[0].expression(symbols[order.index(j)]))
    return _refitted(canonical(sympy.Add(*terms, sympy.Float(y.mean()))), symbols, values, y)


def _refitted(law: Any, symbols: tuple[sympy.Symbol, ...], values: np.ndarray, y: np.ndarray) -> SumLaw:
    """The sum with its constants refitted and named, and its error."""
    x, wanted = torch.as_tensor(values), torch.as_tensor(y)[:, None]
    (law,), _ = refit_constants((law,), symbols, x[:FITTED_ROWS], wanted[:FITTED_ROWS])
    (law,) = snap((law,), symbols, x[:FITTED_ROWS], wanted[:FITTED_ROWS])
    off = (evaluate((law,), symbols, x) - wanted).abs().max()
    return SumLaw(law, float(off / y.std()))
