"""Bands, trends and intervals: exact formulas, and coverage over simulated tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from edgewise.tables.additive import Family
from edgewise.tables.additive.intervals import conformal_quantile, noise_quantiles
from edgewise.tables.additive.term_bands import critical_value, term_band, trends
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier

pytestmark = pytest.mark.usefixtures("module_as_a_user")

TABLES, ROWS = 40, 200
CURVES = (
    lambda x: 2 * np.sin(np.pi * x),
    lambda x: np.exp(2 * x),
    lambda x: 0.2 * x**11 * (10 * (1 - x)) ** 6 + 10 * (10 * x) ** 3 * (1 - x) ** 10,
    lambda x: 0 * x,
)
"""Of Gu and Wahba, as in the simulations of Wood (J. R. Stat. Soc. B 73, 2011)."""


def simulated(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=(rows, 4))
    return x, sum(f(c) for f, c in zip(CURVES, x.T, strict=True)) + 2 * rng.normal(size=rows)


@pytest.fixture(scope="module")
def coverage() -> dict[str, np.ndarray]:
    """Per table the shares of what 90 % intervals hold."""
    rows = []
    for seed in range(TABLES):
        x, y = simulated(seed)
        new, outcome = simulated(1000 + seed, 2 * ROWS)
        model = KANAdditive().fit(x, y).calibrate(new[:ROWS], outcome[:ROWS])
        held = {}
        for name, options in {"posterior": {}, "conformal": {"conformal": True}}.items():
            low, high = model.predict_interval(new[ROWS:], **options).T
            held[name] = ((low <= outcome[ROWS:]) & (outcome[ROWS:] <= high)).mean()
        whole = []
        for j, f in enumerate(CURVES):
            band = model.band(f"x{j + 1}", simultaneous=True, points=60)
            truth = f(band.arguments[0]) - f(x[:, j]).mean()
            whole.append(((band.low <= truth) & (truth <= band.high)).all())
        rows.append({**held, "simultaneous": np.mean(whole)})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", ["posterior", "conformal", "simultaneous"])
def test_intervals_of_90_percent_hold_90_percent(coverage, name):
    """Within three standard deviations: of the binomial of all curves, and of means of 200 rows and of scores."""
    shares = coverage[name]
    trials = TABLES * len(CURVES) if name == "simultaneous" else TABLES
    deviation = 0.3 / np.sqrt(trials) if name == "simultaneous" else 0.3 * np.sqrt(2 / ROWS / TABLES)
    assert abs(shares.mean() - 0.9) < 3 * deviation


def test_the_standard_deviation_is_that_of_the_dense_formula():
    x, y = simulated(0)
    model = KANAdditive(interactions=[("x1", "x2")]).fit(x, y)
    mean, sd = model.predict(x[:9], return_std=True)
    np.testing.assert_array_equal(mean, model.predict(x[:9]))
    design = model.additive_.matrix(model.additive_.read(x[:9])).toarray()
    known, more = model.additive_.covariance, model.additive_.strength_covariance
    assert known is not None
    assert more is not None
    np.testing.assert_allclose(sd**2, np.diag(design @ (known + more)[0] @ design.T), rtol=1e-9)
    low, high = model.predict_interval(x[:9], level=0.8).T
    np.testing.assert_allclose((high - low) / 2, 1.2815515655 * np.sqrt(sd**2 + model.additive_.scale[0]), rtol=1e-8)
    parts = model.contributions(x[:9])
    np.testing.assert_allclose(parts.sum(1) + model.additive_.intercept[0], mean, atol=1e-10)


def test_the_largest_of_independent_deviations_has_its_known_quantile():
    rows = np.diag([1.0, 5.0, 0.1, 0.0])
    found = critical_value(rows, np.array([1.0, 5.0, 0.1, 0.0]), 0.9, seed=0)
    assert found == pytest.approx(stats.norm.ppf((1 + 0.9 ** (1 / 3)) / 2), abs=0.05)


def test_bands_of_curves_levels_and_surfaces_and_derivatives():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300), "c": list("uvw") * 100})
    frame.loc[:20, "a"] = np.nan
    y = 2 * frame["a"].fillna(0) + frame["a"].fillna(0) * frame["b"] + (frame["c"] == "u") + rng.normal(size=300) / 5
    model = KANAdditive(interactions=[("a", "b")]).fit(frame, y)
    for term in model.additive_.terms:
        narrow, wide = model.band(term.name), model.band(term.name, simultaneous=True)
        assert (narrow.low <= narrow.values).all()
        assert (wide.high - wide.low >= narrow.high - narrow.low - 1e-12).all()
    slope = model.band("a", order=1, at=np.array([-1.0, 0.5]))
    step = 1e-5
    ends = [model.band("a", at=np.array([-1.0, 0.5]) + shift).values for shift in (-step, step)]
    np.testing.assert_allclose(slope.values, (ends[1] - ends[0]) / (2 * step), rtol=1e-5)
    assert [str(t).partition(" on")[0] for t in model.trends() if t.term == "a"] == ["a rises"]
    assert trends(model.additive_, "c") == trends(model.additive_, "a × b") == []
    with pytest.raises(ValueError, match="only a curve of numbers has a derivative"):
        model.band("c", order=1)
    with pytest.raises(ValueError, match="no term 'z'; the terms are a, b, c"):
        term_band(model.additive_, "z")
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        model.band("a", level=90)


@pytest.mark.parametrize("name", ["poisson", "gamma"])
def test_intervals_of_counts_and_amounts_follow_their_distribution(name):
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(1500, 1))
    mean = np.exp(1 + np.sin(5 * x[:, 0]))
    y = rng.poisson(mean).astype(float) if name == "poisson" else rng.gamma(4.0, mean / 4)
    model = KANAdditive(family=name).fit(x[:800], y[:800])
    low, high = model.predict_interval(x[800:]).T
    eta = np.log(model.predict(x[800:]))
    one = stats.poisson(np.exp(eta)) if name == "poisson" else None
    if one is not None:  # with 800 rows the posterior hardly matters: the quantiles are those of the family
        assert abs(low - one.ppf(0.05)).max() <= 1
        assert abs(high - one.ppf(0.95)).max() <= 1
    held = ((low <= y[800:]) & (y[800:] <= high)).mean()
    assert 0.9 - 3 * 0.3 / np.sqrt(700) < held < (0.97 if name == "poisson" else 0.9 + 3 * 0.3 / np.sqrt(700))


def test_weights_of_residuals_are_repetitions():
    rng = np.random.default_rng(0)
    r, w = rng.exponential(size=(400, 1)) - 1, rng.integers(0, 4, 400)
    long = np.repeat(r, w, axis=0)
    assert stats.jarque_bera(long[:, 0]).pvalue < 0.01
    expected = np.quantile(long[:, 0], [0.05, 0.95], method="weibull")
    np.testing.assert_allclose(np.concatenate(noise_quantiles(r, 0.05, 1, w.astype(float))), expected)
    normal = noise_quantiles(rng.normal(size=(400, 1)), 0.05, 1, w.astype(float))
    np.testing.assert_allclose(np.concatenate(normal), stats.norm.ppf([0.05, 0.95]))


def test_conformal_quantiles_are_exact_and_refuse_too_few_rows():
    scores = np.arange(1.0, 20.0)[:, None]
    assert conformal_quantile(scores, 0.9) == 18
    assert conformal_quantile(scores[:9], 0.9) == 9
    with pytest.raises(ValueError, match="8 rows of calibration are too few"):
        conformal_quantile(scores[:8], 0.9)


def test_conformal_intervals_hold_where_the_noise_is_not_that_of_the_family():
    rng = np.random.default_rng(3)
    x = rng.uniform(size=(3000, 1))
    y = x[:, 0] + rng.exponential(size=3000) ** 2
    model = KANAdditive(family=Family("quantile", 0.5)).fit(x[:500], y[:500])
    with pytest.raises(ValueError, match="has no distribution of outcomes"):
        model.predict_interval(x)
    with pytest.raises(ValueError, match="needs `calibrate"):
        model.predict_interval(x, conformal=True)
    model.calibrate(x[500:1500], y[500:1500])
    low, high = model.predict_interval(x[1500:], conformal=True).T
    held = ((low <= y[1500:]) & (y[1500:] <= high)).mean()
    assert abs(held - 0.9) < 3 * 0.3 * np.sqrt(1 / 1000 + 1 / 1500)
    with pytest.raises(ValueError, match="needs `calibrate"):
        model.fit(x[:500], y[:500]).predict_interval(x, conformal=True)


def test_classes_have_bands_and_several_outputs_have_intervals():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    classes = KANAdditiveClassifier().fit(x, (x[:, 0] + rng.normal(size=200) > 0).astype(int))
    assert (classes.band("x1").sd > 0).all()
    y = np.stack([x[:, 0], x[:, 1] ** 2], axis=1) + 0.1 * rng.normal(size=(200, 2))
    both = KANAdditive().fit(x, y).calibrate(x, y)
    assert both.predict_interval(x).shape == both.predict_interval(x, conformal=True).shape == (200, 2, 2)
    assert both.predict(x, return_std=True)[1].shape == (200, 2)


@pytest.mark.parametrize("shape", [1.0, 4.0])
def test_the_scale_of_amounts_is_that_of_pearson(shape):
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.uniform(size=(500, 1))
        model = KANAdditive(family="gamma").fit(x, rng.gamma(shape, np.exp(x[:, 0]) / shape))
        found.append(model.additive_.scale[0])
    assert np.median(found) == pytest.approx(1 / shape, rel=0.15)
