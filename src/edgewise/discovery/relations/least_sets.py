"""The least set of columns that predicts a column: what any of its columns adds cannot be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from edgewise.discovery.relations.predicted_columns import Model, Moments

LEAST_SHARE = 0.1
"""A column belongs to a set where it explains at least this share of what the others leave."""

DETERMINED = 0.01
"""A column is a function of others, up to small noise, where they leave less of its variance."""

MOST_AT_FIRST = 9
"""The most columns that others are taken away from."""

ROUGH = 2e-4
"""What curves leave of a law by their form alone; differences below it say nothing."""

ROWS_PER_SHARE = 16.0
"""Among n rows shares below this number over n are chance: two standard errors."""


@dataclass(frozen=True)
class LeastSet:
    """A column and the least set of others that predicts a function of it.

    Attributes:
        target: the column.
        others: the columns that it is predicted by.
        loss: the share of the variance of the function that they leave on held-out rows.
        model: how.
    """

    target: int
    others: frozenset[int]
    loss: float
    model: Model

    @property
    def columns(self) -> frozenset[int]:
        """All columns of the relation."""
        return self.others | {self.target}

    @property
    def determined(self) -> bool:
        """Whether the others leave next to nothing."""
        return self.loss < DETERMINED


def least_set(
    moments: Moments, target: int, allowed: frozenset[int], tick: Callable[[], object] = lambda: None
) -> LeastSet | None:
    """The least set among the allowed columns, or None where they say nothing of the target.

    Columns are taken away from the likeliest, and added to none, one after another; of the two answers the better one,
    or the shorter one of two that are as good.
    """
    grown = _grown(moments, target, allowed, tick)
    found = [
        shrunk
        for start in (grown, grown | _likely(moments, target, allowed, tick))
        if start and (shrunk := _steady(moments, _shrunk(moments, target, start, tick))).others
    ]
    found = [f for f in found if needed(1.0, f.loss, moments.rows)]
    if not found:
        return None
    best = min(found, key=lambda f: f.loss)
    return min((f for f in found if not needed(f.loss, best.loss, moments.rows)), key=lambda f: len(f.others))


def needed(without: float, loss: float, rows: int, share: float = LEAST_SHARE) -> bool:
    """Whether a loss is better than the one without some column by more than chance and by a share that matters."""
    return without - loss >= max(share, ROWS_PER_SHARE / rows) * (without + ROUGH)


def _likely(moments: Moments, target: int, allowed: frozenset[int], tick: Callable[[], object]) -> frozenset[int]:
    """All columns where they are few, or those that say most of the target together with one other."""
    if len(allowed) <= MOST_AT_FIRST:
        return allowed
    model = Model(min(2, max(m.order for m in moments.models)), 0.1)
    least = dict.fromkeys(allowed, 1.0)
    for pair in combinations(sorted(allowed), 2):
        loss = moments.loss(target, frozenset(pair), model)
        for k in pair:
            least[k] = min(least[k], loss)
    tick()
    return frozenset(sorted(allowed, key=lambda k: least[k])[:MOST_AT_FIRST])


def _grown(moments: Moments, target: int, allowed: frozenset[int], tick: Callable[[], object]) -> frozenset[int]:
    """Columns added while one is needed, the best one first."""
    chosen: frozenset[int] = frozenset()
    loss, model = 1.0, None
    while chosen != allowed:
        tick()
        losses = {}
        for k in sorted(allowed - chosen):
            more = chosen | {k}
            losses[k] = moments.best(target, more)[0] if model is None else moments.loss(target, more, model)
        k = min(losses, key=lambda j: losses[j])
        better, chosen_model = moments.best(target, chosen | {k})
        if not needed(loss, better, moments.rows):
            break
        chosen, loss, model = chosen | {k}, better, chosen_model
    return chosen


def _shrunk(moments: Moments, target: int, start: frozenset[int], tick: Callable[[], object]) -> LeastSet:
    """Columns taken away while none is needed of those that remain, the least useful one first."""
    loss, model = moments.best(target, start)
    chosen, least = start, loss
    if not needed(1.0, loss, moments.rows):
        return LeastSet(target, frozenset(), 1.0, model)
    while chosen:
        tick()
        losses = {k: moments.loss(target, chosen - {k}, model) for k in sorted(chosen)}
        k = min(losses, key=lambda j: losses[j])
        without, other = moments.best(target, chosen - {k}) if len(chosen) > 1 else (1.0, model)
        if needed(without, least, moments.rows):
            break
        chosen, loss, model = chosen - {k}, without, other
        least = min(least, loss)
    return LeastSet(target, chosen, loss, model)


def _steady(moments: Moments, s: LeastSet) -> LeastSet:
    """The set without columns that help in some folds only: a few rows far out, rather than all, speak for them."""
    while len(s.others) > 1 and not s.determined:
        whole = moments.fold_losses(s.target, s.others, s.model)
        gains = {}
        for k in sorted(s.others):
            less = s.others - {k}
            gains[k] = float((moments.fold_losses(s.target, less, moments.best(s.target, less)[1]) - whole).min())
        k = min(gains, key=lambda j: gains[j])
        if gains[k] > 0:
            break
        s = LeastSet(s.target, s.others - {k}, *moments.best(s.target, s.others - {k}))
    return s
