"""Summaries: exact deviances, p-values against their null distribution, and the text."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import d2_log_loss_score, d2_tweedie_score, r2_score

from edgewise.tables.additive.additive_summary import AdditiveSummary, wald
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

pytestmark = pytest.mark.usefixtures("module_as_a_user")

TABLES = 40


def table(seed: int, rows: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (rows, 3))
    return x, np.sin(3 * x[:, 0]) + 0.5 * x[:, 1] + 0.5 * rng.normal(size=rows)


def test_the_statistic_is_the_quadratic_form_of_the_values_of_the_term():
    rng = np.random.default_rng(0)
    functions, root, c = rng.normal(size=(50, 6)), rng.normal(size=(6, 6)), rng.normal(size=6)
    v = root @ root.T
    statistic, rank = wald(functions.T @ functions, c, v, 6)
    assert rank == 6
    f = functions @ c
    assert statistic == pytest.approx(f @ np.linalg.pinv(functions @ v @ functions.T, rcond=1e-12) @ f, rel=1e-6)
    assert wald(functions.T @ functions, c, v, 9) == (pytest.approx(statistic), 6)


def test_p_values_of_a_term_without_effect_are_spread_and_those_of_an_effect_are_small():
    """Of 40 tables at most 9 below 0.1: more have the probability 1 % where the values are uniform."""
    found = []
    for seed in range(TABLES):
        x, y = table(seed)
        found.append([term.p_value[0] for term in KANAdditive().fit(x, y).summary().terms])
    p = np.array(found)
    assert (p[:, 2] < 0.1).sum() <= stats.binom.ppf(0.99, TABLES, 0.1)
    assert p[:, 2].max() > 0.5
    assert np.median(p[:, :2], axis=0).max() < 1e-4


def test_the_deviance_explained_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = table(0)
    weights = rng.integers(0, 3, len(y)).astype(float)
    model = KANAdditive().fit(x, y, weights)
    assert model.summary().explained == pytest.approx(r2_score(y, model.predict(x), sample_weight=weights))
    for name, power, target in (("poisson", 1, rng.poisson(np.exp(y)).astype(float)), ("gamma", 2, np.exp(y))):
        model = KANAdditive(family=name).fit(x, target)
        assert model.summary().explained == pytest.approx(d2_tweedie_score(target, model.predict(x), power=power))
    for labels in ((y > 0).astype(int), np.digitize(y, [-0.5, 0.5])):
        model = KANAdditiveClassifier().fit(x, labels)
        assert model.summary().explained == pytest.approx(d2_log_loss_score(labels, model.predict_proba(x)), abs=1e-6)


def test_the_text_is_short_and_json_keeps_the_summary():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 30))
    model = KANAdditive(intervals=4).fit(x, x[:, 7] + 0.1 * rng.normal(size=120))
    summary = model.summary()
    lines = str(summary).splitlines()
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 140
    assert lines[3].startswith("x8 ")
    assert AdditiveSummary.from_json(json.loads(json.dumps(summary.to_json()))) == summary
