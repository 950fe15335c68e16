"""Two models of different rows become one, without the rows."""

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

RNG = np.random.default_rng(5)
X = RNG.normal(size=(900, 2))
SIGNAL = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1]
Y = SIGNAL + np.where(np.arange(900) < 300, 0.2, 0.5) * RNG.normal(size=900)


def test_the_merged_model_is_the_fit_of_all_rows() -> None:
    """With fixed strengths: rows weigh by the noise of their own model, and both penalties count."""
    level = RNG.choice(["a", "b", "c"], 900)
    table = pd.DataFrame({"x": X[:, 0], "z": X[:, 1], "level": level})
    first, y = np.arange(900) < 300, Y + 0.5 * (level == "c")
    here = KANAdditive(8, smoothness=3.0).fit(table[first], y[first])
    there = KANAdditive(8, smoothness=2.0).fit(table[~first], y[~first], like=here)
    found = here.merge(there)
    a, b = here.additive_.scale[0], there.additive_.scale[0]
    weights = np.where(first, 1 / a, 1 / b)
    unit = 900 / weights.sum()  # to which `fit` scales the weights
    known = KANAdditive(8, smoothness=unit * (3 / a + 2 / b)).fit(table, y, weights, like=here)
    assert found.predict(table) == pytest.approx(known.predict(table), abs=1e-8)
    assert there.merge(here).predict(table) == pytest.approx(found.predict(table), abs=1e-8)
    assert found.rows_.total == len(found.rows_.weights) == 900


def test_merging_helps_where_either_knows_little() -> None:
    """Each model has seen one half of the range; beyond, only the other knows the curve."""
    low = X[:, 0] < 0
    here = KANAdditive().fit(X, Y, (low | (np.arange(900) % 20 == 0)).astype(float))
    there = KANAdditive().fit(X[~low], Y[~low], like=here)
    both = here.merge(there)
    errors = [np.mean((m.predict(X[~low]) - SIGNAL[~low]) ** 2) for m in (here, both)]
    assert errors[1] < errors[0]
    bands = [m.predict(X[~low], return_std=True)[1].mean() for m in (here, there, both)]
    assert bands[2] < min(bands[:2])


def test_classes_and_shapes_merge() -> None:
    half = np.arange(900) < 450
    label = np.where(SIGNAL + RNG.normal(size=900) > 0.3, "yes", "no")
    here = KANAdditiveClassifier().fit(X[half], label[half])
    there = KANAdditiveClassifier().fit(X[~half], label[~half], like=here)
    whole = KANAdditiveClassifier().fit(X, label).decision_function(X)
    apart = [np.std(m.decision_function(X) - whole) for m in (here, there, here.merge(there))]
    assert apart[2] < min(apart[:2])
    rising = KANAdditive(shapes={"x1": "increasing"}).fit(X[half], Y[half])
    mean = rising.merge(KANAdditive(shapes={"x1": "increasing"}).fit(X[~half], Y[~half], like=rising))
    assert (np.diff(mean.curve("x1")[1]) >= -1e-12).all()


def test_models_that_cannot_be_merged() -> None:
    here = KANAdditive().fit(X[:300], Y[:300])
    with pytest.raises(
        ValueError, match="'x1' has other knots or levels in the other model; fit that one with `like=`"
    ):
        here.merge(KANAdditive().fit(X[300:], Y[300:]))
    with pytest.raises(ValueError, match="different family"):
        here.merge(KANAdditive(family="huber").fit(X[300:], Y[300:], like=here))
    labels = (SIGNAL > 0).astype(int) + (SIGNAL > 1)
    three = KANAdditiveClassifier().fit(X, labels)
    with pytest.raises(ValueError, match="different classes"):
        three.merge(KANAdditiveClassifier().fit(X, labels > 0, like=three))
