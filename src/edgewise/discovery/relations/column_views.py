r"""Functions of a column that a law may give, $h(x_t) = f(x_{S \setminus t})$: itself, its logarithm, its square.

The curve $\varphi(x_t)$ of the relation shows which: it is, up to scale and offset, that function. Where curves alone
bind the columns, $\sum_j \varphi_j(x_j) = 0$, their curve is compared: a sum is the simplest law, and
$\log z = \sin \pi x + y^2$ is found at once where $z = e^{\sin \pi x + y^2}$ needs a search among outer functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from jaxtyping import Float

from edgewise.discovery.relations.least_sets import DETERMINED, LeastSet
from edgewise.discovery.relations.predicted_columns import Model, Moments

Array = np.ndarray

TRIED = 3
"""So many columns are tried, each with its likeliest view: in a narrow range all views of a column look alike."""

FOLDED = 0.02
"""What a function without an inverse must explain more than one with."""

LONGER = 0.005
"""What a function must explain more than the column itself."""


@dataclass(frozen=True)
class ColumnView:
    """A function of a column that a law is searched for.

    Attributes:
        expression: it, of a symbol.
        values: it, of numbers; NaN where it is undefined.
        invertible: whether the column follows from it.
    """

    expression: Callable[[Any], Any]
    values: Callable[[Array], Array]
    invertible: bool = True

    @property
    def plain(self) -> bool:
        """Whether it is the column itself."""
        return self is VIEWS[0]


VIEWS: tuple[ColumnView, ...] = (
    ColumnView(lambda s: s, lambda v: v),
    ColumnView(sympy.log, lambda v: np.log(np.where(v > 0, v, np.nan))),
    ColumnView(sympy.exp, np.exp),
    ColumnView(lambda s: 1 / s, lambda v: 1 / np.where(v != 0, v, np.nan)),
    ColumnView(lambda s: s**2, lambda v: v**2, invertible=False),
    ColumnView(sympy.cos, np.cos, invertible=False),
    ColumnView(sympy.Abs, np.abs, invertible=False),
)


def views_of(
    s: LeastSet, moments: Moments, values: Float[Array, "rows columns"], order: Sequence[int]
) -> list[tuple[int, ColumnView]]:
    """Columns, and the functions of them that the others give, the likeliest first.

    Args:
        s: the relation.
        moments: of the rows that it was found on.
        values: all rows of its columns.
        order: the columns of `values`.
    """
    likely = []
    for place, target in enumerate(order):
        others = s.columns - {target}
        model = simplest(moments, target, others)
        phi, loss = moments.functions(target, others, model)[0], moments.loss(target, others, model)
        curve = moments.features.columns[target].curves(values[:, place]) @ phi
        ranked = []
        for n, view in enumerate(VIEWS):
            doubt = 1 - _alike(view, values[:, place], curve) * (1 - loss)
            cost = LONGER * (not view.plain) + FOLDED * (not view.invertible)
            ranked.append((round(doubt + cost, 3), n, target, view))
        likely.append(min(ranked, key=lambda r: r[:3]))
    return [(target, view) for *_, target, view in sorted(likely, key=lambda r: r[:3])[:TRIED]]


def simplest(moments: Moments, target: int, others: frozenset[int]) -> Model:
    """The model with curves alone where it leaves next to nothing, else the best of all."""
    alone = min((m for m in moments.models if m.order == 1), key=lambda m: moments.loss(target, others, m))
    return alone if moments.loss(target, others, alone) < DETERMINED else moments.best(target, others)[1]


def _alike(view: ColumnView, v: Array, curve: Array) -> float:
    """The squared correlation of a view and a curve; 0 where the view is undefined in a row."""
    with np.errstate(over="ignore"):
        seen = view.values(v)
    if not np.isfinite(seen).all() or np.ptp(seen) == 0 or np.ptp(curve) == 0:
        return 0.0
    squared = float(np.corrcoef(seen, curve)[0, 1] ** 2)
    return squared if np.isfinite(squared) else 0.0
