"""The baselines: of the right size, and trained well enough to be baselines."""

import numpy as np
import pytest

from edgewise.compare import fit_baselines, mlp_size, mlp_widths


@pytest.mark.parametrize("inputs", [1, 3, 20])
@pytest.mark.parametrize("outputs", [1, 5])
@pytest.mark.parametrize("parameters", [30, 200, 3000])
def test_the_mlp_has_about_as_many_parameters(inputs, outputs, parameters):
    widths = mlp_widths(inputs, outputs, parameters)
    assert widths[0] == inputs
    assert widths[-1] == outputs
    others = [[inputs, h, h, outputs] if len(widths) == 4 else [inputs, h, outputs] for h in range(1, 80)]
    nearest = min(others, key=lambda w: abs(mlp_size(w) - parameters))
    assert abs(mlp_size(widths) - parameters) <= abs(mlp_size(nearest) - parameters) + inputs + outputs + 2 * widths[1]


def rows(task: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1] ** 2
    return x, y if task == "regression" else np.digitize(y, [0.5, 2.0])


@pytest.mark.parametrize("seed", [0, 1])
def test_every_baseline_of_a_regression_learns(seed):
    train, held, test = (rows("regression", n, seed + k) for k, n in ((0, 600), (10, 150), (20, 400)))
    r2 = {}
    for baseline in fit_baselines(train, held, "regression", parameters=120, steps=600, seed=seed):
        prediction = baseline.predict(test[0])
        assert prediction.shape == (400,)
        r2[baseline.name.split()[0]] = 1 - np.mean((prediction - test[1]) ** 2) / test[1].var()
    assert r2["gradient"] > 0.95
    assert r2["MLP"] > 0.95
    assert -0.1 < r2["linear"] < 0.3
    assert abs(r2["constant"]) < 0.05


def test_every_baseline_of_a_classification_gives_probabilities():
    train, held, test = (rows("classification", n, k) for k, n in ((0, 600), (10, 150), (20, 400)))
    accuracy = {}
    for baseline in fit_baselines(train, held, "classification", parameters=120, steps=600, seed=0):
        prediction = baseline.predict(test[0])
        assert prediction.shape == (400, 3)
        np.testing.assert_allclose(prediction.sum(1), 1, rtol=1e-6)
        accuracy[baseline.name.split()[0]] = np.mean(prediction.argmax(1) == test[1])
    assert accuracy["gradient"] > 0.85
    assert accuracy["MLP"] > 0.85
    assert accuracy["constant"] < accuracy["linear"] < accuracy["MLP"]


def test_a_class_missing_from_training_has_probability_zero():
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = np.repeat([0, 2], 30)
    for baseline in fit_baselines((x, y), (x, np.ones(60, int)), "classification", parameters=30, steps=20):
        assert baseline.predict(x).shape == (60, 3)


def test_baselines_are_repeatable():
    train, held = rows("regression", 200, 0), rows("regression", 60, 1)
    first, second = (
        [r.predict(held[0]) for r in fit_baselines(train, held, "regression", parameters=60, steps=40, seed=3)]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_a_class_of_the_validation_rows_alone_is_no_error():
    x = np.random.default_rng(0).normal(size=(60, 2))
    found = list(fit_baselines((x, np.repeat([0, 1], 30)), (x, np.repeat([0, 2], 30)), "classification", parameters=30))
    assert len(found) == 4
    assert all(baseline.predict(x).shape[1] in (2, 3) for baseline in found)
