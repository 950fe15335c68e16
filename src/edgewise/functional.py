r"""Stateless mathematics of curves: values, sums, least-squares fits and exact refinement.

Shapes: x (*b, in); coef (in, size, out) with one column of coefficients per edge; grid (in, points).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis
from edgewise.kernels import EdgeSpec, design, edge_sum as _edge_sum


def edge_sum(
    x: Float[Tensor, "*b in"],
    coef: Float[Tensor, "in size out"],
    grid: Float[Tensor, "in points"],
    basis: Basis,
    residual: str | None = None,
    *,
    h: Float[Tensor, "*b in"] | None = None,
    bias: Float[Tensor, " out"] | None = None,
    order: int = 0,
) -> Float[Tensor, "*b out"]:
    r"""The sum over incoming edges, $y_{bi} = \sum_{jk} h_{bj}\, c_{jki}\, B_k^{(\nu)}(x_{bj})$, plus $b_i$ if given.

    Differentiable in x, coef, h and bias to any order. With `h` the same contraction serves Taylor mode:
    $y' = \text{edge\_sum}(x, h{=}x', \nu{=}1)$.
    """
    return _edge_sum(x, coef, grid, EdgeSpec(basis, residual, order), h, bias)


def edge_values(
    x: Float[Tensor, "*b in"],
    coef: Float[Tensor, "in size out"],
    grid: Float[Tensor, "in points"],
    basis: Basis,
    residual: str | None = None,
    *,
    order: int = 0,
) -> Float[Tensor, "*b in out"]:
    r"""The value of every curve at its input, $v_{bji} = \sum_k c_{jki} B_k^{(\nu)}(x_{bj})$, before the sum over j."""
    return torch.einsum("...jk,jki->...ji", design(x, grid, EdgeSpec(basis, residual, order)), coef)


def fit_curves(
    x: Float[Tensor, "samples features"],
    values: Float[Tensor, "samples features out"],
    grid: Float[Tensor, "features points"],
    basis: Basis,
) -> Float[Tensor, "features size out"]:
    r"""The coefficients that minimise $\sum_b (v_{bji} - \sum_k c_{jki} B_k(x_{bj}))^2$ for every edge.

    Solved in float64 by a rank-revealing factorisation; where the samples leave coefficients undetermined, the solution
    of least norm is taken, so that no curve grows where there are no data.
    """
    phi = basis.evaluate(x.double(), grid.double()).movedim(1, 0)
    target = values.double().movedim(1, 0)
    return least_squares(phi, target).to(values)


def least_squares(
    A: Float[Tensor, "*b rows columns"], b: Float[Tensor, "*b rows right"], rcond: float | None = None
) -> Float[Tensor, "*b columns right"]:
    r"""The minimiser of $\lVert A x - b \rVert^2$ with the least norm: also where columns of A depend on one another.

    Computed on the CPU by singular values (LAPACK gelsd); those below `rcond` times the largest count as zero, by
    default the precision of the dtype times the larger side of A.
    """
    # The default driver, gelsy, reads stale pivots in torch 2.13 (pytorch issue 187411): of 50 systems with one column
    # twice another, most come out wrong. On a GPU torch has no driver for dependent columns at all.
    return torch.linalg.lstsq(A.cpu(), b.cpu(), rcond=rcond, driver="gelsd").solution.to(A.device)


def refine_coefficients(
    coef: Float[Tensor, "in size out"],
    grid: Float[Tensor, "in points"],
    basis: Basis,
    new_grid: Float[Tensor, "in new_points"],
    new_basis: Basis,
) -> Float[Tensor, "in new_size out"]:
    """The same curves on another grid or basis: exact where the new functions span the old ones, else least squares."""
    points = new_basis.sample_points(new_grid.double())
    values = edge_values(points, coef.double(), grid.double(), basis)
    return fit_curves(points, values, new_grid.double(), new_basis).to(coef)
