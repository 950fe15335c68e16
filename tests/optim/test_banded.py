"""Banded normal equations with a border have the solution of the dense ones."""

import numpy as np
import torch

from edgewise.optim.banded import OUTSIDE, BandedEquations


def assembled(unknowns: int) -> tuple[BandedEquations, np.ndarray, np.ndarray]:
    """Rows in five overlapping cells, and the same rows dense; coefficient 3 of the first cell is not free."""
    generator = torch.Generator().manual_seed(0)
    count = 12
    system, rows, right = BandedEquations(count, unknowns), [], []
    for start in range(0, 9, 2):
        places = torch.tensor([[start + 2, start, start + 1, OUTSIDE if start == 0 else start + 3]])
        J = torch.randn(1, 6, 4, dtype=torch.float64, generator=generator)
        U = torch.randn(1, 6, unknowns, dtype=torch.float64, generator=generator)
        r = torch.randn(1, 6, dtype=torch.float64, generator=generator)
        system.add(places, r, J, U)
        dense = np.zeros((6, count + unknowns))
        for n, at in enumerate(places[0].tolist()):
            if at != OUTSIDE:
                dense[:, at] += J[0, :, n].numpy()
        dense[:, count:] = U[0].numpy()
        rows.append(dense)
        right.append(r[0].numpy())
    return system, np.concatenate(rows), np.concatenate(right)


def test_the_step_is_that_of_dense_least_squares():
    for unknowns in (0, 2):
        system, A, r = assembled(unknowns)
        x, y = system.solution()
        expected = np.linalg.lstsq(A, -r, rcond=None)[0]
        assert np.allclose(np.concatenate([x, y]), expected, atol=1e-9)
        assert np.isclose(system.loss - system.gain(x, y), np.sum((A @ expected + r) ** 2))
        assert np.isclose(system.loss, r @ r)


def test_a_damped_step_is_that_of_marquardt():
    system, A, r = assembled(2)
    for damping in (0.1, 10.0):
        G = A.T @ A
        expected = np.linalg.solve(G + damping * np.diag(np.diag(G)), -A.T @ r)
        assert np.allclose(np.concatenate(system.solution(damping)), expected, atol=1e-9)


def test_a_kept_factor_is_not_that_of_other_rows():
    system, A, _ = assembled(0)
    right = np.arange(12.0)
    assert np.allclose(A.T @ A @ system.solved(right), right)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    system.add(torch.tensor([[3]]), -one[0], one, one[:, :, :0])
    more = np.eye(12)[3:4]
    assert np.allclose((A.T @ A + more.T @ more) @ system.solved(right), right)


def test_the_schur_complement_is_the_information_of_the_unknowns():
    system, A, _ = assembled(2)
    covariance = np.linalg.inv(A.T @ A)[12:, 12:]
    assert np.allclose(np.linalg.inv(system.schur()), covariance)


def test_a_direction_without_data_gets_no_step():
    system = BandedEquations(3, 0)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    system.add(torch.tensor([[0]]), -one[0], one, one[:, :, :0])
    assert np.allclose(system.solution()[0], [1, 0, 0])
