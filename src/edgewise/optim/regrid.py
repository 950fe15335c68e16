"""Other grids and bases under the curves of S networks, refitted in one matrix product per layer.

On even grids a refit is the same matrix for every edge: the curve is sampled at the same relative points and multiplied
with one pseudo-inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.optim.flat import Edges, Network, Parameters, design
from edgewise.optim.local_equations import layer_inputs


def even_grid(
    basis: Basis, low: Float[Tensor, "starts features"], high: Float[Tensor, "starts features"]
) -> Float[Tensor, "starts features points"]:
    """The grid that covers [low, high] evenly."""
    unit = basis.init_grid(1, 0.0, 1.0, dtype=low.dtype)[0]
    return low[..., None] + (high - low)[..., None] * unit


def regrid(
    network: Network, parameters: Parameters, bases: Sequence[Basis], grids: Sequence[Tensor]
) -> tuple[Network, Parameters]:
    """The same curves on other bases and even grids, one per layer; the residual function is fitted into the curve."""
    new = network.with_bases(bases, None)
    parts = []
    for old_edges, (coef, bias, affine), old_grid, basis, grid in zip(
        network.edges, network.split(parameters.theta), parameters.grids, bases, grids, strict=True
    ):
        parts.append((_refit(old_edges, coef, old_grid, basis, grid), bias, affine))
    return new, Parameters(new.join(parts), tuple(grids))


def _refit(edges: Edges, coef: Tensor, old_grid: Tensor, basis: Basis, grid: Tensor) -> Tensor:
    t, inverse = _relative_fit(basis)
    low, high = grid[..., :1], grid[..., -1:]
    there = design(edges, low + (high - low) * t, old_grid, slopes=False).values
    values = there.transpose(2, 3) @ coef
    return inverse @ values


@lru_cache(maxsize=64)
def _relative_fit(basis: Basis) -> tuple[Tensor, Tensor]:
    """Sample points in [0, 1] and the matrix from values there to coefficients."""
    grid = basis.init_grid(1, 0.0, 1.0, dtype=torch.float64)
    points = basis.sample_points(grid)
    design = basis.evaluate(points, grid)[:, 0]
    if isinstance(basis, BSpline):  # its functions are independent at these points: no singular values are needed
        q, r = torch.linalg.qr(design)
        return points[:, 0], torch.linalg.solve_triangular(r, q.T, upper=True)
    return points[:, 0], torch.linalg.pinv(design)


def spans(network: Network, parameters: Parameters, x: Float[Tensor, "in samples"]) -> list[tuple[Tensor, Tensor]]:
    """The range of the inputs of every layer of edges over the samples: (S, in) each."""
    return [(inputs.amin(-1), inputs.amax(-1)) for inputs in layer_inputs(network, parameters, x)]
