r"""Tests every found set, or else the set without one column that should not be in it.

A column of noise that entered a set spoils it: the test of the set is that of its weakest column. So a statistical set
is tested together with the K - 1 sets that lack one of its columns, and the one with the least p-value represents all;
the whole set where it is as good. With K times its p-value, the chance that a false set stands with a value of at most
t is no more than t (Bonferroni), and the rate of false relations stays bounded whatever the dependence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from edgewise.discovery.relations.against_chance import TestedSet, evidence_of, permutations_for, q_values
from edgewise.discovery.relations.least_sets import LeastSet
from edgewise.discovery.relations.predicted_columns import Moments
from edgewise.progress import TimeIsOver


@dataclass(frozen=True, eq=False)
class Representative:
    """The set that represents a family of sets, its test, and its q-value among all families."""

    found: LeastSet
    test: TestedSet
    q: float = 1.0


def tested_sets(
    sets: Sequence[LeastSet],
    moments: Moments,
    rows: Float[np.ndarray, "rows columns"],
    fdr: float,
    rng: np.random.Generator,
    tick: Callable[[], object],
) -> list[Representative]:
    """The set that passes best for each family, with q-values; a family without time for its test counts as p = 1.

    Args:
        sets: as they were found.
        moments: of the rows that they were found on.
        rows: other rows.
        fdr: the rate that the permutations must be enough for.
        rng: draws the permutations.
        tick: called at every step; `TimeIsOver` ends the tests.
    """
    members = max((1 + len(_smaller(s)) for s in sets), default=1)
    limit = permutations_for(len(sets), fdr / members)
    represented: list[Representative] = []
    try:
        for s in sets:
            represented.append(_representative(s, moments, rows, limit, rng, tick))
    except TimeIsOver:
        pass
    q = q_values([f.test.p for f in represented] + [1.0] * (len(sets) - len(represented)))
    return [replace(f, q=rate) for f, rate in zip(represented, q, strict=False)]


def divided(represented: Sequence[Representative], fdr: float) -> tuple[list[Representative], list[Representative]]:
    """Those that pass, the same columns once with their best target, and those that do not."""
    passed: dict[frozenset[int], Representative] = {}
    for f in sorted(represented, key=lambda f: (f.q, f.found.loss)):
        if f.q <= fdr:
            passed.setdefault(f.found.columns, f)
    kept = set(map(id, passed.values()))
    return [f for f in represented if id(f) in kept], [f for f in represented if f.q > fdr]


def _representative(
    s: LeastSet,
    moments: Moments,
    rows: np.ndarray,
    limit: int,
    rng: np.random.Generator,
    tick: Callable[[], object],
) -> Representative:
    smaller = _smaller(s)
    best = Representative(s, evidence_of(s, moments, rows, limit, rng, tick))
    for others in smaller:
        if best.test.p <= 1 / (1 + limit):
            break
        part = LeastSet(s.target, others, *moments.best(s.target, others))
        test = evidence_of(part, moments, rows, limit, rng, tick)
        best = Representative(part, test) if test.p < best.test.p else best
    p = min(1.0, best.test.p * (1 + len(smaller)))
    return replace(best, test=replace(best.test, p=p))


def _smaller(s: LeastSet) -> list[frozenset[int]]:
    """The other columns without one of them; none of a set that determines its target or has one other column."""
    if s.determined or len(s.others) < 2:
        return []
    return [s.others - {k} for k in sorted(s.others)]
