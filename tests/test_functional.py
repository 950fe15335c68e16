"""Least squares where columns depend on one another: the right side in their span is met, by the least norm."""

import numpy as np
import pytest
import torch

from edgewise.functional import least_squares


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("seed", range(50))
def test_a_right_side_in_the_span_of_dependent_columns_is_met(seed):
    A = drawn(200, 4, seed=seed)
    A[:, 1] = 2 * A[:, 0]
    b = A.sum(1, keepdim=True)
    x = least_squares(A, b)
    torch.testing.assert_close(A @ x, b)
    torch.testing.assert_close(x, torch.from_numpy(np.linalg.pinv(A.numpy()) @ b.numpy()))


def test_batches_and_fewer_rows_than_columns():
    A, b = drawn(3, 5, 8), drawn(3, 5, 2, seed=1)
    A[:, :, 2] = A[:, :, 7] - A[:, :, 1]
    torch.testing.assert_close(A @ least_squares(A, b), b)


def test_small_singular_values_count_as_zero_where_told():
    A = torch.diag(torch.tensor([1.0, 1e-3]))
    assert least_squares(A, torch.ones(2, 1), rcond=1e-2)[:, 0].tolist() == pytest.approx([1.0, 0.0])
