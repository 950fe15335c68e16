"""Damaged files, extreme units and dates without an order."""

import copy

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.additive import additive_model_from_json
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier, KANRegressor

X = np.random.default_rng(0).uniform(-1, 1, (80, 2))
Y = np.sin(3 * X[:, 0]) + 0.1 * np.random.default_rng(1).normal(size=80)


@pytest.mark.parametrize(("family", "power"), [("gaussian", -80), ("gaussian", 80), ("gamma", -30), ("gamma", 30)])
def test_amounts_of_any_size_have_the_same_fit(family, power):
    y = np.exp(Y) if family == "gamma" else Y
    expected = KANAdditive(family=family).fit(X, y).predict(X)
    found = KANAdditive(family=family).fit(X, y * 10.0**power).predict(X)
    np.testing.assert_allclose(found / 10.0**power, expected, rtol=1e-5, atol=1e-6)


def test_a_damaged_model_is_told_in_words():
    record = KANAdditive(intervals=4).fit(X, Y).additive_.to_json()
    for key in record.keys() - {"format", "strength_covariance"}:
        with pytest.raises(ValueError, match="damaged"):
            additive_model_from_json({name: value for name, value in record.items() if name != key})
    broken = copy.deepcopy(record)
    del broken["terms"][0]["coef"]
    with pytest.raises(ValueError, match=r"damaged.*coef"):
        additive_model_from_json(broken)


@pytest.mark.parametrize("model", [KANAdditive(), KANRegressor((), random_state=0)], ids=["one", "deep"])
def test_dates_that_do_not_tell_the_day_are_refused_after_dates_that_do(model):
    days = pd.Series(pd.date_range("2023-01-01", periods=80, freq="5D"))
    model.fit(pd.DataFrame({"day": days}), Y)
    with pytest.raises(ValueError, match="tell"):
        model.predict(pd.DataFrame({"day": ["05/06/2023", "01/02/2023"]}))
    written = model.predict(pd.DataFrame({"day": days.dt.strftime("%Y-%m-%d")}))
    np.testing.assert_allclose(written, model.predict(pd.DataFrame({"day": days})))


def test_a_fit_that_did_not_settle_leaves_a_note(monkeypatch):
    y = np.random.default_rng(2).poisson(np.exp(2 * Y))
    assert not KANAdditive(family="poisson").fit(X, y).additive_.notes
    monkeypatch.setattr("edgewise.tables.additive.fit_additive.STEPS", 1)
    (note,) = KANAdditive(family="poisson").fit(X, y).additive_.notes
    assert "did not settle" in note


def test_separated_classes_of_weight_zero_stay_finite():
    labels = np.digitize(X[:, 0], [-0.4, 0.4])
    weights = np.where(labels == 2, 0.0, np.random.default_rng(3).integers(0, 3, len(X)))
    model = KANAdditiveClassifier(intervals=4).fit(X, labels, weights)
    p = model.predict_proba(X)
    assert np.isfinite(p).all()
    assert np.isfinite(model.additive_.covariance).all()
    assert (p.argmax(1) == labels)[weights > 0].mean() > 0.95
