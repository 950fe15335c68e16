"""Distinct relations among the least sets of all columns: chains are split, and what others imply is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from edgewise.discovery.relations.least_sets import DETERMINED, LeastSet, least_set, needed
from edgewise.discovery.relations.predicted_columns import Moments

CLEARLY = 0.1
"""A share of the variance that makes one relation clearly stronger than another."""

FAINT = 0.02
"""A share of what is left that shows that two columns depend on one another beside a third."""

Tick = Callable[[], object]

Rule = tuple[frozenset[int], frozenset[int]]
"""The columns of a law, and those of them that it determines from its others."""


@dataclass(frozen=True)
class DistinctSets:
    """The relations that none of the others implies, and those that they imply.

    Attributes:
        kept: relations, those that determine a column first.
        implied: further sets, each with the kept sets that imply it.
    """

    kept: tuple[LeastSet, ...]
    implied: tuple[tuple[LeastSet, tuple[frozenset[int], ...]], ...]


def distinct_sets(moments: Moments, found: Sequence[LeastSet], tick: Tick) -> DistinctSets:
    """The relations among sets that were found one by one."""
    laws, implied = _laws(moments, [s for s in found if s.determined])
    rules = [_rule(moments, law) for law in laws]
    parts = [
        _in_own_columns(moments, part, laws) for s in found if not s.determined for part in _parts(moments, s, tick)
    ]
    tendencies: list[LeastSet] = []
    for s in sorted(_best_of_each(parts), key=lambda s: (len(s.columns), s.loss)):
        tick()
        kept = [*laws, *tendencies]
        reasons = implying(s, kept, rules) or _extended(moments, s, kept, rules)
        if reasons:
            implied.append((s, reasons))
        else:
            tendencies.append(s)
    weaker = [s for s in tendencies if any(_is_weak_part(s, t) for t in tendencies)]
    kept = [*laws, *(s for s in tendencies if s not in weaker)]
    own = {k.columns for k in kept}
    return DistinctSets(tuple(kept), tuple((s, reasons) for s, reasons in implied if s.columns not in own))


def _laws(
    moments: Moments, found: list[LeastSet]
) -> tuple[list[LeastSet], list[tuple[LeastSet, tuple[frozenset[int], ...]]]]:
    """The sets that determine a column, the smallest and most accurate first, and those that these imply."""
    kept: list[LeastSet] = []
    rules: list[Rule] = []
    implied = []
    for s in sorted(_best_of_each(found), key=lambda s: (len(s.columns), s.loss)):
        rule = _rule(moments, s)
        reasons = _derived(rule, rules)
        if reasons:
            implied.append((s, reasons))
        else:
            kept.append(s)
            rules.append(rule)
    return kept, implied


def _rule(moments: Moments, law: LeastSet) -> Rule:
    """The law with the columns that it determines from its others: of classes and numbers perhaps the classes alone."""
    given = {t for t in law.others if moments.best(t, law.columns - {t})[0] < DETERMINED}
    return law.columns, frozenset({law.target, *given})


def _best_of_each(found: list[LeastSet]) -> list[LeastSet]:
    """Of every set of columns the target that is predicted best."""
    best: dict[frozenset[int], LeastSet] = {}
    for s in sorted(found, key=lambda s: s.loss):
        best.setdefault(s.columns, s)
    return list(best.values())


def _in_own_columns(moments: Moments, s: LeastSet, laws: list[LeastSet]) -> LeastSet:
    """The set with the columns that a law gives replaced by what gives them, where that makes it no larger."""
    for law in laws:
        new = law.columns - s.columns
        if law.target in s.others and len(new) == 1:
            others = s.others - {law.target} | new
            s = LeastSet(s.target, others, *moments.best(s.target, others))
    return s


def _is_weak_part(s: LeastSet, whole: LeastSet) -> bool:
    """Whether another relation has its columns and more, and explains clearly more."""
    return s.columns < whole.columns and whole.loss <= s.loss - CLEARLY


def least_sets(moments: Moments, count: int, tick: Tick) -> Iterator[LeastSet]:
    """The least set of each of `count` columns; of one that is determined also those without one of its columns."""
    for target in range(count):
        others = frozenset(range(count)) - {target}
        first = least_set(moments, target, others, tick)
        if first is None:
            continue
        yield first
        if first.determined:
            alternatives = (least_set(moments, target, others - {k}, tick) for k in sorted(first.others))
            yield from (a for a in alternatives if a is not None and a.determined)


def _parts(moments: Moments, s: LeastSet, tick: Tick) -> list[LeastSet]:
    """A statistical relation without the pairs of columns that depend on one another through the target alone.

    In a chain a - b - c the column b is predicted by a and c, yet a says nothing of c once b is known: two relations.
    In a law b = a + c it does: one.
    """
    if s.determined or len(s.others) < 2:
        return [s]
    tick()
    apart = [pair for pair in combinations(sorted(s.others), 2) if _separated(moments, s, *pair)]
    if not apart:
        return [s]
    groups = _cliques(s.others, apart)
    losses = {group: moments.best(s.target, group) for group in groups}
    return [
        LeastSet(s.target, group, *losses[group]) for group in groups if needed(1.0, losses[group][0], moments.rows)
    ]


def _separated(moments: Moments, s: LeastSet, a: int, c: int) -> bool:
    """Whether two columns depend on one another, but not once the other columns of the set are known."""
    rest = s.columns - {a, c}
    return needed(1.0, moments.best(a, frozenset([c]))[0], moments.rows) and not any(
        needed(moments.best(one, rest)[0], moments.best(one, rest | {other})[0], moments.rows, FAINT)
        for one, other in ((a, c), (c, a))
    )


def _cliques(nodes: Iterable[int], apart: list[tuple[int, int]]) -> list[frozenset[int]]:
    """The largest groups of nodes without a pair that is apart."""
    groups: list[frozenset[int]] = [frozenset(nodes)]
    for a, c in apart:
        groups = [part for g in groups for part in ((g - {a}, g - {c}) if {a, c} <= g else (g,))]
    return [
        g
        for n, g in enumerate(groups)
        if not any(g < other or (g == other and m < n) for m, other in enumerate(groups))
    ]


def _derived(rule: Rule, rules: list[Rule]) -> tuple[frozenset[int], ...]:
    """The laws that determine, one after another, a column of a further law from its others; empty where none do."""
    columns, given = rule
    chains = (closure(columns - {t}, rules) for t in sorted(given) if t in closure(columns - {t}, rules)[0])
    return tuple(min((used for _, used in chains), key=len, default=()))


def implying(s: LeastSet, kept: list[LeastSet], rules: list[Rule]) -> tuple[frozenset[int], ...]:
    """The kept relations that imply a statistical one; empty where they do not.

    It is implied by one with the same columns up to those that the laws determine, and by a law that has its columns
    and more.
    """
    own, used = closure(s.columns, rules)
    for k in kept:
        if s.columns <= k.columns and k.determined:
            return (k.columns,)
        if closure(k.columns, rules)[0] == own:
            return (k.columns, *(u for u in used if u != k.columns))
    return ()


def _extended(moments: Moments, s: LeastSet, kept: list[LeastSet], rules: list[Rule]) -> tuple[frozenset[int], ...]:
    """The kept relation that a statistical one only adds columns to, without explaining clearly more of the target."""
    own = closure(s.columns, rules)[0]
    for k in kept:
        core = closure(k.columns, rules)[0]
        if core < own and s.target in core:
            left = moments.best(s.target, core - {s.target})[0]
            if s.loss > max(left - CLEARLY, left / 4) and k.loss <= left + CLEARLY:
                return (k.columns,)
    return ()


def closure(columns: frozenset[int], rules: list[Rule]) -> tuple[frozenset[int], list[frozenset[int]]]:
    """All columns that laws determine from some, up to branches, and the laws used."""
    reached, used = columns, []
    while True:
        law = next((law for law, given in rules if len(law - reached) == 1 and law - reached <= given), None)
        if law is None:
            return reached, used
        reached, used = reached | law, [*used, law]
