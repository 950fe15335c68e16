"""Linear formulas: each is the least squares fit of its inputs, and the search has them whatever its time."""

import numpy as np
import pytest
import sympy

from edgewise.discovery.noisy import search_formula
from edgewise.discovery.noisy.linear_sums import linear_sums


@pytest.mark.parametrize("seed", [0, 1])
def test_every_set_is_the_best_fit_of_its_inputs_and_the_error_falls(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(80, 5)) + rng.normal(size=5)
    x[:, 2] = 7.0
    y = 3 * x[:, 4] - x[:, 0] + 0.1 * rng.normal(size=80)
    found = list(linear_sums(x, y, range(5)))
    assert [len(inputs) for inputs, _ in found] == [1, 2, 3, 4]
    assert sorted(found[1][0]) == [0, 4]
    assert 2 not in found[-1][0]
    for inputs, coefficients in found:
        columns = np.column_stack([x[:, inputs], np.ones(80)])
        np.testing.assert_allclose(columns.T @ (columns @ coefficients - y), 0, atol=1e-9)


@pytest.mark.usefixtures("as_a_user")
def test_a_search_without_time_has_the_linear_formula():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    y = 2 * x[:, 1] - x[:, 3] + 0.3 * rng.normal(size=400)
    front = search_formula((x[:300], y[:300]), (x[300:], y[300:]), list("abcdef"), "y", seconds=0.0)
    b, d = sympy.symbols("b d", real=True)
    expression = front.chosen.formula.expressions[0]
    assert expression.free_symbols == {b, d}
    assert float(expression.coeff(b)) == pytest.approx(2, abs=0.1)
    assert float(expression.coeff(d)) == pytest.approx(-1, abs=0.1)
