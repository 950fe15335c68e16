"""Laws of thresholds: found from classes alone, with their numbers named, or refused with a reason."""

import numpy as np
import pytest
import sympy

from edgewise.discovery import Threshold, discover_threshold


def samples(law, seed, *, wrong=0.01, chains=80, each=60):
    """Classes in groups, some of them wrong, of a threshold that the groups share."""
    rng = np.random.default_rng(seed)
    a, b = np.repeat(rng.uniform(0.5, 2, (2, chains)), each, axis=1)
    t = rng.uniform(-4, 4, chains * each)
    below = (t < law(a, b)) != (rng.random(len(t)) < wrong)
    return np.stack([a, b], -1), t, below, np.repeat(np.arange(chains), each)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("law", "text"),
    [(lambda a, b: 2 * (1 - a) / b, "2*(1 - a)/b"), (lambda a, b: a * np.cosh(b) - np.exp(b), "a*cosh(b) - exp(b)")],
)
def test_the_law_of_a_threshold_comes_back_exactly(law, text, seed):
    x, t, below, groups = samples(law, seed)
    found = discover_threshold(x, t, below, groups=groups, names=["a", "b"], seed=seed)
    a, b = sympy.symbols("a b", real=True)
    wanted = sympy.parse_expr(text, local_dict={"a": a, "b": b})
    assert sympy.simplify(found.formula.expressions[0] - wanted) == 0
    assert found.accuracy == pytest.approx(((t < law(*x.T)) == below).mean(), abs=1e-12)
    assert [law.accuracy for law in found.alternatives] == sorted(law.accuracy for law in found.alternatives)


def test_the_answer_is_json_and_a_sentence():
    x, t, below, groups = samples(lambda a, b: a + 0 * b, 0)
    found = discover_threshold(x, t, below, groups=groups, names=["a", "b"], output="E", max_terms=1)
    assert isinstance(found, Threshold)
    assert str(found).startswith("E = a, right for ")
    assert found.to_json()["alternatives"][0].keys() == {"formula", "accuracy", "complexity"}


def test_bad_samples_get_clear_answers():
    x, t, below, groups = samples(lambda a, b: a + b, 0, chains=4, each=10)
    with pytest.raises(ValueError, match="one side"):
        discover_threshold(x, t, np.ones(40, dtype=bool))
    with pytest.raises(ValueError, match="not finite, the first is row 3"):
        discover_threshold(np.where(np.arange(40)[:, None] == 3, np.nan, x), t, below)
    with pytest.raises(ValueError, match=r"groups has shape \(7,\)"):
        discover_threshold(x, t, below, groups=groups[:7])
    with pytest.raises(ValueError, match="max_terms"):
        discover_threshold(x, t, below, max_terms=4)
    with pytest.raises(ValueError, match="names must be 2"):
        discover_threshold(x, t, below, names=["a"])
    with pytest.raises(ValueError, match=r"x must be \(samples, variables\)"):
        discover_threshold(x, t[:5], below)
