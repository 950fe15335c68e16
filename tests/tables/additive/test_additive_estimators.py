"""The additive estimators: frames of every type, small and odd tables, and the networks that equal them."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from edgewise.tables.additive import additive_model_from_json
from edgewise.tables.additive.strengths import WorkingModel
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def mixed_table(rows: int = 400, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Numbers with missing cells, levels, booleans and dates; what y depends on is known."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, rows)
    city = rng.choice(["Bern", "Oslo", "Rome"], rows)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, rows), unit="D")
    wet = rng.integers(0, 2, rows).astype(bool)
    gone = rng.uniform(size=rows) < 0.2
    y = np.where(gone, 2.0, np.sin(x)) + (city == "Oslo") + 0.5 * wet + np.cos(2 * np.pi * day.day_of_year / 366)
    frame = pd.DataFrame(
        {
            "x": np.where(gone, np.nan, x),
            "city": pd.Categorical(city),
            "wet": pd.array(wet, dtype="boolean"),
            "day": day,
            "id": pd.array(rng.integers(0, 5, rows), dtype="Int64"),
        }
    )
    return frame, pd.Series(y + 0.1 * rng.normal(size=rows), name="sales")


@pytest.fixture(scope="module")
def mixed():
    frame, y = mixed_table()
    return frame, y, KANAdditive().fit(frame, y)


def test_a_mixed_table_is_used_as_it_is(mixed):
    frame, _, model = mixed
    other, truth = mixed_table(seed=1)
    assert model.score(other, truth) > 0.98
    assert [term.name for term in model.additive_.terms] == [
        *("x", "city", "wet", "day (year)", "day (season)", "day (weekday)", "id")
    ]
    np.testing.assert_allclose(
        model.contributions(frame).sum(1) + model.additive_.intercept, model.predict(frame), atol=1e-10
    )
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert model.feature_importances_.argmin() == 4
    levels, effects = model.curve("city")
    assert levels[effects.argmax()] == "Oslo"
    with pytest.raises(ValueError, match="formula needs a model of curves"):
        model.formula()


def test_missing_cells_have_their_level_and_unseen_levels_have_none(mixed):
    frame, _, model = mixed
    row = frame.iloc[[0]].assign(x=[np.nan])
    x = model.additive_.terms[0]
    missing = x.values(model.additive_.read(row))[0, 0]
    seen = x.values(model.additive_.read(row.assign(x=[0.0])))[0, 0]
    assert missing - seen == pytest.approx(2.0, abs=0.15)
    new = row.assign(city=pd.Categorical(["Lima"]))
    assert model.additive_.terms[1].values(model.additive_.read(new))[0, 0] == 0


def test_json_and_pickle_keep_the_predictions(mixed):
    frame, _, model = mixed
    again = additive_model_from_json(json.loads(json.dumps(model.additive_.to_json())))
    np.testing.assert_array_equal(again.link(frame)[:, 0], model.predict(frame))
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(copied.predict(frame), model.predict(frame))


def test_frames_of_polars_give_the_same_model(mixed):
    import polars

    frame, y, model = mixed
    columns = {
        "x": polars.Series(frame["x"].to_numpy(), nan_to_null=True),
        "city": polars.Series(frame["city"].astype(str).tolist(), dtype=polars.Categorical),
        "wet": polars.Series(frame["wet"].astype(bool).tolist()),
        "day": polars.Series(frame["day"].to_numpy().astype("datetime64[ms]")),
        "id": polars.Series(frame["id"].astype(int).tolist()),
    }
    other = KANAdditive().fit(polars.DataFrame(columns), y)
    np.testing.assert_allclose(other.predict(polars.DataFrame(columns)), model.predict(frame), atol=1e-8)


@pytest.mark.filterwarnings("ignore:rows lie farther outside")
def test_the_network_equals_the_model_also_outside_and_where_columns_have_few_values():
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=150), rng.integers(0, 2, 150), rng.integers(0, 4, 150), np.full(150, 3.0)], axis=1)
    y = np.stack([np.sin(x[:, 0]) + x[:, 1] + (x[:, 2] == 2), x[:, 0]], axis=1)
    model = KANAdditive().fit(x, y)
    wide = np.vstack([x, 3 * x[:20], x[:20] - 5])
    with torch.no_grad():
        np.testing.assert_allclose(model.model_(torch.tensor(wide)).numpy(), model.predict(wide), atol=1e-9)


@pytest.mark.filterwarnings("ignore:rows lie farther outside")
@pytest.mark.parametrize("estimator", [KANAdditive(), KANAdditiveClassifier()], ids=lambda m: type(m).__name__)
def test_odd_tables_are_fitted_or_refused_in_one_sentence(estimator):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    y = (x[:, 0] > 0).astype(float)
    odd = pd.DataFrame({"a": x[:, 0], "constant": 1.0, "empty": np.nan, "one": "level", "noise": x[:, 1]})
    model = clone(estimator).fit(odd, y)
    assert np.isfinite(model.contributions(odd)).all()
    assert model.score(odd, y) > 0.5
    assert any("empty" in note for note in model.additive_.notes)
    np.testing.assert_array_equal(model.contributions(odd)[:, [1, 2, 3]], 0)
    few = clone(estimator).fit(rng.normal(size=(8, 30)), [0, 1] * 4)
    assert np.isfinite(few.predict(rng.normal(size=(20, 30)))).all()
    weights = np.r_[np.ones(20), np.zeros(10)]
    part = clone(estimator).fit(x[:20], y[:20]).predict(x)
    np.testing.assert_allclose(clone(estimator).fit(x, y, sample_weight=weights).predict(x), part, atol=1e-6)
    for bad, message in ((x[:0], "0 sample"), (np.where(x > 2, np.inf, x), "infinity")):
        if np.isinf(bad).any() or not len(bad):
            with pytest.raises(ValueError, match=message):
                clone(estimator).fit(bad, y[: len(bad)])


def test_strengths_that_pull_each_other_back_take_few_trials(monkeypatch):
    """On 20 rows of three whole numbers nearly all terms vanish: 10,000 trials before."""
    trials, solve = [], WorkingModel.solve
    monkeypatch.setattr(WorkingModel, "solve", lambda model, rho: trials.append(1) or solve(model, rho))
    x = np.round(3 * np.random.RandomState(0).uniform(size=(20, 5)))
    KANAdditiveClassifier(intervals=4).fit(x, [1, 2] * 10)
    assert 0 < len(trials) < 1000


def test_separated_classes_have_finite_curves():
    x = np.linspace(-1, 1, 100)[:, None]
    model = KANAdditiveClassifier().fit(x, x[:, 0] > 0)
    assert abs(model.decision_function(x)).max() < 60
    assert model.score(x, x[:, 0] > 0) == 1
    three = KANAdditiveClassifier().fit(x, np.digitize(x[:, 0], [-0.3, 0.3]))
    assert three.score(x, np.digitize(x[:, 0], [-0.3, 0.3])) > 0.97


def test_exposure_is_an_offset_and_scales_the_mean():
    rng = np.random.default_rng(0)
    x, exposure = rng.uniform(-1, 1, (300, 2)), rng.uniform(0.5, 3, 300)
    y = rng.poisson(exposure * np.exp(x[:, 0]))
    model = KANAdditive(family="poisson").fit(x, y, exposure=exposure)
    same = KANAdditive(family="poisson").fit(x, y, offset=np.log(exposure))
    np.testing.assert_array_equal(model.predict(x), same.predict(x))
    np.testing.assert_allclose(model.predict(x, exposure=exposure), model.predict(x) * exposure)
    assert np.std(np.log(model.predict(x)) - x[:, 0]) < 0.15
    with pytest.raises(ValueError, match="no log link"):
        KANAdditive().fit(x, y, exposure=exposure)
    with pytest.raises(ValueError, match=r"family 'poisson' takes targets"):
        KANAdditive(family="poisson").fit(x, y - 3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shapes": {"x9": "increasing"}}, r"names the column 'x9'.*x1, x2"),
        ({"shapes": {"x1": "wavy"}}, "choose one of increasing"),
        ({"interactions": [("x1", "x9")]}, "names 'x9'"),
        ({"interactions": "all"}, "interactions must be"),
        ({"cyclic": {"x1": (1.0, 1.0)}}, r"cyclic\['x1'\] must be the two ends of a period"),
        ({"cyclic": {"x1": 3.0}}, "two ends of a period"),
        ({"shapes": {"x1": "convex"}, "interactions": [("x1", "x2")]}, "a surface could undo that"),
        ({"interactions": 1.5}, "whole number"),
        ({"degree": 2.5}, "degree must be an integer"),
        ({"family": "weibull"}, "unknown family"),
        ({"intervals": 0}, "intervals must be"),
    ],
)
def test_bad_settings_are_named(options, message):
    x = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(ValueError, match=message):
        KANAdditive(**options).fit(x, x[:, 0])


def test_a_cyclic_curve_closes():
    rng = np.random.default_rng(0)
    hour = rng.uniform(0, 24, 300)
    model = KANAdditive(cyclic={"x1": (0, 24)}).fit(hour[:, None], np.sin(2 * np.pi * hour / 24))
    first, last = model.predict(np.array([[0.0], [24.0 - 1e-9]]))
    assert first == pytest.approx(last, abs=1e-6)
    assert model.score(hour[:, None], np.sin(2 * np.pi * hour / 24)) > 0.999


def test_cells_that_are_no_dates_are_refused_in_a_column_of_dates():
    frame, y = mixed_table(60)
    model = KANAdditive().fit(frame[["x", "day"]], y)
    texts = frame[["x", "day"]].assign(day=frame["day"].astype(str))
    np.testing.assert_array_equal(model.predict(texts), model.predict(frame[["x", "day"]]))
    with pytest.raises(ValueError, match="'day' held dates in training, but now holds numbers"):
        model.predict(frame[["x", "day"]].assign(day=20_000))
    with pytest.raises(ValueError, match="cyclic names the column 'day' of dates"):
        KANAdditive(cyclic={"day": (0, 1)}).fit(frame[["x", "day"]], y)


def test_a_model_read_back_knows_its_columns():
    frame, y = mixed_table(60)
    frame = frame[["x", "city"]]
    estimator = KANAdditive().fit(frame, y)
    model = additive_model_from_json(json.loads(json.dumps(estimator.additive_.to_json())))
    np.testing.assert_array_equal(model.link(frame)[:, 0], estimator.predict(frame))
    for wrong in (frame[["city", "x"]], frame[["x"]], frame.rename(columns={"x": "z"})):
        with pytest.raises(ValueError, match="reads the columns x, city in this order"):
            model.link(wrong)


def test_a_score_counts_the_exposure():
    rng = np.random.default_rng(0)
    x, exposure = rng.uniform(-1, 1, (400, 1)), rng.uniform(0.1, 10, 400)
    y = rng.poisson(exposure * np.exp(x[:, 0]))
    model = KANAdditive(family="poisson").fit(x, y, exposure=exposure)
    share = 1 - np.mean((y - model.predict(x, exposure=exposure)) ** 2) / y.var()
    assert model.score(x, y, exposure=exposure) == pytest.approx(share)
    assert share > 0.5


def test_predictions_are_those_of_the_fit_for_missing_and_rare_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels are centred after the fit: what has no level of its own moves with them."""
    from edgewise.tables.additive import axis_choice

    monkeypatch.setattr(axis_choice, "MOST_LEVELS", 3)
    rng = np.random.default_rng(0)
    means = {"a": 5.0, "b": 1.0, "c": -2.0, "d": 4.0, None: 3.0}
    levels = rng.choice(np.array([*means], object), 400, p=[0.4, 0.2, 0.15, 0.05, 0.2])
    y = np.array([means[level] for level in levels]) + 0.1 * rng.normal(size=400)
    model = KANAdditive().fit(pd.DataFrame({"level": levels}), y)
    found = model.predict(pd.DataFrame({"level": levels}))
    residuals = y - found
    assert residuals.mean() == pytest.approx(0, abs=1e-9)  # the intercept is free, so that the fit leaves no mean
    one = pd.DataFrame({"level": np.array([None], object)})
    assert model.predict(one)[0] == pytest.approx(y[levels == None].mean(), abs=0.02)  # noqa: E711
