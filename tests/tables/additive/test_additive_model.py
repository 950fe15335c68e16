"""Terms and models as values: what they compute, and that JSON keeps them."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import BSpline

from edgewise.tables.additive import (
    AdditiveModel,
    CircleAxis,
    Column,
    Family,
    Input,
    LevelAxis,
    SplineAxis,
    Term,
    additive_model_from_json,
    read_columns,
)

KNOTS = (0.0, 0.3, 1.0, 1.5, 4.0)


def small_model() -> AdditiveModel:
    rng = np.random.default_rng(0)
    axes = SplineAxis(True, KNOTS), LevelAxis(True, ("a", "b")), CircleAxis(False, 0.0, 1.0, 6)
    inputs = Input(0, "x", "number"), Input(1, "c", "level"), Input(2, "d", "date", "season")
    choices = [(0,), (1,), (2,), (0, 1)]
    terms = []
    for choice in choices:
        shape = [axes[i].size for i in choice]
        coef = rng.normal(size=(2, *shape))
        terms.append(
            Term(
                tuple(inputs[i] for i in choice), tuple(axes[i] for i in choice), coef, (1.0, 2.0), {"bend": (3.0, 4.0)}
            )
        )
    kinds = (("x", "number"), ("c", "level"), ("d", "date"))
    size = 1 + sum(t.coef[0].size for t in terms)
    return AdditiveModel(np.array([1.0, -1.0]), tuple(terms), Family(), kinds, ("u", "v"), np.zeros((2, size, size)))


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": [0.0, 0.3, 3.9, 4.0, np.nan, 5.0, -1.0],
            "c": ["a", "b", None, "unseen", "a", "b", "a"],
            "d": pd.to_datetime(
                ["2024-01-01", "2024-07-01", None, "2023-12-31", "2024-02-29", "2024-03-01", "2024-04-01"]
            ),
        }
    )


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_splines_are_those_of_scipy_inside_the_knots(degree, order):
    axis = SplineAxis(False, KNOTS, degree)
    x = np.linspace(0.001, 3.999, 50)
    knots = np.r_[[0.0] * degree, KNOTS, [4.0] * degree]
    other = BSpline(knots, np.eye(axis.functions), degree)
    expected = other(x) if order == 0 else other.derivative(order)(x) if order <= degree else np.zeros((50, axis.size))
    np.testing.assert_allclose(axis.matrix(x, order).toarray(), expected, atol=1e-10)


def test_the_abscissae_are_the_identity():
    axis = SplineAxis(True, KNOTS)
    x = np.linspace(-3, 9, 40)
    np.testing.assert_allclose(axis.matrix(x) @ np.append(axis.abscissae, 7.0), x, atol=1e-12)


def test_a_circle_repeats_itself_with_its_derivatives():
    axis = CircleAxis(False, 2.0, 3.0, 7)
    x = np.linspace(2, 5, 30, endpoint=False)
    for order in (0, 1, 2):
        here, there = axis.matrix(x, order).toarray(), axis.matrix(x + 6.0, order).toarray()
        np.testing.assert_allclose(here, there, atol=1e-9)
    c = np.random.default_rng(0).normal(size=7)
    h = 1e-5
    middle = (axis.matrix(x + h) @ c - axis.matrix(x - h) @ c) / (2 * h)
    np.testing.assert_allclose(axis.matrix(x, 1) @ c, middle, atol=1e-7)
    np.testing.assert_allclose(axis.matrix(x).sum(1), 1)


def test_missing_cells_and_unseen_levels():
    spline, levels = SplineAxis(True, KNOTS), LevelAxis(False, ("a", "b"))
    np.testing.assert_array_equal(spline.matrix(np.array([np.nan])).toarray(), np.eye(spline.size)[-1:])
    np.testing.assert_array_equal(spline.matrix(np.array([np.nan]), 1).toarray(), np.zeros((1, spline.size)))
    found = levels.matrix(np.array(["b", "z", None], object)).toarray()
    np.testing.assert_array_equal(found, [[0, 1], [0, 0], [0, 0]])


def test_contributions_and_the_intercept_sum_to_the_link():
    model = small_model()
    total = model.contributions(table()).sum(1) + model.intercept
    np.testing.assert_allclose(total, model.link(table()), atol=1e-12)
    coefs = np.vstack([model.intercept, *(term.coef.reshape(2, -1).T for term in model.terms)])
    np.testing.assert_allclose(model.matrix(model.read(table())) @ coefs, total, atol=1e-12)
    assert model.slices()[-1].stop == len(coefs)


def test_a_surface_is_the_sum_over_both_axes():
    term = small_model().terms[3]
    x, c = np.array([0.2, np.nan, 2.0]), np.array(["b", "a", None], object)
    found = term.values([Column("x", "number", x), Column("c", "level", c)])
    a, b = (axis.matrix(v).toarray() for axis, v in zip(term.axes, (x, c), strict=True))
    np.testing.assert_allclose(found, np.einsum("ni,oij,nj->no", a, term.coef, b))


def test_json_keeps_the_model():
    model = small_model()
    again = additive_model_from_json(json.loads(json.dumps(model.to_json())))
    np.testing.assert_array_equal(again.link(table()), model.link(table()))
    assert [t.name for t in again.terms] == ["x", "c", "d (season)", "x × c"]
    assert [t.kind for t in again.terms] == ["curve", "levels", "cyclic", "surface"]
    assert again.to_json() == model.to_json()
    forged = model.to_json()
    forged["terms"][0]["coef"] = [[1.0]]
    with pytest.raises(ValueError, match="coefficients of shape"):
        additive_model_from_json(forged)


def test_columns_of_every_type_are_read():
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int64"),
            "b": pd.array([True, False, None], dtype="boolean"),
            "s": pd.array(["u", None, "v"], dtype="string"),
            "k": pd.Categorical([1, 2, None]),
            "o": [1.5, None, 2.0],
            "d": pd.to_datetime(["2024-01-01 00:00", None, "2024-06-30 12:00"]),
        }
    )
    found = read_columns(frame)
    assert [c.kind for c in found] == ["number", "number", "level", "level", "number", "date"]
    np.testing.assert_array_equal(found[0].values, [1, np.nan, 3])
    np.testing.assert_array_equal(found[1].values, [1, 0, np.nan])
    assert list(found[2].values) == ["u", None, "v"]
    assert list(found[3].values) == ["1", "2", None]
    with pytest.raises(ValueError, match=r"'o'.*number"):
        read_columns(pd.DataFrame({"o": ["x"]}), ["number"])
    with pytest.raises(ValueError, match=r"infinite"):
        read_columns(pd.DataFrame({"o": [np.inf]}))


def test_parts_of_dates():
    dates = Column("d", "date", np.array(["2024-01-01", "2023-07-02T12:00", "NaT"], "datetime64[ms]"))
    read = {part: Input(0, "d", "date", part).read([dates]) for part in ("year", "season", "weekday", "hour")}
    np.testing.assert_allclose(read["year"], [2024.0, 2023.5, np.nan])
    np.testing.assert_allclose(read["season"], [0.0, 0.5, np.nan])
    assert list(read["weekday"]) == ["Mon", "Sun", None]
    np.testing.assert_allclose(read["hour"], [0, 12, np.nan])
