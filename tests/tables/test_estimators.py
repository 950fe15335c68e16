"""Scikit-learn estimators: the checks of scikit-learn, and the laws of what they return."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import edgewise as ew
from edgewise.tables.estimators import KANAdditive, KANAdditiveClassifier, KANClassifier, KANRegressor

pytestmark = pytest.mark.usefixtures("module_as_a_user")

ALL = [
    KANRegressor(hidden=(2,), random_state=0),
    KANClassifier(hidden=(2,), random_state=0),
    KANAdditive(),
    KANAdditiveClassifier(),
]
CLASSIFIERS = KANClassifier | KANAdditiveClassifier


def table(rows: int = 120, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"width": rng.uniform(10, 20, rows), "height": rng.uniform(-3, 3, rows)})
    return x, pd.Series(np.sin(x["height"]) + 0.1 * x["width"], name="area")


def target(model, y: pd.Series) -> pd.Series:
    return y.gt(y.median()).map({True: "big", False: "small"}) if isinstance(model, CLASSIFIERS) else y


@pytest.fixture(scope="module")
def apart() -> dict:
    """The checks of the regressors."""
    return checks_apart("regressor, ew.KANAdditive()")


def checks_apart(models: str) -> dict:
    """All checks of scikit-learn of estimators in a process of their own, and when that process loads scikit-learn.

    The check of array inputs runs only where SCIPY_ARRAY_API is set before the imports. The classifier is that of the
    defaults, for its accuracy is checked; for the regressor two hidden nodes and few steps are enough. The comparison
    with simpler models, which trains every model six times, is left to tests of its own.
    """
    code = (
        "import json, sys, warnings\n"
        "import edgewise as ew\n"
        "loaded = ['sklearn' in sys.modules]\n"
        "ew.KANRegressor\n"
        "loaded.append('sklearn' in sys.modules)\n"
        "import torch\n"
        "torch.set_num_threads(1)\n"
        "warnings.simplefilter('ignore')\n"
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "regressor = ew.KANRegressor(hidden=(2,), simplest=False, steps=5)\n"
        f"models = {models}\n"
        "done = {type(model).__name__: check_estimator(model, on_fail=None) for model in models}\n"
        "rows = {name: [[c['check_name'], c['status'], repr(c['exception'])] for c in d] for name, d in done.items()}\n"
        "print(json.dumps({'loaded': loaded, 'checks': rows}))"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["KANRegressor", "KANAdditive"])
def test_every_check_of_scikit_learn_passes_and_none_is_skipped(name, apart):
    checks = apart["checks"][name]
    assert len(checks) > 50
    assert [check for check in checks if check[1] != "passed"] == []


@pytest.mark.slow
def test_every_check_of_classifiers_passes_and_none_is_skipped():
    found = checks_apart("ew.KANClassifier(simplest=False), ew.KANAdditiveClassifier(intervals=4)")["checks"]
    for checks in found.values():
        assert len(checks) > 50
        assert [check for check in checks if check[1] != "passed"] == []


def test_the_package_offers_them_lazily(apart):
    assert apart["loaded"] == [False, True]
    assert "KANAdditive" in dir(ew)
    with pytest.raises(AttributeError, match="no attribute 'KANForest'"):
        ew.KANForest  # noqa: B018


def test_without_scikit_learn_the_error_names_the_extra():
    absent = "sys.modules['sklearn'] = sys.modules['sklearn.base'] = None"
    code = f"import sys; {absent}; import edgewise; edgewise.KANAdditive"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode != 0
    assert "pip install edgewise[sklearn]" in answer.stderr


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_pandas_names_are_kept_and_the_network_is_in_the_users_units(model):
    x, y = table()
    model = clone(model).fit(x, target(model, y))
    assert list(model.feature_names_in_) == ["width", "height"]
    assert model.model_.input_names == ("width", "height")
    with torch.no_grad():
        raw = model.model_(torch.tensor(x.to_numpy()))[:, 0].numpy()
    if isinstance(model, CLASSIFIERS):
        np.testing.assert_allclose(1 / (1 + np.exp(-raw)), model.predict_proba(x)[:, 1])
    else:
        np.testing.assert_allclose(raw, model.predict(x))
        assert model.model_.output_names == ("area",)


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_copies_predict_the_same(model):
    x, y = table()
    fitted = clone(model).fit(x, target(model, y))
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(x), fitted.predict(x))
    np.testing.assert_array_equal(clone(fitted).fit(x, target(model, y)).predict(x), fitted.predict(x))


def parts_of(value):
    """Everything inside a state that a writer of files such as skops would come to."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for part in inner:
        yield from parts_of(part)


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_the_state_holds_nothing_of_torch(model):
    """Safe formats such as that of skops keep arrays and texts, no tensors."""
    x, y = table()
    fitted = clone(model).fit(x, target(model, y))
    assert not any(isinstance(part, torch.Tensor | torch.nn.Module) for part in parts_of(fitted.__getstate__()))


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_it_works_inside_a_pipeline_and_beats_chance(model):
    x, y = table()
    assert cross_val_score(make_pipeline(StandardScaler(), clone(model)), x, target(model, y), cv=2).min() > 0.8


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_formula_and_plot_describe_the_model(model):
    import matplotlib.pyplot

    matplotlib.use("Agg")
    x, y = table()
    model = clone(model).set_params(**({"hidden": ()} if hasattr(model, "hidden") else {})).fit(x, target(model, y))
    found = model.formula()
    assert {str(s) for s in found.inputs} == {"width", "height"}
    assert found.check(model.model_, torch.tensor(x.to_numpy())).relative < 0.2
    figure = model.plot()
    assert figure.axes
    matplotlib.pyplot.close(figure)


@pytest.mark.parametrize("model", ALL, ids=lambda m: type(m).__name__)
def test_importances_name_the_feature_that_matters(model):
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (150, 3))
    y = pd.Series(np.exp(x[:, 1]))
    importances = clone(model).fit(x, target(model, y)).feature_importances_
    assert importances.sum() == pytest.approx(1)
    assert importances.argmax() == 1


def test_weights_are_repetitions():
    x, y = table(40)
    weights = np.random.default_rng(0).integers(0, 4, 40)
    repeated = x.loc[x.index.repeat(weights)], y.loc[y.index.repeat(weights)]
    for model in (KANAdditive(), KANRegressor(hidden=(2,), random_state=0)):
        np.testing.assert_allclose(
            clone(model).fit(x, y, sample_weight=weights).predict(x), clone(model).fit(*repeated).predict(x), rtol=1e-6
        )


def test_fractional_weights_count():
    x = np.linspace(-1, 1, 60)[:, None]
    y = np.where(np.arange(60) % 2, 1.0, -1.0)
    for model in (KANAdditive(), KANRegressor(hidden=(), random_state=0)):
        heavy = clone(model).fit(x, y, sample_weight=np.where(y > 0, 0.9, 0.1)).predict(x)
        assert heavy.mean() == pytest.approx(0.8, abs=0.02)


def test_class_weights_move_the_border():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1)) + np.repeat([0.0, 1.0], [270, 30])[:, None]
    y = np.repeat([0, 1], [270, 30])
    plain = KANClassifier(hidden=(), random_state=0).fit(x, y).predict(x).sum()
    balanced = KANClassifier(hidden=(), random_state=0, class_weight="balanced").fit(x, y).predict(x).sum()
    assert balanced > 2 * plain


def test_many_classes_have_probabilities():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 2))
    y = np.array(["a", "b", "c", "d"])[(x[:, 0] > 0) * 2 + (x[:, 1] > 0)]
    model = KANClassifier(hidden=(), random_state=0).fit(x, y)
    probabilities = model.predict_proba(x)
    assert probabilities.shape == (200, 4)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert model.score(x, y) > 0.9


@pytest.mark.parametrize("rows", [60, 600])
def test_the_additive_model_finds_its_curves(rows):
    rng = np.random.default_rng(rows)
    x = pd.DataFrame(rng.uniform(0, 5, (rows, 2)), columns=["p", "q"])
    y = np.sin(x["p"]) + 0.3 * x["q"] ** 2 + 0.01 * rng.normal(size=rows)
    model = KANAdditive().fit(x, y)
    argument, value = model.curve("p")
    shape = np.sin(argument)
    np.testing.assert_allclose(value - value.mean(), shape - shape.mean(), atol=0.05)
    assert abs(sum(model.curve(name)[1].shape[0] for name in ("p", "q")) - 400) == 0


def test_the_additive_model_solves_its_equations():
    """Against a dense solution of the same least squares by numpy."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (80, 2)), rng.normal(size=80)
    model = KANAdditive(6, smoothness=0.7).fit(x, y)
    units = model.model_.input_affine
    b = ew.BSpline(6, 3)
    inner = torch.as_tensor(x) * units.scale + units.shift
    phi = b.evaluate(inner, model.model_.layers[0].grid).flatten(1).numpy()
    centred = phi - phi.mean(0)
    second, first = np.diff(np.eye(9), 2, axis=0), np.diff(np.eye(9), axis=0)
    penalty = np.sqrt(0.7) * np.kron(np.eye(2), np.vstack([second, 0.05**0.5 * first]))
    stacked = np.vstack([centred, penalty])
    c = np.linalg.lstsq(stacked, np.concatenate([y - y.mean(), np.zeros(len(penalty))]), rcond=None)[0]
    np.testing.assert_allclose(model.predict(x), y.mean() + centred @ c, atol=1e-6)


def test_the_additive_model_smooths_noise_and_accepts_more_features_than_rows():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (20, 40))
    model = KANAdditive().fit(x, x[:, 0])
    assert np.isfinite(model.predict(rng.uniform(-2, 2, (50, 40)))).all()
    noise = rng.normal(size=400)
    flat = KANAdditive().fit(rng.uniform(-1, 1, (400, 1)), noise).predict(np.linspace(-1, 1, 50)[:, None])
    assert flat.std() < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [({"smoothness": -1}, "smoothness must be"), ({"smoothness": "much"}, "smoothness")],
)
def test_the_additive_model_refuses_bad_settings(options, message):
    with pytest.raises(ValueError, match=message):
        KANAdditive(**options).fit(np.eye(5), np.arange(5.0))


def test_bad_questions_and_bad_data_are_named():
    x, y = table(30)
    model = KANAdditive().fit(x, y)
    for feature in ("depth", 2, -1):
        with pytest.raises(ValueError, match=r"no feature .*width, height"):
            model.curve(feature)
    with pytest.raises(ValueError, match="one class"):
        KANClassifier().fit(x, np.ones(30))
    with pytest.raises(ValueError, match="non-zero"):
        KANAdditive().fit(x, y, sample_weight=np.zeros(30))
    with pytest.raises(ValueError, match="widths"):
        KANRegressor(hidden=(0,)).fit(x, y)


def test_penalties_and_validation_are_used():
    x, y = table(80)
    sparse = KANRegressor(hidden=(2,), penalties=[ew.Sparsity(1e-3)], steps=5, random_state=0).fit(x, y)
    assert "penalty" in sparse.history_[-1]
    held = KANRegressor(hidden=(), validation=0.2, optimizer="adam", steps=5, random_state=0).fit(x, y)
    assert "validation" in held.history_[-1]


def test_nothing_global_is_touched():
    x, y = table(30)
    before = torch.random.get_rng_state()
    KANRegressor(hidden=(2,), random_state=0).fit(x, y)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("seed", range(3))
def test_a_regressor_fits_its_own_rows_the_outermost_too(seed):
    x = np.random.default_rng(seed).normal(size=(600, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1] ** 2
    model = KANRegressor(hidden=(), steps=5, random_state=seed).fit(x, y)
    assert np.abs(model.predict(x) - y).max() < 1e-3
