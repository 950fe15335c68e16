"""Laws of the Tucker decomposition: the two-sided bound, exactness at full rank, orthonormal factors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from edgewise.adapters.decompose import (
    compose,
    ranks_of_size,
    ranks_within,
    shrinking_ranks,
    tails,
    tucker,
    tucker_numel,
)


def tensor(shape, seed=0, decay=0.6) -> torch.Tensor:
    """Random, with singular values that fall off, as those of trained layers do."""
    generator = torch.Generator().manual_seed(seed)
    core = torch.randn(shape, generator=generator, dtype=torch.float64)
    for axis, n in enumerate(shape):
        scale = decay ** torch.arange(n, dtype=torch.float64)
        rotation = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
        core = torch.tensordot(rotation * scale, core, dims=([1], [axis])).movedim(0, axis)
    return core


def loop_tails(a: np.ndarray, ranks) -> list[float]:
    """The tails by numpy, from the definition."""
    return [
        float((np.linalg.svd(np.moveaxis(a, n, 0).reshape(a.shape[n], -1), compute_uv=False)[r:] ** 2).sum())
        for n, r in enumerate(ranks)
    ]


@settings(max_examples=25)
@given(st.data())
def test_the_error_lies_between_the_bounds(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 7), min_size=3, max_size=3)))
    ranks = [data.draw(st.integers(1, n)) for n in shape]
    a = tensor(shape, data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0.2, 0.7, 1.0])))
    bounds = loop_tails(a.numpy(), ranks)
    for sweeps in (0, 10):
        core, factors = tucker(a, ranks, sweeps=sweeps)
        error = float((compose(core, factors) - a).square().sum())
        slack = 1e-9 * float(a.square().sum())
        assert max(bounds) - slack <= error <= sum(bounds) + slack
    for axis, rank in enumerate(ranks):
        assert float(tails(a)[axis][rank]) == pytest.approx(bounds[axis], rel=1e-6, abs=1e-12)


def test_full_ranks_are_exact_and_factors_orthonormal():
    a = tensor((6, 5, 7), decay=1.0)
    core, factors = tucker(a, a.shape)
    torch.testing.assert_close(compose(core, factors), a, rtol=1e-10, atol=1e-10)
    for factor in tucker(a, (2, 3, 4))[1]:
        torch.testing.assert_close(factor.T @ factor, torch.eye(factor.shape[1]).double(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_sweeps_never_hurt(seed):
    a = tensor((9, 6, 8), seed, decay=0.9)
    errors = [(compose(*tucker(a, (3, 2, 3), sweeps=n)) - a).norm().item() for n in (0, 1, 5, 30)]
    assert errors == sorted(errors, reverse=True)


def test_a_tensor_of_low_rank_is_recognised():
    a = compose(tensor((2, 3, 2), decay=1.0), [torch.randn(n, r).double() for n, r in ((9, 2), (8, 3), (7, 2))])
    assert ranks_within(a, 1e-6) == [2, 3, 2]
    assert (compose(*tucker(a, (2, 3, 2))) - a).norm() < 1e-10 * a.norm()


@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01])
def test_ranks_within_a_tolerance_keep_it(tolerance):
    a = tensor((12, 8, 10), decay=0.7)
    ranks = ranks_within(a, tolerance)
    assert (compose(*tucker(a, ranks, sweeps=0)) - a).norm() <= tolerance * a.norm()
    assert tucker_numel(a.shape, ranks) < tucker_numel(a.shape, a.shape)


def test_ranks_of_a_size_have_it():
    a = tensor((12, 8, 10))
    for size in (31, 100, 400):
        assert tucker_numel(a.shape, ranks_of_size(a, size)) <= size
    with pytest.raises(ValueError, match="at most 20 parameters"):
        ranks_of_size(a, 20)
    bounds = [bound for _, bound in shrinking_ranks(a)]
    assert bounds == sorted(bounds)


def test_bad_ranks():
    with pytest.raises(ValueError, match="1 to its length"):
        tucker(tensor((3, 3, 3)), (1, 4, 1))
