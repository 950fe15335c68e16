"""Errors of both signs have colours even where one point is far larger than all others."""

import numpy as np
import pytest

from edgewise.viz.signed_colours import signed_colours


def test_a_spike_leaves_the_others_their_colours():
    values = np.full((20, 20), 1e-6)
    values[::2], values[3, 3] = -1e-6, 1e-1
    colours, told = signed_colours(values)
    assert told == "logarithmic beyond 1e-06"
    low, zero, high, top = colours["norm"]([-1e-6, 0.0, 1e-6, 0.1])
    assert zero == pytest.approx(0.5)
    assert top == pytest.approx(1.0)
    assert high - low > 0.05
    assert high - zero == pytest.approx(zero - low)


@pytest.mark.parametrize("values", [np.linspace(-1, 2, 50), np.zeros((3, 3)), np.full(4, np.nan), np.zeros(0)])
def test_without_a_spike_the_scale_is_even(values):
    colours, told = signed_colours(values)
    assert told == ""
    assert colours["vmin"] == -colours["vmax"] < 0
