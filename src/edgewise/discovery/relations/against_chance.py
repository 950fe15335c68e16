r"""Tests of relations against chance: exact permutation tests on rows that no search has seen.

A relation of the columns S found on one half of the rows is a function $g(x) = \varphi(x_t) - f(x_{S\setminus t})$. On
the other half its mean square is compared with that of the same function where one column is permuted. If that column
is independent of the others of S, the rows with and without the permutation have the same distribution, so that the
p-value $(1 + \#\{g_\pi \le g\}) / (1 + N)$ is exact in finite samples. The relation's p-value is the largest over its
columns: it holds for the hypothesis that any column of S is independent of the rest (an intersection-union test).
Permutations end at the twentieth that is as good (Besag and Clifford, 1991). The q-values of Benjamini and Yekutieli
(2001) bound the share of false relations among those announced, whatever the dependence of the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from edgewise.discovery.relations.column_functions import Features
from edgewise.discovery.relations.least_sets import LeastSet
from edgewise.discovery.relations.predicted_columns import Moments

Array = np.ndarray

AS_GOOD = 20
"""Permutations that are as good as the rows end a test."""

TEST_ROWS = 4000
"""Of more rows so many are tested."""

AT_ONCE = 250
"""Permutations computed together."""


@dataclass(frozen=True, eq=False)
class TestedSet:
    """A relation on the rows that test it.

    Attributes:
        p: the p-value.
        share: the share of the variance of the function of the target that the others explain.
        phi, f: the function of the target and what predicts it, in every row.
    """

    p: float
    share: float
    phi: Float[Array, " rows"]
    f: Float[Array, " rows"]


def evidence_of(
    s: LeastSet,
    moments: Moments,
    values: Float[Array, "rows columns"],
    permutations: int,
    rng: np.random.Generator,
    tick: Callable[[], object] = lambda: None,
) -> TestedSet:
    """Test a relation on rows that its search has not seen."""
    features = moments.features
    phi_weights, weights = moments.functions(s.target, s.others, s.model)
    x = features(values)
    phi = x[:, features.blocks[(s.target,)]] @ phi_weights
    f = x[:, features.places(s.others, s.model.order)] @ weights
    observed = float(np.mean((phi - f) ** 2))
    p = _p_value(phi[:, None], np.ones((len(phi), 1)), -f, observed, permutations, rng, tick)
    for column in sorted(s.others):
        m, q, rest = _in_column(features, s, x, weights, values, column)
        p = max(p, _p_value(m, q, rest - phi, observed, permutations, rng, tick))
    share = 1 - observed / float(np.var(phi)) if np.var(phi) > 0 else 0.0
    return TestedSet(p, min(max(share, 0.0), 1.0), phi, f)


def permutations_for(tests: int, rate: float) -> int:
    """Enough that the least p-value possible passes among so many tests at half the rate."""
    return max(999, math.ceil(2 * tests * _harmonic(tests) / rate))


def q_values(p: list[float]) -> list[float]:
    """The least rate of false discoveries at which each of the tests passes, after Benjamini and Yekutieli."""
    order = np.argsort(p, kind="stable")
    q, least = [1.0] * len(p), 1.0
    for rank, place in reversed(list(enumerate(order, 1))):
        least = min(least, p[place] * len(p) * _harmonic(len(p)) / rank)
        q[place] = least
    return q


def _harmonic(n: int) -> float:
    return sum(1 / k for k in range(1, n + 1))


def _in_column(
    features: Features, s: LeastSet, x: Array, weights: Array, values: Array, column: int
) -> tuple[Array, Array, Array]:
    r"""The prediction as $\sum_a m_a(x_c)\,q_a(x_{rest}) + r(x_{rest})$ in one column c: m, q, r in every row."""
    places = features.places(s.others, s.model.order)
    weight = np.zeros(features.width)
    weight[places] = weights
    curves = features.blocks[(column,)]
    powers = features.columns[column].factors(values[:, column])
    m = np.concatenate([(x[:, curves] @ weight[curves])[:, None], powers], 1)
    q = np.zeros_like(m)
    q[:, 0] = 1.0
    for key, block in features.blocks.items():
        if 1 < len(key) <= s.model.order and column in key and s.others.issuperset(key):
            for place, (power, others) in enumerate(features.factors_in(key, column, values), block.start):
                q[:, 1 + power] += weight[place] / features.scale[place] * others
    return m, q, x[:, places] @ weights - (m * q).sum(1)


def _p_value(
    m: Array,
    q: Array,
    rest: Array,
    observed: float,
    permutations: int,
    rng: np.random.Generator,
    tick: Callable[[], object],
) -> float:
    """The p-value of the mean square of sum(m * q) + rest against rows of m that are permuted."""
    done = as_good = 0
    limit = observed * (1 + 1e-12)
    while done < permutations:
        tick()
        many = min(AT_ONCE, permutations - done)
        order = rng.permuted(np.tile(np.arange(len(rest)), (many, 1)), axis=1)
        value = rest + sum(m[order, a] * q[:, a] for a in range(m.shape[1]))
        good = np.mean(value**2, axis=1) <= limit
        if as_good + good.sum() >= AS_GOOD:
            last = int(np.flatnonzero(good)[AS_GOOD - as_good - 1]) + 1
            return AS_GOOD / (done + last)
        as_good += int(good.sum())
        done += many
    return (1 + as_good) / (1 + permutations)
