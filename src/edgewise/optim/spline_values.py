r"""Values and slopes of B-splines in one pass, samples last: what a Jacobian needs at every step.

The same functions as `BSpline.derivative` of order 0 and 1, from one run of the triangular recursion: the differences
of its last step are the slopes. Shapes: x (*s, features, samples), grid (*s, features, points).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import BSpline


def values_and_slopes(
    basis: BSpline, x: Float[Tensor, "*s features samples"], grid: Float[Tensor, "*s features points"]
) -> tuple[Float[Tensor, "*s features size samples"], Float[Tensor, "*s features size samples"]]:
    r"""$B_k(x)$ and $B_k'(x)$ for every k, extrapolated as the basis says."""
    low, high = grid[..., :1], grid[..., -1:]
    inside = x.clamp(low, high)
    index = torch.searchsorted(grid[..., 1:-1].contiguous(), inside.contiguous(), right=True)
    at = x if basis.extrapolation == "polynomial" else inside
    values, slopes = _local(basis, at, grid, index)
    if basis.extrapolation == "linear":
        values = values + (x - inside).unsqueeze(-2) * slopes
    elif basis.extrapolation != "polynomial":
        outside = (x != inside).unsqueeze(-2)
        slopes = slopes.masked_fill(outside, 0)
        if basis.extrapolation == "zero":
            values = values.masked_fill(outside, 0)
    rows = index.unsqueeze(-2) + torch.arange(basis.degree + 1, device=x.device)[:, None]
    shape = (*x.shape[:-1], basis.size, x.shape[-1])
    return x.new_zeros(shape).scatter_(-2, rows, values), x.new_zeros(shape).scatter_(-2, rows, slopes)


def _local(basis: BSpline, x: Tensor, grid: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The `degree + 1` functions that do not vanish around x, and their slopes: shape (*s, features, degree + 1, b)."""
    degree = basis.degree
    flat = grid.reshape(-1, grid.shape[-1])
    knots = basis.full_knots(flat).reshape(*grid.shape[:-1], -1)
    # t[m] is knot number index + m; x lies between t[degree] and the next.
    t = [knots.gather(-1, index + m) for m in range(2 * degree + 1 + (degree == 0))]
    values, shares = [torch.ones_like(x)], [torch.zeros_like(x)]
    for d in range(1, degree + 1):
        saved, shares, old = torch.zeros_like(x), [], values
        values = []
        for r in range(d):
            right, left = t[degree + 1 + r], t[degree + 1 - d + r]
            share = old[r] / (right - left)
            shares.append(share)
            values.append(saved + (right - x) * share)
            saved = (x - left) * share
        values.append(saved)
    if degree == 0:
        return torch.stack(values, -2), torch.stack(shares, -2)
    slopes = [-shares[0], *(shares[m - 1] - shares[m] for m in range(1, degree)), shares[-1]]
    return torch.stack(values, -2), degree * torch.stack(slopes, -2)
