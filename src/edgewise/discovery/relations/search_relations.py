r"""Finds which columns of a table are bound by relations, without a target.

Liu et al. (KAN, 2024, section 4.2) train a network [n, 1, 1] to tell rows from rows whose columns were permuted. What
it can find, $\sum_j \varphi_j(x_j) = 0$, is here an eigenproblem, with products of columns beside the curves, for every
column in turn (`predicted_columns`); each answer is reduced to its least set of columns (`least_sets`), chains are
split and implied relations set apart (`distinct_sets`). Half of the rows searches; the other half tests against
permuted columns (`against_chance`). What passes is read as a formula (`level_set_laws`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from edgewise.discovery.relations.against_chance import TEST_ROWS
from edgewise.discovery.relations.column_functions import make_features, nearly_constant
from edgewise.discovery.relations.distinct_sets import DistinctSets, distinct_sets, least_sets
from edgewise.discovery.relations.least_sets import LeastSet
from edgewise.discovery.relations.level_set_laws import level_set_law
from edgewise.discovery.relations.predicted_columns import Moments, moments_of
from edgewise.discovery.relations.relation_columns import Columns, read_columns
from edgewise.discovery.relations.relations_found import Relation, Relations
from edgewise.discovery.relations.tested_sets import Representative, divided, tested_sets
from edgewise.display import shows_progress
from edgewise.progress import Budget, Listener, Pulse, TimeIsOver

MOST_WITH_TRIPLES = 10
"""With more columns products of three are left out, and with more than twice as many those of two."""

CURVES = 5, 12
"""The fewest and the most curves of a column."""

ROWS_PER_CURVE = 25
SHOWN_ROWS = 400

SEARCH_SHARE = 0.7
"""The share of the time after which no further column is searched: what was found must be tested too."""

LATE = "the time was over; give more `seconds`, or fewer columns"


@shows_progress
def search_relations(
    table: Any,
    *,
    names: Sequence[str] | None = None,
    fdr: float = 0.05,
    formulas: bool = True,
    seconds: float = 60.0,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
    progress: bool | Listener | None = None,
) -> Relations:
    """Search for relations among the columns of a table.

    Args:
        table: a frame, a mapping of columns, or an array of shape (rows, columns); texts are levels. Rows are taken as
            drawn independently: not for series in time, whose neighbours are alike.
        names: of the columns of an array; of a frame: the columns to use.
        fdr: the expected share of false relations among those announced (Benjamini and Yekutieli), in (0, 1).
        formulas: read every relation as a formula.
        seconds: time limit in seconds; what no time was left for is not searched, tested or read, and the notes and
            reasons say so.
        seed: of the split of the rows, the permutations and the searches for formulas.
        clock: measures the seconds: the processor time of this thread by default, so that the answer does not depend
            on other processes; these may stretch the search to four times as much wall time.
        progress: True to show it; or called with an `Event` every second or so; what it raises stops the search.

    Raises:
        ValueError: where the table, the names or a setting cannot be used.
        TypeError: something that is no table.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    if not 0 < fdr < 1:
        raise ValueError(f"fdr must be a rate between 0 and 1, such as 0.05, got {fdr}")
    budget = Budget.of_search(seconds, clock)
    rng = np.random.default_rng(seed)
    columns, searched, other = _halves(read_columns(table, names), rng)
    other, pulse = _inside(other, searched), Pulse(budget, progress)
    moments, found, notes = _found(columns, searched, Pulse(budget.share(SEARCH_SHARE), progress), pulse)
    represented = tested_sets(found.kept, moments, other, fdr, rng, partial(pulse, "tests against permuted columns"))
    if len(represented) < len(found.kept):
        notes += (f"{len(found.kept) - len(represented)} proposed sets were not tested: {LATE}",)
    passed, refused = divided(represented, fdr)
    announced = [(f.found, _relation(columns, f)) for f in passed]
    read = partial(_with_law, columns, moments, budget, seed, progress) if formulas else lambda s, r, left: r
    relations = [read(s, r, len(announced) - n) for n, (s, r) in enumerate(announced)]
    return Relations(
        tuple(sorted(relations, key=lambda r: (not r.exact, not r.determined, -r.strength))),
        _implied(columns, found, {r.columns for _, r in announced}),
        tuple(_relation(columns, f) for f in refused),
        columns.names,
        fdr,
        (len(searched), len(other)),
        (*columns.notes, *_in_order(columns), *notes),
        budget.spent,
        seed,
    )


def _halves(columns: Columns, rng: np.random.Generator) -> tuple[Columns, np.ndarray, np.ndarray]:
    """The columns that vary in the rows that search, those rows, and the rows that test."""
    order = rng.permutation(len(columns.values))
    searched, other = np.split(columns.values[order], [len(order) // 2])
    varies = [not nearly_constant(v, len(texts)) for v, texts in zip(searched.T, columns.levels, strict=True)]
    kept = columns.only([j for j, varied in enumerate(varies) if varied], "nearly all of its cells are equal")
    return kept, searched[:, varies], other[:, varies]


def _inside(rows: np.ndarray, searched: np.ndarray) -> np.ndarray:
    """Rows within the range of the searched ones in every column: a product of intervals keeps columns independent."""
    inside = ((rows >= searched.min(0)) & (rows <= searched.max(0))).all(1)
    return rows[inside][:TEST_ROWS]


def _found(
    columns: Columns, searched: np.ndarray, search: Pulse, pulse: Pulse
) -> tuple[Moments, DistinctSets, tuple[str, ...]]:
    """The moments of the searched rows, the sets of columns found within the time, and what it did not suffice for."""
    size = int(np.clip(len(searched) // ROWS_PER_CURVE, *CURVES))
    order = 3 if len(columns) <= MOST_WITH_TRIPLES else 2 if len(columns) <= 2 * MOST_WITH_TRIPLES else 1
    features = make_features(searched, [len(texts) for texts in columns.levels], size, order)
    moments, sets, notes = moments_of(features, searched), [], ()
    try:
        for s in least_sets(moments, len(columns), partial(search, "least sets of columns")):
            sets.append(s)
    except TimeIsOver:
        notes = (f"not every column was searched for what predicts it, so that relations may be missing: {LATE}",)
    try:
        return moments, distinct_sets(moments, sets, partial(pulse, "distinct sets of columns")), notes
    except TimeIsOver:
        return moments, DistinctSets((), ()), (f"{len(sets)} sets were found but not compared: {LATE}",)


def _relation(columns: Columns, f: Representative) -> Relation:
    return Relation(
        tuple(columns.names[j] for j in sorted(f.found.columns)),
        columns.names[f.found.target],
        f.test.share,
        f.test.p,
        f.q,
        f.found.determined,
        level_set=np.stack([f.test.phi, f.test.f], 1)[:SHOWN_ROWS],
    )


def _with_law(
    columns: Columns,
    moments: Moments,
    budget: Budget,
    seed: int,
    progress: Listener | None,
    s: LeastSet,
    relation: Relation,
    left: int,
) -> Relation:
    """The relation with its formula, within its share of the time that is left."""
    if budget.over:
        return replace(relation, reason="no time was left to search for its formula")
    found = level_set_law(columns, s, moments, budget.share(1 / left), seed, progress)
    return replace(
        relation,
        exact=found.exact,
        law=found.law,
        solved=found.solved,
        law_share=found.share,
        reason=found.reason,
    )


def _implied(
    columns: Columns, found: DistinctSets, announced: set[tuple[str, ...]]
) -> tuple[tuple[tuple[str, ...], tuple[tuple[str, ...], ...]], ...]:
    """The sets that announced relations imply, by name."""

    def named(s: frozenset[int]) -> tuple[str, ...]:
        return tuple(columns.names[j] for j in sorted(s))

    told = [(named(s.columns), tuple(named(by) for by in reasons)) for s, reasons in found.implied]
    return tuple((c, by) for c, by in told if set(by) <= announced)


def _in_order(columns: Columns) -> list[str]:
    """A note where neighbouring rows are alike in two columns or more: the tests take rows as independent."""
    v = columns.values - columns.values.mean(0)
    alike = np.sum(v[1:] * v[:-1], 0) / np.maximum(np.sum(v**2, 0), 1e-300)
    series = [name for name, a in zip(columns.names, alike, strict=True) if a > 5 / np.sqrt(len(v)) and a > 0.2]
    if len(series) < 2:
        return []
    return [
        f"neighbouring rows are alike in {', '.join(series[:4])}: if the rows are a series in time, the p-values are "
        "too small, and columns that drift seem to be bound"
    ]
