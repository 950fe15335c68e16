"""Rows far outside those of training are named when they are predicted, and no others."""

import warnings

import numpy as np
import pytest

import edgewise as ew

FAST = {"hidden": (2,), "steps": 5}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 3))
    return x, np.sin(3 * x[:, 0]) + x[:, 1]


@pytest.mark.parametrize("model", [ew.KANAdditive(), ew.KANRegressor(**FAST)], ids=["additive", "deep"])
def test_the_farthest_row_of_a_column_is_named_outside_the_package(model, rows):
    x, y = rows
    fitted = model.fit(x, y)
    new = x.copy()
    new[[7, 9], 1] = 50, -5
    with pytest.warns(UserWarning, match=r"'x2' \(2\), such as 50 in row 7 where training had -[01]") as told:
        fitted.predict(new)
    (warning,) = told
    assert "src/edgewise" not in warning.filename  # here the first caller outside is the one that checks types


@pytest.mark.parametrize("model", [ew.KANAdditiveClassifier(), ew.KANClassifier(hidden=(2,))], ids=["additive", "deep"])
def test_probabilities_of_far_rows_warn_and_those_of_near_ones_do_not(model, rows):
    x, y = rows
    fitted = model.fit(x, y > 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict_proba(1.5 * x)
    with pytest.warns(UserWarning, match="straight lines"):
        fitted.predict_proba(10 * x)


def test_many_far_columns_are_counted(rows):
    x, y = rows
    wide = np.hstack([x, x[:, ::-1]])
    with pytest.warns(UserWarning, match="3 columns more"):
        ew.KANAdditive().fit(wide, y).predict(wide + 100)
