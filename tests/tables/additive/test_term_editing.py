"""Edits of terms: exact where they say so, the rest untouched, and smoothing equal to a fit."""

import numpy as np
import pytest

from edgewise.tables.additive import Column
from edgewise.tables.additive.axis_choice import TermSettings, main_blocks
from edgewise.tables.additive.blocks import group_of
from edgewise.tables.additive.families import Family
from edgewise.tables.additive.fit_additive import assembled
from edgewise.tables.additive.penalised_fit import FamilyObjective, fit_output
from edgewise.tables.additive.term_editing import smoothed
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

pytestmark = pytest.mark.usefixtures("module_as_a_user")


@pytest.fixture(scope="module")
def model() -> KANAdditive:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 2))
    y = np.sin(4 * x[:, 0]) + x[:, 1] + 0.2 * rng.normal(size=300)
    x[:20, 1] = np.nan
    return KANAdditive(cyclic={"x2": (-1.0, 1.0)}).fit(x, y)


def test_a_curve_that_is_set_has_the_value_there_and_is_as_before_elsewhere(model):
    before = model.predict(np.zeros((1, 2)))
    edit = model.set_values("x1", (0.2, 0.6), -0.5)
    x = np.linspace(-1.5, 1.5, 1000)
    inside, outside = (x >= 0.2) & (x <= 0.6), (x < 0.2 - 0.005) | (x > 0.6 + 0.005)
    old, new = model.band("x1", at=x), edit.model.band("x1", at=x)
    np.testing.assert_allclose(new.values[inside], -0.5, atol=1e-10)
    np.testing.assert_allclose(new.sd[inside], 0, atol=1e-6)
    np.testing.assert_allclose(new.values[outside], old.values[outside], atol=1e-9)
    np.testing.assert_allclose(new.sd[outside], old.sd[outside], atol=1e-6)
    assert edit.after < edit.before
    assert str(edit).startswith("x1: set to -0.5 on (0.2, 0.6); deviance explained 0.")
    np.testing.assert_array_equal(model.predict(np.zeros((1, 2))), before)
    with pytest.raises(ValueError, match="is not in it"):
        model.set_values("x1", (3.0, 4.0), 0.0)
    with pytest.raises(ValueError, match="'x2' is cyclic; this edit is for a curve of numbers"):
        model.set_values("x2", (0.0, 0.5), 0.0)


def test_a_clipped_curve_keeps_its_bounds(model):
    new = model.clip_term("x1", -0.4, 0.7).model.band("x1", points=2000)
    old = model.band("x1", points=2000)
    assert new.values.min() >= -0.4 - 1e-12
    assert new.values.max() <= 0.7 + 1e-12
    assert abs(new.values - np.clip(old.values, -0.4, 0.7)).max() < 0.02


def test_clips_one_after_another_keep_their_bounds_and_end(model):
    """Every clip had 16 times the knots of the one before; the fourth took all memory."""
    new = model
    for bound in (0.9, 0.8, 0.7, 0.6):
        new = new.clip_term("x1", -bound, bound).model
    values, old = new.band("x1", points=2000).values, model.band("x1", points=2000).values
    assert abs(values).max() <= 0.6 + 1e-12
    assert abs(values - np.clip(old, -0.6, 0.6)).max() < 0.02


def test_a_term_that_is_removed_adds_nothing(model):
    edit = model.remove_term("x1")
    x = np.random.default_rng(1).uniform(-1, 1, (50, 2))
    np.testing.assert_allclose(edit.model.predict(x), model.predict(x) - model.contributions(x)[:, 0], atol=1e-12)
    assert edit.model.predict(x, return_std=True)[1].shape == (50,)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_smoothing_more_is_the_fit_with_the_greater_strength(family):
    """Exactly of a gaussian outcome, with the scale of the first fit; of others up to a fifth of the change."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (250, 2))
    eta = np.sin(4 * x[:, 0]) + x[:, 1]
    y = eta + 0.3 * rng.normal(size=250) if family == "gaussian" else rng.poisson(np.exp(1 + eta)).astype(float)
    columns, weights = [Column(f"x{j}", "number", c) for j, c in enumerate(x.T)], np.ones(250)
    blocks, _ = main_blocks(columns, weights, TermSettings(intervals=8))
    objective, kinds = FamilyObjective(Family(family), y, weights), (("x0", "number"), ("x1", "number"))
    first = fit_output(blocks, objective, 250)
    names = group_of(blocks)[1]
    more = first.log_strengths + np.log(30.0) * np.array([name == (0, "bend") for name in names])
    second = fit_output(blocks, objective, 250, fixed=more)
    start, expected = (assembled(blocks, [fit], Family(family), kinds, ("y",), ()) for fit in (first, second))
    found = smoothed(start, "x0", 30.0)
    exact = family == "gaussian"
    moved = abs(start.link(columns) - expected.link(columns)).max()
    assert moved > 0.05
    assert abs(found.link(columns) - expected.link(columns)).max() < (1e-7 if exact else 0.2) * moved
    assert found.covariance is not None
    assert expected.covariance is not None
    if exact:
        rescaled = expected.covariance * start.scale[0] / expected.scale[0]
        np.testing.assert_allclose(found.covariance, rescaled, atol=1e-7)
        assert found.terms[0].edf[0] == pytest.approx(expected.terms[0].edf[0], abs=0.02)
    with pytest.raises(ValueError, match="factor must be 1 or more"):
        smoothed(start, "x0", 0.5)


def test_classifiers_are_edited_too(model):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    classes = KANAdditiveClassifier().fit(x, (x[:, 0] > 0).astype(int))
    edit = classes.remove_term("x1")
    assert edit.after < edit.before
    assert edit.model.predict_proba(x).shape == (200, 2)
    smoother = model.smooth_term("x2", 1e6)
    assert np.ptp(smoother.model.band("x2").values) < np.ptp(model.band("x2").values)
