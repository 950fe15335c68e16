"""Reads a relation as a formula: an implicit law g(x) = 0 on its level set, or the best law of one of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.discover import discover
from edgewise.discovery.law import Discovery, Law
from edgewise.discovery.noisy import search_ratio
from edgewise.discovery.relations.column_views import VIEWS, ColumnView, views_of
from edgewise.discovery.relations.least_sets import LeastSet
from edgewise.discovery.relations.polynomial_laws import polynomial_law
from edgewise.discovery.relations.predicted_columns import Moments
from edgewise.discovery.relations.relation_columns import Columns
from edgewise.discovery.relations.solved_forms import SolvedForm, solved_forms
from edgewise.discovery.relations.sum_laws import sum_law
from edgewise.progress import Budget, Listener

Array = np.ndarray

ROUNDING = 1e-6
"""A law that leaves less of the spread leaves the rounding of the cells."""

LEAST_SECONDS = 0.5
"""Less time is no search."""

FEW_VALUES = 4
"""A column with fewer different values is a class rather than a number."""

CLEARLY = 0.01
"""A law must explain so much more than a line."""

MOST_SYMBOLS = 25
"""A longer formula of a tendency is not shown."""

NEAR = 0.01
"""How far a neighbouring row is, in standard deviations of every column."""

STEEPEST = 0.1
"""A formula that changes more to a neighbour, in its own standard deviations, swings between the rows."""

MOST_COLUMNS = 6
"""Relations of more columns are shown as curves, without a formula."""

FIRST_TRY = 1 / 4
"""In this share of the time every view is tried once; the rest goes to those that need longer."""

RATIO_ROWS = 3000
"""Ratios of sums are fitted to two thirds of so many rows and judged by the others."""


@dataclass(frozen=True)
class LevelSetLaw:
    """A relation as a formula.

    Attributes:
        law: an expression that is 0 on the rows (up to noise), or None.
        solved: the law solved for its variables.
        exact: whether rounding alone is left.
        share: the share of the variance of the column (or its function) that the law explains; NaN without a law.
        reason: a sentence that says why this law is shown, or why none is.
    """

    law: Any
    solved: tuple[SolvedForm, ...]
    exact: bool
    share: float
    reason: str


def level_set_law(
    columns: Columns, s: LeastSet, moments: Moments, budget: Budget, seed: int, progress: Listener | None
) -> LevelSetLaw:
    """Read one relation within a time limit."""
    objection = _objection(columns, s)
    if objection:
        return _none(objection)
    order = sorted(s.columns)
    symbols = tuple(sympy.Symbol(columns.names[j], real=True) for j in order)
    values, place = columns.values[:, order], order.index(s.target)
    best = _line(values, symbols, place)
    if not s.determined:
        best = _better(best, _ratio(values, symbols, place, seed))
        return _better(best, _searched(values, symbols, place, VIEWS[0], budget, seed, progress)[0])
    likely = views_of(s, moments, values, order)
    exact = _polynomial(values, symbols) or _sum(s, moments, values, symbols, likely)
    if exact is not None:
        return exact
    views = [(order.index(target), view) for target, view in likely]
    for part in (budget.share(FIRST_TRY), budget):
        unfinished = []
        for n, (place, view) in enumerate(views):
            if best.exact or budget.over:
                return best
            own = part.share(1 / (len(views) - n))
            found, whole = _searched(values, symbols, place, view, own, seed, progress)
            best = _better(best, found)
            unfinished += [] if whole else [(place, view)]
        views = unfinished
    return best


def _objection(columns: Columns, s: LeastSet) -> str:
    """Why a relation has no formula; empty where one is searched for."""
    texts = [columns.names[j] for j in sorted(s.columns) if columns.levels[j]]
    if texts:
        return f"{texts[0]} is a column of texts: the relation is between its levels and the curves of the others"
    if len(s.columns) > MOST_COLUMNS:
        return f"{len(s.columns)} columns are too many for a short formula; the curves are the relation"
    if not s.determined and len(np.unique(columns.values[:, s.target])) < FEW_VALUES:
        return f"{columns.names[s.target]} has too few different values for a formula: the curves tell its classes"
    return ""


def _polynomial(values: Array, symbols: tuple[sympy.Symbol, ...]) -> LevelSetLaw | None:
    """The exact implicit polynomial, where there is one."""
    law = polynomial_law(values, symbols)
    if law is None:
        return None
    reason = "exact: the polynomial vanishes in every row up to rounding"
    return LevelSetLaw(law, solved_forms(law, symbols, values), True, 1.0, reason)


def _sum(
    s: LeastSet,
    moments: Moments,
    values: Array,
    symbols: tuple[sympy.Symbol, ...],
    likely: Sequence[tuple[int, ColumnView]],
) -> LevelSetLaw | None:
    """The first exact sum of functions of one column, where there is one."""
    order = sorted(s.columns)
    for target, view in likely:
        found = sum_law(s, moments, values, order, symbols, (target, view))
        if found is not None and found.exact:
            law = view.expression(symbols[order.index(target)]) - found.expression
            reason = f"exact: rounding alone is left ({found.error:.1g} of the spread)"
            return LevelSetLaw(law, solved_forms(law, symbols, values), True, 1.0, reason)
    return None


def _better(best: LevelSetLaw, other: LevelSetLaw) -> LevelSetLaw:
    """The other law where it is exact or explains clearly more."""
    return other if other.law is not None and (other.exact or other.share > best.share + CLEARLY) else best


def _searched(
    values: Array,
    symbols: tuple[sympy.Symbol, ...],
    place: int,
    seen: ColumnView,
    budget: Budget,
    seed: int,
    progress: Listener | None,
) -> tuple[LevelSetLaw, bool]:
    """The law of a function of one column in the others, and whether the search ended within its time."""
    others = [j for j in range(len(symbols)) if j != place]
    y, view = seen.values(values[:, place]), seen.expression(symbols[place])
    found = discover(
        values[:, others],
        y,
        names=[str(symbols[j]) for j in others],
        output=str(view) if seen.plain else "y",
        seconds=max(budget.left, LEAST_SECONDS),
        seed=seed,
        clock=budget.clock,
        progress=progress,
    )
    return _read(found, view, values, symbols, place), not budget.over


def _read(found: Discovery, view: Any, values: Array, symbols: tuple[sympy.Symbol, ...], place: int) -> LevelSetLaw:
    """What a search for a law of a function of one column says of the relation."""
    x = np.delete(values, place, axis=1)
    fitting = [law for law in (found.law, *sorted(found.alternatives, key=_worth)) if law and _is_plain(law, x)]
    if not fitting:
        return _none(f"no law of {view} in the other columns: {found.reason}")
    shown = fitting[0]
    law = view - shown.formula.expressions[0]
    share = max(0.0, 1 - shown.error**2)
    if found.exact or shown.error < ROUNDING:
        reason = f"exact: rounding alone is left ({shown.error:.1g} of the spread)"
        return LevelSetLaw(law, solved_forms(law, symbols, values), True, share, reason)
    solved = (SolvedForm(str(view), shown.formula.expressions[0], 1.0),) if view == symbols[place] else ()
    if found.law is shown:
        reason = f"a law up to noise: it explains {share:.1%} of {view}; {found.reason}"
    else:
        reason = f"the best short formula explains {share:.1%} of {view} and is not announced as a law: {found.reason}"
    return LevelSetLaw(law, solved, False, share, reason)


def _ratio(values: Array, symbols: tuple[sympy.Symbol, ...], place: int, seed: int) -> LevelSetLaw:
    """The shortest ratio of sums of the other columns and their squares that is about as good as the best."""
    rows = np.random.default_rng(seed).permutation(len(values))[:RATIO_ROWS]
    x, y = np.delete(values, place, axis=1), values[:, place]
    names = [str(symbol) for j, symbol in enumerate(symbols) if j != place]
    fitted, held = np.split(rows, [2 * len(rows) // 3])
    chosen = search_ratio((x[fitted], y[fitted]), (x[held], y[held]), names, str(symbols[place]), seed=seed).chosen
    expression = chosen.formula.expressions[0]
    if chosen.complexity > MOST_SYMBOLS or not expression.free_symbols:
        return _none("no short ratio of sums is better than a constant")
    return _formula_of(symbols[place], expression, 1 - chosen.error, "a ratio of sums")


def _is_plain(law: Law, x: Array) -> bool:
    """Whether a law is short and does not swing between neighbouring rows."""
    if law.complexity > MOST_SYMBOLS:
        return False
    steps = NEAR * x.std(0) * np.random.default_rng(0).normal(size=x.shape)
    here, beside = law.formula(x), law.formula(x + steps)
    change = np.median(np.abs(beside - here))
    return bool(change <= STEEPEST * np.std(here))


def _line(values: Array, symbols: tuple[sympy.Symbol, ...], place: int) -> LevelSetLaw:
    """The best linear formula of one column."""
    others = [j for j in range(len(symbols)) if j != place]
    a = np.concatenate([values[:, others], np.ones((len(values), 1))], 1)
    scale = np.abs(a).max(0)
    y = values[:, place]
    weights = np.linalg.pinv(a / scale) @ y / scale
    share = 1 - float(np.var(y - a @ weights) / np.var(y))
    terms = [sympy.Float(w) * symbols[j] for w, j in zip(weights[:-1], others, strict=True)]
    line = sympy.Add(*terms, sympy.Float(weights[-1]) if abs(weights[-1]) > 1e-9 * np.ptp(y) else 0)
    return _formula_of(symbols[place], line, share, "a line")


def _formula_of(symbol: sympy.Symbol, expression: Any, share: float, what: str) -> LevelSetLaw:
    """A formula of one column that explains a share of it."""
    share = max(0.0, share)
    reason = f"{what} explains {share:.1%} of {symbol}: numerical evidence, not a law"
    return LevelSetLaw(symbol - expression, (SolvedForm(str(symbol), expression, 1.0),), False, share, reason)


def _worth(law: Law) -> float:
    return 100 * float(np.log2(max(law.error, 1e-12))) + 4 * law.complexity


def _none(reason: str) -> LevelSetLaw:
    return LevelSetLaw(None, (), False, float("nan"), reason)
