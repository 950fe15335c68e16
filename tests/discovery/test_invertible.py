"""Outer functions: the inverse undoes the function, its slope is that of the curve, and torch and sympy agree."""

import numpy as np
import pytest
import sympy
import torch

from edgewise.discovery.invertible import INVERTIBLE


def inside(name: str) -> torch.Tensor:
    """Points where the function and its inverse are defined and monotonic."""
    low, high = (0.1, 0.9) if name in ("arcsin", "arccos", "tanh") else (0.2, 3.0)
    return torch.linspace(low, high, 50, dtype=torch.float64)


@pytest.mark.parametrize("name", INVERTIBLE)
def test_the_inverse_undoes_the_function(name):
    z = inside(name)
    torch.testing.assert_close(INVERTIBLE[name].inverse(INVERTIBLE[name](z)), z, rtol=1e-12, atol=1e-12)
    assert (INVERTIBLE[name].low <= INVERTIBLE[name](z)).all()
    assert (INVERTIBLE[name](z) <= INVERTIBLE[name].high).all()


@pytest.mark.parametrize("name", INVERTIBLE)
def test_torch_and_sympy_agree_in_value_and_slope(name):
    u, z = sympy.Symbol("u", positive=True), inside(name)
    form = INVERTIBLE[name].sympy(u)
    value, slope = (sympy.lambdify(u, e, "numpy")(z.numpy()) * np.ones(len(z)) for e in (form, sympy.diff(form, u)))
    np.testing.assert_allclose(INVERTIBLE[name](z).numpy(), value, rtol=1e-12)
    np.testing.assert_allclose(INVERTIBLE[name].slope(z).numpy(), np.abs(slope), rtol=1e-12)


def test_the_slope_is_bounded_where_it_is_infinite():
    z = torch.cat([torch.zeros(1, dtype=torch.float64), inside("sqrt")])
    slope = INVERTIBLE["sqrt"].slope(z)
    assert torch.isfinite(slope).all()
    assert slope[0] == 100 * (1 / (2 * z[1:].sqrt())).median()
