"""Laws of the tests: p-values are exact, q-values those of scipy, the fast permutation equals the slow one."""

import numpy as np
import pytest
from scipy import stats

from edgewise.discovery.relations import against_chance
from edgewise.discovery.relations.against_chance import evidence_of, permutations_for, q_values
from edgewise.discovery.relations.column_functions import make_features
from edgewise.discovery.relations.least_sets import LeastSet
from edgewise.discovery.relations.predicted_columns import Model, moments_of


@pytest.mark.parametrize("p", [[0.01, 0.2, 0.03, 0.9], [0.5], [0.04, 0.04, 0.04], [1.0, 0.001, 0.2, 0.2, 0.0009]])
def test_q_values_are_those_of_scipy(p):
    assert q_values(p) == pytest.approx(stats.false_discovery_control(p, method="by"))


def test_the_least_p_value_can_pass_alone():
    for tests in (1, 5, 40):
        best = [1 / (1 + permutations_for(tests, 0.05)), *([1.0] * (tests - 1))]
        assert q_values(best)[0] <= 0.05


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_column_is_permuted_as_if_the_features_were_computed_anew(order):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 4))
    values[:, 3] = values[:, 0] * values[:, 1] * values[:, 2]
    features = make_features(values, [0, 0, 0, 0], 6, 3)
    moments = moments_of(features, values)
    s = LeastSet(3, frozenset([0, 1, 2]), 0.5, Model(order, 0.01))
    weights = moments.functions(3, s.others, s.model)[1]
    for column in (0, 1, 2):
        m, q, rest = against_chance._in_column(features, s, features(values), weights, values, column)
        turned = rng.permutation(80)
        moved = values.copy()
        moved[:, column] = values[turned, column]
        expected = features(moved)[:, features.places(s.others, order)] @ weights
        np.testing.assert_allclose((m[turned] * q).sum(1) + rest, expected, atol=1e-9)


def test_p_values_of_an_independent_column_are_uniform_at_most():
    """Whatever function the search gave, and however few rows."""
    p = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        values = np.stack([rng.normal(size=40), rng.standard_cauchy(40)], 1)
        moments = moments_of(make_features(values[:20], [0, 0], 5, 1), values[:20])
        s = LeastSet(0, frozenset([1]), 0.5, Model(1, 0.1))
        p.append(evidence_of(s, moments, values[20:], 199, rng).p)
    for level in (0.05, 0.2, 0.5):
        assert np.sum(np.array(p) <= level) <= stats.binom.ppf(0.999, len(p), level)
    assert min(p) < 0.1


def test_a_set_with_a_column_that_is_independent_of_the_rest_does_not_pass():
    """y = x is as strong as can be; the test is of the weakest column."""
    passed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, z = rng.normal(size=(2, 120))
        values = np.stack([x, x + 0.1 * rng.normal(size=120), z], 1)
        moments = moments_of(make_features(values[:60], [0, 0, 0], 5, 2), values[:60])
        passed += (
            evidence_of(LeastSet(1, frozenset([0, 2]), 0.1, Model(2, 0.01)), moments, values[60:], 199, rng).p <= 0.1
        )
    assert passed <= stats.binom.ppf(0.999, 60, 0.1)
