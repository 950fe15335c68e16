"""One law with constants of every group: what differs, what is shared, and where there is none."""

import json
import time

import numpy as np
import pytest
import sympy

from edgewise.discovery import discover_groups

pytestmark = pytest.mark.usefixtures("module_as_a_user")

RATES = {"a": (2.0, 0.7), "b": (3.1, 1.9), "c": (0.4, 0.25)}


def kinetics(seed: int, noise: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Michaelis-Menten kinetics of three enzymes."""
    g = np.random.default_rng(seed)
    x = g.uniform(0.1, 5, (240, 1))
    groups = [*"abc"] * 80
    top, half = np.array([RATES[k] for k in groups]).T
    y = top * x[:, 0] / (half + x[:, 0])
    return x, y + noise * y.std() * g.standard_normal(240), groups


def found(x, y, groups):
    return discover_groups(x, y, groups, names=["s"], seconds=6, clock=time.process_time)


def test_constants_of_every_group_without_noise():
    x, y, groups = kinetics(0, 0.0)
    law = found(x, y, groups)
    assert law.expression is not None, law
    np.testing.assert_allclose(law(x, groups), y, atol=1e-7)
    assert len(law.constants["a"]) == 2
    json.dumps(law.to_json())
    assert "k1" in str(law)
    with pytest.raises(ValueError, match="no constants of the group 'z'"):
        law(x[:1], ["z"])


def test_a_shared_number_is_shared_and_named():
    g = np.random.default_rng(1)
    x, groups = g.uniform(0.5, 3, (300, 1)), [1, 2, 3] * 100
    factor = np.array([1.3, 2.9, 0.6] * 100)
    y = factor * x[:, 0] ** 2
    law = found(x, y + 0.01 * y.std() * g.standard_normal(300), groups)
    s, k = sympy.Symbol("s", real=True), sympy.Symbol("k1", real=True)
    assert law.expression == k * s**2, law
    for group, value in zip((1, 2, 3), (1.3, 2.9, 0.6), strict=True):
        assert law.constants[group][0].holds(value)
    assert [c.name for c in law.shared] == [2]


def test_groups_of_noise_have_no_law():
    g = np.random.default_rng(2)
    assert found(g.uniform(0, 1, (200, 1)), g.standard_normal(200), [0, 1] * 100).expression is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [([1] * 100, "one group"), ([1, 2], "2 entries for 100"), ([1] * 90 + [2] * 10, "the group 2 has 10 rows")],
)
def test_bad_groups_say_why(groups, message):
    x = np.random.default_rng(3).uniform(0, 1, (100, 1))
    with pytest.raises(ValueError, match=message):
        discover_groups(x, x[:, 0], groups)
