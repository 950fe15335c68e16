"""What uncertain strengths add to a covariance, against dense solutions for many strengths."""

import numpy as np
import pytest

from edgewise.tables.additive.strength_uncertainty import OFFSETS, PRIOR, added_covariance
from edgewise.tables.additive.strengths import WorkingModel, inverse


@pytest.mark.parametrize("known_scale", [True, False])
def test_it_is_the_mixture_over_the_posterior_of_the_strength(known_scale):
    rng = np.random.default_rng(0)
    design, groups = rng.normal(size=(50, 6)), np.array([-1, 0, 0, 0, 1, 1])
    y = design @ [1.0, 0.3, -0.2, 0.1, 2.0, 0.0] + rng.normal(size=50)
    model = WorkingModel(design.T @ design, design.T @ y, float(y @ y), groups, 2, 50.0, known_scale)
    solved, middle = model.solve(np.array([1.0, -2.0])), np.array([2.0, 0.0])
    scale = 1.0 if known_scale else solved.squares / model.free
    c = inverse(solved.root)
    expected = np.zeros((6, 6))
    for g in range(2):
        values, covariances, moves = [], [], []
        for offset in OFFSETS:
            there = model.solve(np.where(np.arange(2) == g, middle[g] + offset, solved.log_strengths))
            values.append(there.value + (offset / PRIOR) ** 2)
            covariances.append(scale * inverse(there.root))
            moves.append(there.theta - solved.theta)
        weights = np.exp(-(np.array(values) - min(values)) / 2)
        weights /= weights.sum()
        parts = zip(weights, covariances, moves, strict=True)
        expected += sum(w * (v + np.outer(m, m)) for w, v, m in parts) - scale * c
    np.testing.assert_allclose(added_covariance(model, solved, c, middle, scale), expected, atol=1e-10)
