"""Names after the posterior: each makes the others more certain, and none is outside its interval."""

import numpy as np
import sympy

from edgewise.discovery.dynamics.named_constants import named_constants
from edgewise.discovery.dynamics.refinement import SystemFit
from edgewise.discovery.dynamics.right_side import RightSide, StateTerm
from edgewise.discovery.dynamics.shooting import Shot

X, Y = sympy.symbols("x y", real=True)
K = sympy.Symbol("K", real=True)


def fit(values, covariance):
    """A fit of x' = c0 y + c1 x/(K + x)."""
    terms = ((StateTerm(Y), StateTerm(X / (K + X), {K: 1.0})),)
    none, start = np.zeros((1, 1, 1)), np.zeros((1, 1))
    c, v = np.array(values, dtype=float), np.array(covariance, dtype=float)
    shot = Shot(c, v, start, none, np.ones(1), 0.0, True, 0.01)
    return SystemFit(terms, RightSide.of(terms, (X,), (), sympy.Symbol("t")), shot, 0.0)


def conditional(mean, covariance, n, others):
    """The mean and standard deviation of one component given others: the textbook formula with a solve."""
    rows, v = list(others), np.array(covariance, dtype=float)
    gain = np.linalg.solve(v[np.ix_(rows, rows)], v[rows, n])
    return mean[n] + gain @ ([others[m] - mean[m] for m in rows]), np.sqrt(v[n, n] - gain @ v[rows, n])


def test_the_others_get_their_conditional_errors():
    values = [1.993, 3.1057, 0.7123]
    errors = np.array([0.01, 0.05, 0.02])
    correlation = np.array([[1, 0.9, 0.3], [0.9, 1, 0.2], [0.3, 0.2, 1]])
    v = correlation * np.outer(errors, errors)
    found = named_constants(fit(values, v), ("x'",), 200)
    names = {n: float(c.name) for n, c in enumerate(found) if c.name is not None}
    assert names[0] == 2
    for n, c in enumerate(found):
        others = {m: a for m, a in names.items() if m != n}
        mean, error = conditional(values, v, n, others) if others else (values[n], errors[n])
        assert np.allclose([c.value, c.error], [mean, error])
        assert c.name is None or c.holds(c.name)


def test_places_say_what_a_constant_does():
    found = named_constants(fit([2.0, 3.1, 0.7], np.diag([1e-4, 1e-4, 1e-4])), ("x'",), 50)
    assert [c.place for c in found] == ["factor of y in x'", "factor of x/(K + x) in x'", "K of x/(K + x) in x'"]
    assert all(c.degrees == 50 for c in found)


def test_a_name_helps_its_neighbours_and_a_factor_is_not_zero():
    """28.5 alone has an error of a half; beside -10 it is 28."""
    v = np.array([[0.01**2, 0.999999 * 0.01 * 0.5, 0], [0.999999 * 0.01 * 0.5, 0.5**2, 0], [0, 0, 0.1**2]])
    names = [c.name for c in named_constants(fit([-9.99, 28.5, 0.15], v), ("x'",), 500)]
    assert names[:2] == [-10, 28]
    factor = named_constants(fit([-10.0, 0.3, 0.15], np.diag([1e-6, 0.1**2, 0.1**2])), ("x'",), 500)[1]
    assert factor.name != 0
