r"""Computes the Tucker decomposition of a tensor: HOSVD, then HOOI (De Lathauwer, De Moor, Vandewalle 2000).

Let $\sigma^{(n)}$ be the singular values of the mode-n unfolding. A truncation to ranks $r_n$ drops the tails
$t_n = \sum_{i > r_n} (\sigma^{(n)}_i)^2$, and the best approximation of these ranks satisfies

$$ \max_n t_n \le \|A - \hat A\|_F^2 \le \sum_n t_n $$
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def tucker(
    tensor: Float[Tensor, "*axes"], ranks: Sequence[int], *, sweeps: int = 20, tolerance: float = 1e-12
) -> tuple[Tensor, list[Tensor]]:
    """The core and one matrix with orthonormal columns per axis; their `compose` approximates the tensor.

    Args:
        tensor: any number of axes.
        ranks: columns per axis, each at most the length of the axis.
        sweeps: the maximum number of alternating sweeps; 0 is the truncated HOSVD.
        tolerance: stop when a sweep gains less than this share of the norm.
    """
    if len(ranks) != tensor.ndim or any(not 1 <= r <= n for r, n in zip(ranks, tensor.shape, strict=False)):
        raise ValueError(f"a tensor of shape {tuple(tensor.shape)} needs a rank per axis, 1 to its length; got {ranks}")
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
        core = _times(factor, core, axis)
    return core


def project(tensor: Tensor, factors: Sequence[Tensor], *, but: int | None = None) -> Tensor:
    """The tensor in the coordinates of the matrices, on every axis except `but`."""
    for axis, factor in enumerate(factors):
        if axis != but:
            tensor = _times(factor.T, tensor, axis)
    return tensor


def tails(tensor: Tensor) -> list[Tensor]:
    r"""The tails $t_n$ of every axis, at ranks 0 to its length."""
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
    r"""Small ranks whose truncation is guaranteed to satisfy $\|A - \hat A\|_F \le$ tolerance $\cdot \|A\|_F$."""
    budget = (tolerance * tensor.norm().item()) ** 2
    *_, (ranks, _) = itertools.takewhile(lambda step: step[1] <= budget, shrinking_ranks(tensor))
    return ranks


def ranks_of_size(tensor: Tensor, numel: int) -> list[int]:
    """The first ranks of `shrinking_ranks` whose Tucker form has at most `numel` parameters."""
    for ranks, _ in shrinking_ranks(tensor):
        if tucker_numel(tensor.shape, ranks) <= numel:
            return ranks
    raise ValueError(f"no Tucker form of a tensor of shape {tuple(tensor.shape)} has at most {numel} parameters")


def shrinking_ranks(tensor: Tensor) -> Iterator[tuple[list[int], float]]:
    """Ranks from full down to 1, each with the bound of the squared error of its truncation.

    Every step lowers the rank that saves the most parameters per error.
    """
    left = [t.tolist() for t in tails(tensor)]
    ranks = list(tensor.shape)
    while True:
        yield ranks, sum(t[r] for t, r in zip(left, ranks, strict=True))
        options = []
        for axis, rank in enumerate(ranks):
            if rank > 1:
                smaller = [*ranks[:axis], rank - 1, *ranks[axis + 1 :]]
                saved = tucker_numel(tensor.shape, ranks) - tucker_numel(tensor.shape, smaller)
                options.append(((left[axis][rank - 1] - left[axis][rank]) / saved, smaller))
        if not options:
            return
        ranks = min(options)[1]


def tucker_numel(shape: Sequence[int], ranks: Sequence[int]) -> int:
    """The number of parameters in a core and its matrices."""
    return math.prod(ranks) + sum(n * r for n, r in zip(shape, ranks, strict=True))


def _times(matrix: Tensor, tensor: Tensor, axis: int) -> Tensor:
    """The mode-n product: the matrix applied to every fibre along the axis."""
    return (tensor.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def _leading(tensor: Tensor, axis: int, rank: int) -> Float[Tensor, "length rank"]:
    """The leading left singular vectors of an unfolding, from its Gram matrix where that is the smaller problem."""
    matrix = unfold(tensor, axis)
    if matrix.shape[1] > 4 * matrix.shape[0]:
        return torch.linalg.eigh(matrix @ matrix.T).eigenvectors[:, -rank:].flip(-1)
    basis = torch.linalg.svd(matrix, full_matrices=matrix.shape[1] < rank).U
    return basis[:, :rank]
