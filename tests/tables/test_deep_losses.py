"""The deep estimators beyond squares: losses, exposure, several targets, and the simplest model that rows allow."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LinearRegression

import edgewise as ew
from edgewise.optim import get_loss, tweedie
from edgewise.tables.estimators import KANClassifier, KANRegressor
from edgewise.tables.estimators.targets import explained, survival_times
from edgewise.tables.simplest import compare, fit_additive, fit_linear, forward, simple_fits
from edgewise.training.samples import Samples

pytestmark = pytest.mark.usefixtures("module_as_a_user")


def inputs(rows: int, features: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (rows, features))


def log_mean(x: np.ndarray) -> np.ndarray:
    return 3 + np.sin(2 * x[:, 0]) + 0.5 * x[:, 1]


DRAWS = {
    "poisson": lambda rng, mean: rng.poisson(mean),
    "gamma": lambda rng, mean: rng.gamma(5, mean / 5),
    "tweedie(1.5)": lambda rng, mean: rng.poisson(mean / 10) * 10.0,
    "mse": lambda rng, mean: mean + rng.normal(size=mean.shape),
    "huber": lambda rng, mean: mean + rng.normal(size=mean.shape),
    "quantile(0.5)": lambda rng, mean: mean + rng.normal(size=mean.shape),
    "expectile(0.5)": lambda rng, mean: mean + rng.normal(size=mean.shape),
}


@pytest.mark.parametrize("name", DRAWS)
def test_predictions_are_on_the_scale_of_the_target(name):
    x = inputs(250)
    mean = np.exp(log_mean(x))
    y = DRAWS[name](np.random.default_rng(1), mean).astype(float)
    model = KANRegressor(hidden=(2,), loss=name, simplest=False, random_state=0).fit(x, y)
    assert np.corrcoef(model.predict(x), mean)[0, 1] > 0.93
    assert abs(model.predict(x).mean() / mean.mean() - 1) < 0.1
    assert 0.3 < model.score(x, y) <= 1
    raw = forward(model.model_, torch.tensor(x))
    np.testing.assert_allclose(get_loss(name).mean(raw)[:, 0].numpy(), model.predict(x))
    assert pickle.loads(pickle.dumps(clone(model))).loss == name


@pytest.mark.parametrize("name", ["poisson", "gamma", "tweedie(1.5)"])
def test_the_unit_of_a_positive_target_does_not_matter(name):
    x = inputs(120)
    y = DRAWS[name](np.random.default_rng(1), np.exp(log_mean(x))).astype(float)
    models = [KANRegressor((), loss=name, random_state=0).fit(x, scale * y) for scale in (1.0, 1000.0)]
    np.testing.assert_allclose(1000 * models[0].predict(x), models[1].predict(x), rtol=1e-6)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_an_exposure_is_an_offset(power):
    """The loss of E e^f at y is, up to a constant, E^(2-p) times that of e^f at y / E."""
    loss = {1.0: get_loss("poisson"), 2.0: get_loss("gamma")}.get(power) or tweedie(power)
    rng = np.random.default_rng(0)
    y, e = torch.tensor(rng.gamma(2, size=(30, 1))), torch.tensor(rng.gamma(2, size=(30, 1)))
    f = torch.tensor(rng.normal(size=(30, 1)))
    direct = loss.slope(f + e.log(), y)
    torch.testing.assert_close(e ** (2 - power) * loss.slope(f, y / e), direct)


def test_rates_are_learnt_from_counts_with_an_exposure():
    rng, x = np.random.default_rng(2), inputs(300)
    rate, time = np.exp(log_mean(x) - 2), rng.uniform(0.1, 10, 300)
    model = KANRegressor((), loss="poisson").fit(x, rng.poisson(rate * time), exposure=time)
    assert np.corrcoef(np.log(model.predict(x)), np.log(rate))[0, 1] > 0.97
    np.testing.assert_allclose(model.predict(x, exposure=time), time * model.predict(x))
    assert model.score(x, rng.poisson(rate * time), exposure=time) > 0.5
    with pytest.raises(ValueError, match="exposure must be 300 finite values above 0"):
        model.fit(x, rate, exposure=-time)
    with pytest.raises(ValueError, match="exposure belongs to a loss of counts"):
        KANRegressor(()).fit(x, rate, exposure=time)


def test_survival_times_of_either_kind_give_relative_hazards():
    rng, x = np.random.default_rng(3), inputs(250)
    time = rng.exponential(np.exp(-2 * np.sin(2 * x[:, 0])))
    end = rng.uniform(0, 3, 250)
    event, seen = time <= end, np.minimum(time, end)
    y = np.array(list(zip(event, seen, strict=True)), dtype=[("event", "?"), ("time", "f8")])
    model = KANRegressor((), loss="cox", random_state=0).fit(x, y)
    signed = KANRegressor((), loss="cox", random_state=0).fit(x, np.where(event, seen, -seen))
    np.testing.assert_allclose(model.predict(x), signed.predict(x))
    assert np.corrcoef(np.log(model.predict(x)), np.sin(2 * x[:, 0]))[0, 1] > 0.9
    assert float(np.log(model.predict(x)).mean()) == pytest.approx(0, abs=1e-9)
    pairs = [(i, j) for i in range(250) for j in range(250) if event[i] and seen[i] < seen[j]]
    expected = np.mean([model.predict(x)[i] > model.predict(x)[j] for i, j in pairs[::50]])
    assert model.score(x, y) == pytest.approx(expected, abs=0.03)
    for wrong, message in ((-seen, "no event"), (np.where(event, np.inf, 1), "finite")):
        with pytest.raises(ValueError, match=message):
            survival_times(wrong)


def test_the_concordance_counts_pairs():
    f, y = torch.tensor([3.0, 2.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, -2.0, 4.0])
    assert explained(get_loss("cox"), f[:, None], y[:, None], torch.ones(4)) == pytest.approx((3 + 1.5) / 5)
    assert explained(get_loss("cox"), f[:, None], -y[:, None].abs(), torch.ones(4)) == 0.5  # no event, so no pair


def test_an_exposure_belongs_to_rates_in_predictions_too():
    x = inputs(40)
    model = KANRegressor((), steps=2).fit(x, x[:, 0])
    with pytest.raises(ValueError, match="'mse' is none"):
        model.predict(x, exposure=np.ones(40))


def test_several_targets_are_learnt_at_once():
    x = pd.DataFrame(inputs(200), columns=["a", "b"])
    y = pd.DataFrame({"u": 5 + x["a"], "v": 1000 * np.sin(2 * x["b"])})
    model = KANRegressor((2,), simplest=False, random_state=0).fit(x, y)
    assert model.predict(x).shape == (200, 2)
    assert model.model_.output_names == ("u", "v")
    assert model.score(x, y) > 0.99
    counts = np.exp(y.to_numpy() / [2, 500])
    np.testing.assert_allclose(KANRegressor((), loss="poisson").fit(x, counts).predict(x), counts, rtol=0.1, atol=0.1)


def test_targets_without_a_minimum_and_losses_for_classes_are_refused():
    x = inputs(30)
    for name, y, message in (
        ("gamma", np.r_[0.0, np.ones(29)], r"above 0, but row 0 has \[0.0\]"),
        ("poisson", np.r_[np.ones(29), -1.0], r"0 or more, but row 29"),
        ("poisson", np.zeros(30), "is 0 in every row"),
        ("cross_entropy", np.ones(30), "use KANClassifier"),
    ):
        with pytest.raises(ValueError, match=message):
            KANRegressor((), loss=name).fit(x, y)


def test_what_is_explained_is_r2_for_squares_and_zero_for_the_best_constant():
    rng = np.random.default_rng(0)
    y, f, w = (torch.tensor(rng.gamma(2, size=shape)) for shape in ((50, 1), (50, 1), (50,)))
    mean = (w @ y) / w.sum()
    r2 = 1 - float((w @ (f - y).square()) / (w @ (y - mean).square()))
    assert explained(get_loss("mse"), f, y, w) == pytest.approx(r2)
    for name in ("poisson", "gamma", "tweedie(1.2)"):
        assert explained(get_loss(name), mean.log().expand(50, 1), y, w) == pytest.approx(0, abs=1e-12)
    assert explained(get_loss("quantile(0.5)"), y.median().expand(50, 1), y, torch.ones(50)) == pytest.approx(
        0, abs=5e-3
    )


# --------------------------------------------------------------------------------------- the simplest model


def test_the_simplest_within_one_standard_error_is_taken():
    rng = torch.Generator().manual_seed(0)
    base = torch.rand(400, generator=rng, dtype=torch.float64) + 1
    noise = 0.2 * torch.randn(400, generator=rng, dtype=torch.float64)
    chosen, found = compare({"linear": base + 0.05, "additive": base + noise - noise.mean() + 0.005, "network": base})
    assert chosen == "additive"
    assert [c.excess == 0 for c in found] == [False, False, True]
    assert compare({"linear": base, "network": base + noise + 1})[0] == "linear"
    few = torch.cat([torch.ones(200), torch.zeros(200)]).double()
    assert compare({"linear": base + 10 * (1 - few), "network": base}, few)[0] == "linear"
    with pytest.raises(ValueError, match="no model has a finite loss"):
        compare({"linear": base * torch.nan})


def test_the_linear_model_is_that_of_least_squares_where_there_is_much_data():
    x, rng = inputs(400, 3), np.random.default_rng(0)
    y = 2 + x @ [1.0, -2.0, 0.0] + 0.1 * rng.normal(size=400)
    found = forward(fit_linear(Samples(torch.tensor(x), torch.tensor(y)[:, None]), get_loss("mse"), 1), torch.tensor(x))
    np.testing.assert_allclose(found[:, 0], LinearRegression().fit(x, y).predict(x), atol=2e-3)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_linear_model_does_not_depend_on_the_order_of_the_rows(loss):
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.normal(size=(12, 20)))  # more slopes than rows
    y, order = (x[:, :1] > 0).double(), torch.tensor(rng.permutation(12))
    here, there = (fit_linear(Samples(a, b), get_loss(loss), 1) for a, b in ((x, y), (x[order], y[order])))
    np.testing.assert_allclose(forward(here, x), forward(there, x), rtol=1e-8, atol=1e-9)


def test_without_a_signal_the_models_shrink_to_a_constant_and_separated_classes_stay_finite():
    x, rng = torch.tensor(inputs(60, 8)), np.random.default_rng(1)
    y = torch.tensor(rng.normal(size=(60, 1)))
    for make in (fit_linear, fit_additive):
        assert float(forward(make(Samples(x, y), get_loss("mse"), 1), x).std()) < 0.5
        apart = forward(make(Samples(x, (x[:, :1] > 0).double()), get_loss("bce"), 1), x)
        assert bool(((apart > 0) == (x[:, :1] > 0)).double().mean() > 0.95)
        assert float(apart.abs().max()) < 40


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("truth", ["linear", "additive", "network"])
def test_hidden_nodes_are_added_only_where_rows_ask_for_them(truth, seed):
    x, rng = inputs(160, 3, seed), np.random.default_rng(seed)
    y = {
        "linear": x @ [1.0, -1.0, 0.5],
        "additive": np.sin(3 * x[:, 0]) + x[:, 1] ** 2,
        "network": 2 * np.sin(2 * x[:, 0] * x[:, 1]),
    }[truth] + 0.1 * rng.normal(size=160)
    model = KANRegressor((2,), random_state=seed).fit(x, y)
    order = ["linear", "additive", "network"]
    assert order.index(model.chosen_) <= order.index(truth)
    if truth != "network":
        assert model.chosen_ == truth
    assert [c.name for c in model.trials_] == order
    assert list(model.model_.widths) == ([3, 2, 1] if model.chosen_ == "network" else [3, 1])


def test_a_network_is_trained_where_nothing_else_is_asked_for():
    x, y = inputs(80), inputs(80)[:, 0]
    for options in ({"simplest": False}, {"hidden": ()}, {"optimizer": "lm"}, {"validation": 0.2}):
        model = KANRegressor(**{"hidden": (2,), "steps": 2, "random_state": 0, **options}).fit(x, y)
        assert (model.chosen_, model.trials_) == ("network", [])


def test_of_many_rows_one_part_is_held_out():
    x = inputs(520)
    y = x[:, 0] + 0.1 * np.random.default_rng(0).normal(size=520)
    model = KANRegressor((1,), steps=3, random_state=0).fit(x, y)
    assert [c.name for c in model.trials_] == ["linear", "additive", "network"]
    assert model.score(x, y) > 0.96
    classes = KANClassifier((1,), steps=3, random_state=0).fit(x, x[:, 0] > 0.2 * x[:, 1])
    assert [c.name for c in classes.trials_] == ["linear", "additive", "network"]
    assert classes.score(x, x[:, 0] > 0.2 * x[:, 1]) > 0.97


def test_indicators_of_levels_cost_one_parameter_each():
    x = torch.eye(600, dtype=torch.float64).repeat(7, 1)
    assert list(simple_fits(Samples(x, x[:, :1]), get_loss("mse"), 1)) == ["linear", "additive"]


def test_a_callable_without_curvature_is_trained_by_lbfgs():
    x = inputs(60)
    model = KANRegressor((1,), loss=ew.optim.Loss("quartic", lambda f, y: (f - y).pow(4).mean(-1)), steps=3)
    assert model.fit(x, x[:, 0]).chosen_ == "network"
