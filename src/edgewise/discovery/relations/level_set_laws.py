"""Reads a relation as a formula: an implicit law g(x) = 0 on its level set, or the best law of one of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from edgewise.discovery.discover import discover
from edgewise.discovery.law import Law
from edgewise.discovery.relations.least_sets import LeastSet
from edgewise.discovery.relations.polynomial_laws import polynomial_law
from edgewise.discovery.relations.predicted_columns import Moments
from edgewise.discovery.relations.relation_columns import Columns
from edgewise.discovery.relations.solved_forms import SolvedForm, solved_forms
from edgewise.progress import Budget, Listener

Array = np.ndarray

ROUNDING = 1e-6
"""A law that leaves less of the spread leaves the rounding of the cells."""

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

SEEN_THROUGH: tuple[tuple[Callable[[Any], Any], Callable[[Array], Array]], ...] = (
    (lambda s: s, lambda v: v),
    (lambda s: s**2, lambda v: v**2),
    (sympy.cos, np.cos),
    (sympy.Abs, np.abs),
)
"""Functions of a column that a law is searched for where the column itself is no function of the others."""


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
    order = sorted(s.columns)
    texts = [columns.names[j] for j in order if columns.levels[j]]
    if texts:
        return _none(
            f"{texts[0]} is a column of texts: the relation is between its levels and the curves of the others"
        )
    if len(order) > MOST_COLUMNS:
        return _none(f"{len(order)} columns are too many for a short formula; the curves are the relation")
    symbols = tuple(sympy.Symbol(columns.names[j], real=True) for j in order)
    values = columns.values[:, order]
    polynomial = polynomial_law(values, symbols) if s.determined else None
    if polynomial is not None:
        forms = solved_forms(polynomial, symbols, values)
        return LevelSetLaw(polynomial, forms, True, 1.0, "exact: the polynomial vanishes in every row up to rounding")
    if not s.determined and len(np.unique(columns.values[:, s.target])) < FEW_VALUES:
        return _none(
            f"{columns.names[s.target]} has too few different values for a formula: the curves tell its classes"
        )
    best = _line(values, symbols, order.index(s.target))
    for target, seen, share in _views(s, moments, values, order):
        if budget.over:
            break
        found = _searched(values, symbols, order.index(target), seen, budget.share(share), seed, progress)
        if found.law is not None and (found.exact or found.share > best.share + CLEARLY):
            best = found
        if best.exact or not s.determined:
            break
    return best


def _views(
    s: LeastSet, moments: Moments, values: Array, order: list[int]
) -> Iterator[tuple[int, tuple[Callable[[Any], Any], Callable[[Array], Array]], float]]:
    """Columns and functions of them that the others may determine, the likeliest first, with shares of the time."""
    ranked = []
    for target in order if s.determined else (s.target,):
        others = s.columns - {target}
        model = s.model if target == s.target else moments.best(target, others)[1]
        phi, loss = moments.functions(target, others, model)[0], moments.loss(target, others, model)
        v = values[:, order.index(target)]
        curve = moments.features.columns[target].curves(v) @ phi
        for n, seen in enumerate(SEEN_THROUGH):
            alike = float(np.corrcoef(seen[1](v), curve)[0, 1] ** 2) if np.ptp(seen[1](v)) > 0 else 0.0
            ranked.append((round(1 - alike * (1 - loss), 3) + 0.02 * (n > 0), n, target, seen))
    ranked.sort(key=lambda r: r[:3])
    for n, (_, _, target, seen) in enumerate(ranked[:3]):
        yield target, seen, 1 / (3 - n)


def _searched(
    values: Array,
    symbols: tuple[sympy.Symbol, ...],
    place: int,
    seen: tuple[Callable[[Any], Any], Callable[[Array], Array]],
    budget: Budget,
    seed: int,
    progress: Listener | None,
) -> LevelSetLaw:
    """The law of a function of one column in the others, and what it says of the rest."""
    others = [j for j in range(len(symbols)) if j != place]
    y, view = seen[1](values[:, place]), seen[0](symbols[place])
    found = discover(
        values[:, others],
        y,
        names=[str(symbols[j]) for j in others],
        output=str(view) if view in symbols else "y",
        seconds=max(budget.left, 0.5),
        seed=seed,
        clock=budget.clock,
        progress=progress,
    )
    x = values[:, others]
    fitting = [law for law in (found.law, *sorted(found.alternatives, key=_worth)) if law and _is_plain(law, x)]
    if not fitting:
        return _none(f"no law of {view} in the other columns: {found.reason}")
    shown = fitting[0]
    law = view - shown.formula.expressions[0]
    exact = found.exact or shown.error < ROUNDING
    forms = (
        solved_forms(law, symbols, values)
        if exact
        else (SolvedForm(str(symbols[place]), shown.formula.expressions[0], 1.0),)
        if view == symbols[place]
        else ()
    )
    share = max(0.0, 1 - shown.error**2)
    if exact:
        reason = f"exact: rounding alone is left ({shown.error:.1g} of the spread)"
    elif found.law is shown:
        reason = f"a law up to noise: it explains {share:.1%} of {view}; {found.reason}"
    else:
        reason = f"the best short formula explains {share:.1%} of {view} and is not announced as a law: {found.reason}"
    return LevelSetLaw(law, forms, exact, share, reason)


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
