"""The few of many terms: against every subset, with dependent columns, and in units that do not matter."""

from itertools import combinations

import numpy as np
import pytest

from edgewise.discovery.sparse_terms import best_terms, sparse_terms, stability


def problem(seed, rows=60, terms=9, noise=0.1):
    generator = np.random.default_rng(seed)
    design = generator.normal(size=(rows, terms)) + generator.normal(size=(rows, 1))
    return design, design[:, [1, 4]] @ [2.0, -0.7] + noise * generator.normal(size=rows)


@pytest.mark.parametrize("seed", range(4))
def test_every_size_is_as_good_as_the_best_of_all_subsets(seed):
    design, target = problem(seed)
    for choice in sparse_terms(design, target, most=4):
        k = len(choice.terms)
        losses = {s: _loss(design[:, list(s)], target) for s in combinations(range(design.shape[1]), k)}
        assert np.isclose(choice.residual**2 * len(target), losses[choice.terms])
        assert losses[choice.terms] <= min(losses.values()) * (1.0 if k <= 2 else 1.1)


def _loss(columns, target):
    if not columns.shape[1]:
        return float(target @ target)
    return float(np.sum((target - columns @ np.linalg.pinv(columns) @ target) ** 2))


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_the_true_terms_have_the_most_evidence(noise):
    found = [best_terms(sparse_terms(*problem(seed, noise=noise))) for seed in range(10)]
    right = [best for best in found if best.terms == (1, 4)]
    assert len(right) >= (10 if noise == 0 else 8)
    assert all(np.allclose(best.coef, [2.0, -0.7], atol=1e-9 + 4 * max(best.errors)) for best in right)


def test_errors_are_those_of_ordinary_least_squares():
    design, target = problem(3)
    choice = next(c for c in sparse_terms(design, target) if len(c.terms) == 2)
    a = design[:, list(choice.terms)]
    rest = target - a @ np.linalg.pinv(a) @ target
    covariance = np.linalg.inv(a.T @ a) * (rest @ rest) / (len(target) - 2)
    assert np.allclose(choice.errors, np.sqrt(np.diag(covariance)))


def test_units_of_columns_and_target_do_not_matter():
    design, target = problem(2)
    plain = best_terms(sparse_terms(design, target))
    scaled = best_terms(sparse_terms(design * 10.0 ** np.arange(-4, 5), target * 1e6))
    assert scaled.terms == plain.terms


def test_columns_that_depend_on_others_are_not_taken_twice():
    design, target = problem(1, noise=0.0)
    twice = np.column_stack([design, design[:, 1] * 3, design[:, 0] + design[:, 4], np.zeros(len(target))])
    best = best_terms(sparse_terms(twice, target))
    assert len(best.terms) == 2
    assert best.residual < 1e-12


def test_a_target_of_noise_has_no_terms():
    generator = np.random.default_rng(0)
    hits = sum(
        len(best_terms(sparse_terms(generator.normal(size=(200, 30)), generator.normal(size=200))).terms)
        for _ in range(20)
    )
    assert hits <= 2


def test_terms_that_are_always_there_stay():
    design, target = problem(5)
    assert all(8 in choice.terms for choice in sparse_terms(design, target, always=(8,)))


def test_stability_tells_true_terms_from_others():
    design, target = problem(6, rows=200)
    often = stability(design, target, generator=np.random.default_rng(1))
    assert often[[1, 4]].min() == 1
    assert np.delete(often, [1, 4]).max() < 0.5


@pytest.mark.usefixtures("as_a_user")
def test_values_that_are_not_finite_are_told():
    design, target = problem(0)
    design[3, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        sparse_terms(design, target)
    with pytest.raises(ValueError, match="equal rows"):
        sparse_terms(design, target[1:])
