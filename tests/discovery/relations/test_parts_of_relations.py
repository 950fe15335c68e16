"""Laws of the parts: orthonormal functions, losses against closed forms, polynomials, solved forms, columns."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import sympy
import torch

from edgewise.discovery.relations.column_functions import functions_of, make_features
from edgewise.discovery.relations.polynomial_laws import polynomial_law
from edgewise.discovery.relations.predicted_columns import Model, moments_of
from edgewise.discovery.relations.relation_columns import read_columns
from edgewise.discovery.relations.solved_forms import solved_forms

x, y, z = sympy.symbols("x y z", real=True)


@pytest.mark.parametrize("kind", ["normal", "decades", "heavy", "few", "two"])
def test_the_functions_of_a_column_are_orthonormal_of_mean_zero_and_finite_outside(kind):
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(size=500),
        "decades": rng.lognormal(0, 4, 500),
        "heavy": rng.standard_cauchy(500),
        "few": rng.integers(0, 5, 500).astype(float),
        "two": rng.integers(0, 2, 500).astype(float),
    }[kind]
    functions = functions_of(values, 0, 8)
    for v in (functions.curves(values), functions.factors(values)):
        np.testing.assert_allclose(v.mean(0), 0, atol=1e-8)
        np.testing.assert_allclose(v.T @ v / len(v), np.eye(v.shape[1]), atol=1e-6)
    assert np.isfinite(functions.curves(np.array([-1e12, 0.0, 1e12]))).all()


def test_the_loss_of_gaussian_columns_is_one_minus_the_squared_correlation():
    rng = np.random.default_rng(1)
    a = rng.normal(size=4000)
    values = np.stack([a, 0.6 * a + 0.8 * rng.normal(size=4000)], 1)
    moments = moments_of(make_features(values, [0, 0], 8, 1), values)
    assert moments.best(1, frozenset([0]))[0] == pytest.approx(1 - 0.36, abs=0.03)


def test_the_loss_of_a_circle_is_zero_although_neither_column_is_a_function_of_the_other():
    t = np.random.default_rng(1).uniform(0, 2 * np.pi, 1000)
    values = np.stack([np.cos(t), np.sin(t)], 1)
    moments = moments_of(make_features(values, [0, 0], 8, 1), values)
    assert moments.loss(0, frozenset([1]), Model(1, 1e-8)) < 1e-4


@pytest.mark.parametrize(
    ("law", "third"),
    [
        (x * y - z, lambda a, b: a * b),
        (x**2 + y**2 - z**2, np.hypot),
        (x * y - x * z - y * z, lambda a, b: a * b / (a + b)),
        (3 * x - 2 * y + z - 7, lambda a, b: 7 - 3 * a + 2 * b),
        (x**2 * y - 5 * z, lambda a, b: a**2 * b / 5),
    ],
)
def test_a_polynomial_law_is_found_up_to_its_sign(law, third):
    a, b = np.random.default_rng(0).uniform(1, 3, (2, 300))
    found = polynomial_law(np.stack([a, b, third(a, b)], 1), (x, y, z))
    assert sympy.expand(found - law) == 0 or sympy.expand(found + law) == 0


def test_noise_and_other_functions_are_no_polynomial():
    a, b = np.random.default_rng(0).uniform(1, 3, (2, 300))
    for third in (np.exp(a) * b, np.sin(a + b), a * b + 1e-3 * b**0.3):
        assert polynomial_law(np.stack([a, b, third], 1), (x, y, z)) is None


@pytest.mark.parametrize(
    ("law", "values"),
    [
        (x - sympy.exp(y / 2) - 1, lambda u: (np.exp(u / 2) + 1, u)),
        (x - sympy.sin(2 * y), lambda u: (np.sin(2 * u), u)),
        (x - y**3, lambda u: (u**3, u)),
        (x - 1 / (1 + sympy.Abs(y)), lambda u: (1 / (1 + np.abs(u)), u)),
        (x - (y**2 + y + 1), lambda u: (u**2 + u + 1, u)),
    ],
)
def test_solved_forms_cover_the_rows(law, values):
    rows = np.stack(values(np.random.default_rng(0).uniform(-2, 2, 200)), 1)
    forms = [form for form in solved_forms(law, (x, y), rows) if form.variable == "y"]
    near = [np.abs(sympy.lambdify([x, y], f.expression)(*rows.T) - rows[:, 1]) < 1e-4 for f in forms]
    assert np.any(near, axis=0).all()


def test_columns_that_cannot_be_used_are_told_and_empty_cells_leave_their_rows_out():
    frame = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60) % 7, "name": [f"row {n}" for n in range(60)]})
    frame["day"] = pd.date_range("2020-01-01", periods=60)
    frame["hole"] = np.where(np.arange(60) < 40, np.nan, 1.0)
    frame["yes"] = np.arange(60) % 2 == 0
    frame["group"] = pd.Series(["p", "q", None] * 20, dtype="category")
    columns = read_columns(frame)
    assert columns.names == ("a", "b", "yes", "group")
    assert columns.levels[-1] == ("p", "q")
    assert len(columns.values) == 40
    told = " ".join(columns.notes)
    assert "'name' is left out: it has 60 different texts" in told
    assert "'day' is left out" in told
    assert "'hole' is left out: 40 of its 60 cells are empty" in told
    assert "20 of 60 rows have an empty cell and are left out; 'group' has 20" in told


@pytest.mark.parametrize(
    ("table", "names", "error", "message"),
    [
        (np.zeros((100, 2)), None, ValueError, "a relation needs two columns, and 0 can be used"),
        (np.arange(60.0).reshape(30, 2), None, ValueError, "30 complete rows cannot show a relation"),
        (np.arange(100.0), None, TypeError, "a table has shape"),
        (pd.DataFrame(), None, ValueError, "0 can be used"),
        ({"a": np.ones(50), "b": np.ones(60)}, None, ValueError, "'b' has 60 rows where the first column has 50"),
        ({"a": np.ones((50, 2)), "b": np.ones(50)}, None, ValueError, r"'a' has shape \(50, 2\)"),
        ({"a": np.arange(50) * 1e300, "b": np.arange(50)}, None, ValueError, "largest number is 5e\\+301"),
        (np.arange(200.0).reshape(100, 2), ["a"], ValueError, "1 names for 2 columns"),
        (np.arange(200.0).reshape(100, 2), ["a", "a"], ValueError, "not all different"),
        (
            pd.DataFrame(np.arange(200.0).reshape(100, 2), columns=["a", "b"]),
            ["c"],
            ValueError,
            "there is no column 'c'",
        ),
        (
            pd.DataFrame(np.arange(200.0).reshape(100, 2), columns=["a", "a"]),
            None,
            ValueError,
            "two columns are named 'a'",
        ),
    ],
)
def test_a_table_that_cannot_be_searched_is_refused(table, names, error, message):
    with pytest.raises(error, match=message):
        read_columns(table, names)


def test_decimals_and_half_precision_are_numbers():
    frame = pd.DataFrame({"a": [Decimal(n % 30) / 10 for n in range(90)], "b": np.arange(90.0)})
    np.testing.assert_allclose(read_columns(frame).values[:, 0], np.arange(90) % 30 / 10)
    x = torch.arange(100.0).reshape(50, 2)
    np.testing.assert_array_equal(read_columns(x.bfloat16()).values, x.bfloat16().float().numpy())
