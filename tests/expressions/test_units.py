"""Laws of dimensions: what may be added, what may be the argument of a function, and that a search respects both."""

import time
from fractions import Fraction

import numpy as np
import pytest
import sympy

import edgewise as ew
from edgewise.expressions.units import DimensionError, Unit, dimension, parse_units

m, g, t, v, c, h = sympy.symbols("m g t v c h", real=True)
UNITS = {
    "m": Unit.parse("kg"),
    "g": Unit.parse("m/s^2"),
    "t": Unit.parse("s"),
    "v": Unit.parse("m s^-1"),
    "c": Unit.parse("m/s"),
    "h": Unit.parse("m"),
}


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("N", "kg*m/s^2"),
        ("J", "N m"),
        ("W", "V A"),
        ("ohm", "V/A"),
        ("T", "Wb/m**2"),
        ("F", "C/V"),
        ("H", "ohm s"),
        ("1", ""),
        ("rad/s", "Hz"),
        ("m^(1/2) m^(1/2)", "m"),
        ("km", "m"),
        ("s-1", "s^-1"),
        ("m s\u22121", "m/s"),
        ("kg\u00b7m\u00b2\u00b7s\u207b\u00b2", "kJ"),
        ("\u00b5m", "\u03bcm"),
        ("k\u03a9", "k\u2126"),
        ("%", "1"),
        ("\u00b0C", "K"),
        ("\u00b0/min", "Hz"),
        ("J/(kg K)", "m^2 s^-2 K^-1"),
        ("mmol/L", "mol m-3"),
        ("hPa", "mbar"),
        ("dam", "dm"),
    ],
)
def test_units_that_are_the_same(text, same):
    assert Unit.parse(text) == Unit.parse(same)
    assert Unit.parse(str(Unit.parse(text))) == Unit.parse(text)


@pytest.mark.parametrize("unit", ["m", "cd", "Pa", "T", "mol", "ohm", "eV"])
def test_a_prefix_changes_no_dimension(unit):
    for prefix in ("Q", "k", "h", "da", "d", "c", "m", "\u00b5", "n", "q"):
        assert Unit.parse(prefix + unit) == Unit.parse(unit)


def test_powers_of_units():
    assert Unit.parse("m/s") ** Fraction(1, 2) * Unit.parse("m/s") ** Fraction(1, 2) == Unit.parse("m s^-1")
    half = Unit.parse("m/s") ** Fraction(1, 2)
    assert Unit.parse(str(half)) == half
    assert not Unit.parse("m") * Unit.parse("1/m")


@pytest.mark.parametrize(
    "text", ["furlong", "m^x", "m^", "kg + m", "kkg", "mmin", "pH", "2", "10", "m10.5", "1/(m s) kg"]
)
def test_unknown_units_are_refused(text):
    with pytest.raises(ValueError, match="not known"):
        Unit.parse(text)


@pytest.mark.parametrize(
    ("expression", "unit"),
    [
        (m * v**2 / 2 + m * g * h, "J"),
        (sympy.sqrt(2 * g * h), "m/s"),
        (m / sympy.sqrt(1 - v**2 / c**2), "kg"),
        (m * sympy.log(v) - m * sympy.log(c), "kg"),
        (sympy.exp(-v / c) * h, "m"),
        (sympy.Abs(v - c), "m/s"),
        (sympy.pi * sympy.Float(1.5), "1"),
    ],
    ids=str,
)
def test_the_dimension_of_a_formula(expression, unit):
    assert dimension(expression, UNITS) == Unit.parse(unit)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (v + t, "cannot be added"),
        (1 + h, "cannot be added"),
        (sympy.sin(t), "is inside sin"),
        (2**m, "is inside Pow"),
        (sympy.log(v), "is inside log"),
        (2 * sympy.log(v) - sympy.log(c), "is inside log"),
        (v + g * t + h, "cannot be added"),
    ],
    ids=str,
)
def test_impossible_formulas_are_named(expression, message):
    with pytest.raises(DimensionError, match=message):
        dimension(expression, UNITS)


def test_units_must_be_complete():
    with pytest.raises(ValueError, match="no unit is given for b"):
        parse_units({"a": "m"}, ("a", "b"))
    with pytest.raises(ValueError, match="given for d"):
        parse_units({"a": "m", "d": "m"}, ("a",))


def fall(count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = np.stack([rng.uniform(1, 3, count), rng.uniform(1, 4, count), rng.uniform(2, 5, count)], -1)
    return x, x[:, 0] * x[:, 1] ** 2 / 2 + x[:, 2] * x[:, 1]


def test_a_law_with_units_is_found():
    x, y = fall()
    found = ew.discover(x, y, names=["g", "t", "v"], output="h", units={"g": "m/s^2", "t": "s", "v": "m/s", "h": "m"})
    assert found.exact
    assert sympy.expand(found.formula.expressions[0] - (g * t**2 / 2 + v * t)) == 0
    assert str(found.formula).startswith("h = ")


@pytest.mark.usefixtures("as_a_user")
def test_the_exact_formula_is_rejected_where_its_dimensions_are_wrong():
    x, y = fall(120)  # without noise 120 rows give the exact law, a polynomial of ten terms, as surely as 600
    limit = {"seconds": 0.5, "clock": time.process_time}
    found = ew.discover(x, y, names=["g", "t", "v"], units={"g": "m/s^2", "t": "s", "v": "m", "y": "m"}, **limit)
    assert found.law is None
    assert "dimensions" in found.reason
    units = {"g": "m/s^2", "t": "s", "v": "m/s", "y": "kg"}
    wrong_target = ew.discover(x, y, names=["g", "t", "v"], units=units, **limit)
    assert wrong_target.law is None
    assert "y in kg" in wrong_target.reason
