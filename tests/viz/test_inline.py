"""Laws of the curves on a report page: their heights compare on one scale, and whole years print as such."""

import re

import pytest

from edgewise.viz.inline import curve

X = [2022.0, 2023.0, 2024.0]


def drawn(y, **options):
    """The heights of the points of the curve, the largest at the bottom of the picture."""
    path = re.search(r'class="curve" d="([^"]*)"', curve(X, y, symbol=False, title="a", **options)).group(1)
    return [float(text) for text in re.findall(r" (-?[\d.]+)", path)]


def test_a_curve_fills_its_own_picture():
    low, _, high = drawn([-1.0, 0.5, 3.0])
    assert (low, high) == (88.0, 8.0)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_on_one_scale_heights_are_proportional_and_the_curve_is_in_the_middle(shift):
    low, middle, high = drawn([shift, shift + 0.5, shift + 1.0], height=4.0)
    assert low - high == pytest.approx((88 - 8) / 4, abs=0.2)
    assert middle == pytest.approx(48, abs=0.1)


def test_numbers_are_short_and_whole_years_whole():
    text = curve(X, [1e-4, 0.123456, 2.5e7], symbol=False, title="a")
    for number in ("2022", "2024", "0.0001", "2.5e+07"):
        assert f">{number}" in text or f" {number}<" in text
