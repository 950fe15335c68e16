r"""The Tucker decomposition of a tensor: HOSVD, then HOOI (De Lathauwer, De Moor, Vandewalle 2000).

With $\sigma^{(n)}$ the singular values of the mode-n unfolding, the truncation to ranks $r_n$ leaves the tails
$t_n = \sum_{i > r_n} (\sigma^{(n)}_i)^2$, and the best approximation of those ranks has

$$ \max_n t_n \le \|A - \hat A\|_F^2 \le \sum_n t_n $$
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def tucker(
    tensor: Float[Tensor, "*axes"], ranks: Sequence[int], *, sweeps: int = 20, tolerance: float = 1e-12
) -> tuple[Tensor, list[Tensor]]:
    """The core and one matrix of orthonormal columns per axis: `compose` of them approximates the tensor.

    Args:
        tensor: of any number of axes.
        ranks: the columns per axis, at most its length.
        sweeps: of alternating improvement at most; 0 is the truncated HOSVD.
        tolerance: stop where a sweep gains less than this share of the norm.
    """
    if len(ranks) != tensor.ndim or any(not 1 <= r <= n for r, n in zip(ranks, tensor.shape, strict=False)):
        raise ValueError(f"a tensor of shape {tuple(tensor.shape)} needs a rank from 1 to its length per axis, got {ranks}")
    factors = [_leading(tensor, axis, rank) for axis, rank in enumerate(ranks)]
    core = project(tensor, factors)
    for _ in range(sweeps):
        before = core.norm()
        for axis, rank in enumerate(ranks):
            factors[axis] = _leading(project(tensor, factors, but=axis), axis, rank)
        core = project(tensor, factors)
        if core.norm() - before <= tolerance * core.norm():
            break
    return core, factors


def compose(core: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """The tensor of a core and one matrix per axis."""
    for axis, factor in enumerate(factors):
        core = torch.tensordot(factor, core, dims=([1], [axis])).movedim(0, axis)
    return core


def project(tensor: Tensor, factors: Sequence[Tensor], *, but: int | None = None) -> Tensor:
    """The tensor in the coordinates of the matrices, on every axis but one."""
    for axis, factor in enumerate(factors):
        if axis != but:
            tensor = torch.tensordot(factor.T, tensor, dims=([1], [axis])).movedim(0, axis)
    return tensor


def tails(tensor: Tensor) -> list[Tensor]:
    r"""For every axis the tails $t_n$ at the ranks 0 to its length."""
    found = []
    for axis, length in enumerate(tensor.shape):
        energy = torch.linalg.svdvals(unfold(tensor, axis)).square()
        energy = torch.cat([energy, energy.new_zeros(length - len(energy))])
        found.append(torch.cat([energy.flip(0).cumsum(0).flip(0), energy.new_zeros(1)]))
    return found


def unfold(tensor: Tensor, axis: int) -> Float[Tensor, "length rest"]:
    """The mode-n unfolding: the axis as rows, all others as columns."""
    return tensor.movedim(axis, 0).flatten(1)


def ranks_within(tensor: Tensor, tolerance: float) -> list[int]:
    r"""Small ranks whose truncation is sure to have $\|A - \hat A\|_F \le$ tolerance $\cdot \|A\|_F$."""
    budget = (tolerance * tensor.norm().item()) ** 2
    return _shrunk(tensor, lambda ranks, error: error <= budget)


def ranks_of_size(tensor: Tensor, numel: int) -> list[int]:
    """The ranks of a Tucker form of at most that many numbers, those of the least error bound found greedily."""
    steps: list[list[int]] = []
    _shrunk(tensor, lambda ranks, error: not steps.append(ranks))
    for ranks in steps:
        if tucker_numel(tensor.shape, ranks) <= numel:
            return ranks
    raise ValueError(f"no Tucker form of a tensor of shape {tuple(tensor.shape)} has as few as {numel} numbers")


def tucker_numel(shape: Sequence[int], ranks: Sequence[int]) -> int:
    """The numbers in a core and its matrices."""
    return math.prod(ranks) + sum(n * r for n, r in zip(shape, ranks, strict=True))


def _shrunk(tensor: Tensor, allowed: Callable[[list[int], float], bool]) -> list[int]:
    """Take away one rank at a time, the one that saves most numbers per error, while the outcome is allowed."""
    left = [t.tolist() for t in tails(tensor)]
    ranks = list(tensor.shape)
    while True:
        options = []
        for axis, rank in enumerate(ranks):
            smaller = [*ranks[:axis], rank - 1, *ranks[axis + 1 :]]
            if rank == 1 or any(r * r > math.prod(smaller) for r in smaller):  # a rank above the product of the others
                continue
            added = left[axis][rank - 1] - left[axis][rank]
            saved = tucker_numel(tensor.shape, ranks) - tucker_numel(tensor.shape, smaller)
            options.append((added / saved, smaller))
        options = [
            (cost, smaller)
            for cost, smaller in options
            if allowed(smaller, sum(t[r] for t, r in zip(left, smaller, strict=True)))
        ]
        if not options:
            return ranks
        ranks = min(options)[1]


def _leading(tensor: Tensor, axis: int, rank: int) -> Float[Tensor, "length rank"]:
    """The leading left singular vectors of an unfolding, from its Gram matrix where that is the smaller problem."""
    matrix = unfold(tensor, axis)
    if matrix.shape[1] > 4 * matrix.shape[0]:
        return torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -rank:].flip(-1)
    basis = torch.linalg.svd(matrix, full_matrices=matrix.shape[1] < rank).U
    return basis[:, :rank]
