"""Laws of one variable at the end of the search: conics and functions of a function, and nothing in noise."""

import numpy as np
import pytest
import sympy
import torch

import edgewise as ew
from edgewise.discovery.candidates import planar_laws

U = sympy.Symbol("u", real=True)


@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (lambda u: 1 - np.sqrt(1 - u**2), 0, 0.95),
        (lambda u: 3 - 2 * u + np.sqrt(u**2 + u + 4), -1, 5),
        (lambda u: 0.5 - np.sqrt(7 + 3 * u) / 3, -2, 2),
        (lambda u: np.sin(2 * np.log(u)), 0.04, 25),
        (lambda u: 2 - np.tanh(np.sqrt(u) - 1), 0, 9),
        (lambda u: np.cos(3 / u), 0.5, 4),
    ],
)
def test_a_law_of_one_variable_is_among_the_candidates(law, low, high):
    u = np.sort(np.random.default_rng(0).uniform(low, high, 500))
    laws = list(planar_laws(torch.tensor(u), torch.tensor(law(u)), U, ew.nn.DEFAULT_LIBRARY))
    errors = [np.abs(sympy.lambdify(U, found, ["scipy", "numpy"])(u) - law(u)).max() for found in laws]
    assert min(errors) < 1e-6


def test_noise_is_no_conic():
    rng = np.random.default_rng(1)
    u, y = rng.standard_normal((2, 300))
    assert not list(planar_laws(torch.tensor(u), torch.tensor(y), U, ew.nn.DEFAULT_LIBRARY))
