"""Missing cells, categories and dates: a learnt level, codes that leak nothing, cycles; in estimators and in runs."""

import json

import numpy as np
import pandas as pd
import pytest

from edgewise.tables.cells import TableError
from edgewise.tables.column_kinds import read_column
from edgewise.tables.date_parts import calendar_part, date_order, date_part, dates_of
from edgewise.tables.encode import Encoding
from edgewise.tables.estimators import KANClassifier, KANRegressor
from edgewise.tables.job.table_network import split
from edgewise.tables.level_codes import fit_codes
from edgewise.tables.prepare import prepare

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def mixed(rows: int = 240, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    city = rng.integers(0, 30, rows)
    height = np.linspace(-2, 2, 30)
    frame = pd.DataFrame(
        {
            "size": rng.uniform(0, 10, rows),
            "kind": rng.choice(["a", "b", "c"], rows),
            "city": [f"city {n}" for n in city],
            "new": rng.choice([True, False], rows),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1400, rows), unit="D"),
        }
    )
    y = np.sin(frame["size"]) + height[city] + frame["kind"].map({"a": 0.0, "b": 1.0, "c": -1.0}) + frame["new"]
    gone = rng.random(rows) < 0.2
    frame.loc[gone, "size"] = np.nan
    y = y.where(~gone, 3.0 + height[city])
    frame["kind"] = frame["kind"].astype("category")
    frame.loc[rng.random(rows) < 0.1, "kind"] = np.nan
    return frame, y.rename("price")


# ------------------------------------------------------------------------------------------------ codes


@pytest.mark.parametrize("seed", range(5))
def test_codes_of_training_rows_leak_no_target(seed):
    """Every level has two rows and says nothing: in-sample means would correlate by 0.7."""
    rng = np.random.default_rng(seed)
    levels, y = np.array([f"l{n % 400}" for n in range(800)]), rng.normal(size=800)
    codes, own = fit_codes(levels, y, seed)
    assert abs(np.corrcoef(own, y)[0, 1]) < 0.12 if own.std() > 0 else True
    assert codes(levels).std() < 0.5
    moved = y.copy()
    moved[7] += 100
    assert fit_codes(levels, moved, seed)[1][7] == own[7]


def test_codes_are_the_best_linear_predictor_of_the_levels():
    rng = np.random.default_rng(0)
    truth, index = rng.normal(size=300), rng.integers(0, 300, 1500)
    y = truth[index] + 2 * rng.normal(size=1500)
    levels = np.array([f"l{n}" for n in index])
    codes, _ = fit_codes(levels, y, 0)
    names = np.array([f"l{n}" for n in np.unique(index)])
    seen, n = np.unique(index), np.bincount(index)[np.unique(index)]
    means = np.bincount(index, y)[seen] / n
    expected = y.mean() + n / (n + 4) * (means - y.mean())  # variances 1 between and 4 within
    np.testing.assert_allclose(codes(names), expected, atol=0.35)
    errors = [
        float(np.mean((value - truth[seen]) ** 2)) for value in (codes(names), means, np.full(len(seen), y.mean()))
    ]
    assert errors[0] < min(errors[1:])
    assert codes(np.array(["unknown"]))[0] == codes.other == pytest.approx(y.mean())


def test_whole_weights_of_codes_are_repetitions():
    rng = np.random.default_rng(1)
    levels, y, w = np.array(list("abcd") * 10), rng.normal(size=40), rng.integers(1, 4, 40)
    weighted, repeated = fit_codes(levels, y, 0, w)[0], fit_codes(levels.repeat(w), y.repeat(w), 0)[0]
    assert weighted.values == pytest.approx(repeated.values)


def test_a_run_codes_levels_by_its_training_rows_alone():
    frame, y = mixed()
    table = frame.assign(price=y)
    prepared = prepare(table, "price", missing="keep")
    assert "city (mean of price)" in prepared.encoding.names
    assert any("'city' has 30 levels: one input instead" in warning for warning in prepared.warnings)
    assert any("'day' is a date" in warning for warning in prepared.warnings)
    encoding, training, _, test, _ = split(prepared, 10_000, 0)
    at = encoding.names.index("city (mean of price)")
    again = Encoding.from_json(json.loads(json.dumps(encoding.to_json())))
    assert again == encoding
    np.testing.assert_array_equal(again.inputs(table)[:, :at], prepared.inputs[:, :at])
    assert set(test.inputs[:, at]) <= {*dict(encoding.features[at].codes).values(), encoding.features[at].fill}
    assert len(set(training.inputs[:, at])) > 30  # out of fold: several numbers per level
    rows = {tuple(row) for row in np.delete(test.inputs, at, 1)}
    moved = table.assign(
        price=[v + 50 * (tuple(r) in rows) for v, r in zip(y, np.delete(prepared.inputs, at, 1), strict=True)]
    )
    other = split(prepare(moved, "price", missing="keep"), 10_000, 0)
    np.testing.assert_array_equal(other[1].inputs, training.inputs)
    unknown = encoding.inputs(table.assign(city="nowhere"))[:, at]
    np.testing.assert_array_equal(unknown, encoding.features[at].fill)
    assert encoding.unknown_levels(table.assign(city="nowhere")) == {"city": ["nowhere"]}


# ------------------------------------------------------------------------------------------------ dates


def test_parts_of_dates_are_cycles():
    days = pd.Series(pd.date_range("2023-01-01", "2025-12-31", freq="6h"))
    dates = dates_of(days)
    year = date_part(dates, "year")
    assert (np.diff(year) > 0).all()
    assert date_part(dates_of(pd.Series(pd.to_datetime(["2024-07-02"]))), "year")[0] == pytest.approx(2024.5)
    for cycle, period in (("season", None), ("weekday", 28), ("hour", 4)):
        wave = np.stack([date_part(dates, f"{cycle} {part}") for part in ("sine", "cosine")])
        np.testing.assert_allclose((wave**2).sum(0), 1)
        if period:
            np.testing.assert_allclose(wave[:, period:], wave[:, :-period], atol=1e-12)
    december, january = (
        date_part(dates_of(pd.Series(pd.to_datetime([day]))), "season sine") for day in ("2023-12-31", "2024-01-01")
    )
    assert abs(december[0] - january[0]) < 0.02
    assert np.isnan(date_part(np.array(["NaT"], "datetime64[ms]"), "season sine")).all()


def test_parts_of_dates_are_those_of_pandas():
    days = pd.Series([*pd.date_range("1963-12-30", "1972-01-03", freq="11h"), pd.NaT])
    dates = dates_of(days)
    np.testing.assert_array_equal(calendar_part(dates, "weekday"), days.dt.day_of_week)
    np.testing.assert_allclose(calendar_part(dates, "hour"), days.dt.hour)
    length = np.where(days.dt.is_leap_year, 366, 365)
    season = (days.dt.day_of_year - 1 + days.dt.hour / 24) / length
    np.testing.assert_allclose(calendar_part(dates, "season"), season, atol=1e-12)
    np.testing.assert_allclose(calendar_part(dates, "year"), days.dt.year + season)


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        (["2020-01-31", "2021-12-01"], ""),
        (["31.01.2020", "1.2.2021"], "day first"),
        (["1/31/2020", "12/1/2021"], "month first"),
        (["1/2/2020", "3/4/2020"], "unclear"),
        (["31/1/2020", "1/31/2020"], "unclear"),
        (["12:30", "12:31:05"], "times"),
    ],
)
def test_the_order_of_day_and_month_is_found_or_refused(cells, order):
    column = pd.Series(cells, name="day")
    assert read_column(column).kind == "date"
    assert date_order(column) == order
    if order in ("day first", "month first", ""):
        assert not np.isnat(dates_of(column, order)).any()
        assert dates_of(column, order)[0] == np.datetime64("2020-01-31")


def test_a_date_that_is_none_names_its_row():
    table = pd.DataFrame(
        {"day": ["2020-01-31", "2020-02-01", "2021-01-01"] * 5, "x": range(15), "y": np.arange(15) ** 1.5}
    )
    encoding = prepare(table, "y").encoding
    with pytest.raises(TableError, match=r"column 'day' is no date in row 2"):
        encoding.inputs(table.assign(day=["2020-01-31", "soon", *table["day"][2:]]))
    with pytest.raises(TableError, match=r"column 'day' is empty in row 1"):
        encoding.inputs(table.assign(day=[None, *table["day"][1:]]))


# ------------------------------------------------------------------------------------------------ estimators


@pytest.fixture(scope="module")
def fitted():
    frame, y = mixed()
    return frame, y, KANRegressor((2,), random_state=0).fit(frame, y)


def test_a_mixed_frame_with_missing_cells_is_learnt(fitted):
    frame, y, model = fitted
    new, expected = mixed(seed=5)
    assert model.score(new, expected) > 0.85
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.feature_importances_.shape == (5,)
    assert model.feature_importances_.argmin() in (3, 4)
    missing = model.predict(frame[frame["size"].isna()])
    assert np.corrcoef(missing, y[frame["size"].isna()])[0, 1] > 0.7
    assert {"size is empty", "kind=(empty)", "city (mean)", "day (year)"} <= set(model.model_.input_names)


def test_unknown_levels_are_predicted_and_new_gaps_are_named(fitted):
    frame, _, model = fitted
    assert np.isfinite(model.predict(frame.assign(city="nowhere", kind="d"))).all()
    with pytest.warns(UserWarning, match="'day'"):
        assert np.isfinite(model.predict(frame.assign(day=pd.NaT))).all()
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"city": "town"}))


@pytest.mark.parametrize("model", [KANRegressor, KANClassifier])
def test_of_two_levels_one_may_be_that_of_empty_cells_and_a_third_is_refused(model):
    x = np.random.default_rng(0).uniform(-1, 1, 60)
    known = pd.DataFrame({"kind": np.where(x > 0, "a", None), "x": x})
    estimator = model((), random_state=0).fit(known, x > 0)
    assert list(estimator.model_.input_names) == ["kind=a", "x"]
    assert estimator.score(known, x > 0) > 0.9
    with pytest.raises(ValueError, match="holds 'b', where training saw"):
        estimator.predict(known.assign(kind="b"))


def test_days_of_python_are_dates():
    frame, y = mixed()
    frame = frame[["day", "size"]].fillna({"size": 0.0})
    days = frame.assign(day=[None if pd.isna(day) else day.date() for day in frame["day"]])
    one, two = (KANRegressor((), random_state=0, steps=3).fit(table, y) for table in (frame, days))
    assert one.model_.input_names == two.model_.input_names
    np.testing.assert_array_equal(one.predict(frame), two.predict(days))


def test_missing_numbers_of_an_array_are_a_learnt_level():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    y = np.where(x[:, 0] > 0.5, 5.0, x[:, 1])
    x[x[:, 0] > 0.5, 0] = np.nan
    model = KANRegressor((), random_state=0).fit(x, y)
    assert np.abs(model.predict(x) - y)[np.isnan(x[:, 0])].mean() < 0.5
    assert model.score(x, y) > 0.95
    assert model.n_features_in_ == 2
    classes = KANClassifier((), random_state=0).fit(x, y > 1)
    assert classes.score(x, y > 1) > 0.97


def test_many_classes_are_coded_by_their_shares():
    rng = np.random.default_rng(0)
    place = rng.integers(0, 24, 300)
    frame = pd.DataFrame({"place": [f"p{n}" for n in place], "x": rng.uniform(-1, 1, 300)})
    label = np.array(["red", "green", "blue"])[place % 3]
    model = KANClassifier((), random_state=0).fit(frame, label)
    assert model.score(frame, label) > 0.9
    assert model.model_.input_names[:2] == ("place (mean 1)", "place (mean 2)")


def test_infinite_cells_are_refused():
    x = np.random.default_rng(0).uniform(size=(20, 2))
    x[3, 1], x[4, 0] = np.inf, np.nan
    with pytest.raises(ValueError, match="infinity"):
        KANRegressor((), steps=1).fit(x, x[:, 0].round(2))


def test_the_levels_of_a_column_are_shuffled_together():
    """A network may stand on the sum of the indicators, which is 1 in every row: that says nothing of the column."""
    import edgewise as ew
    from edgewise.tables.encode import Encoding, Feature
    from edgewise.tables.job.table_network import Rows, importance

    levels = tuple(Feature(f"c={level}", "c", level=level) for level in "uvw")
    encoding = Encoding((Feature("x", "x"), *levels), target="y", task="regression")
    model = ew.from_formula("x + 100*(u + v + w)", ["x", "u", "v", "w"])
    draw = np.random.default_rng(0)
    inputs = np.column_stack([draw.normal(size=200), np.eye(3)[draw.integers(0, 3, 200)]])
    found = importance(model, encoding, Rows(inputs, inputs[:, 0] + 100), seed=0)
    assert found[0] > 1
    assert found[1:] == pytest.approx([0, 0, 0], abs=1e-12)
