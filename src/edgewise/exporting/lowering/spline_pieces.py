r"""Splines as polynomials, one per interval, in the coordinate that a file computes.

On interval g of a grid $t_0 < \dots < t_G$ a curve of degree d is $p_g(u) = \sum_m a_{gm} u^m$, where
$u = (x - l_g)\,s_g$ runs from 0 to 1. The file has $l_g$ and $s_g$ in its own precision; the coefficients belong to
these rounded values, so that rounding a knot far from zero costs nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import BSpline


class Pieces(NamedTuple):
    """The parts of the equation for every interval, and the tangents with which a curve may continue.

    Left ends and inverse widths, (in, G), are in the precision of the file; coefficients, (in, G, d + 1, out), and the
    slopes at the lower and upper end, (in, out), are float64.
    """

    left: Tensor
    inverse: Tensor
    coefficients: Tensor
    first_slope: Tensor
    last_slope: Tensor


def spline_pieces(
    basis: BSpline, grid: Float[Tensor, "in points"], coef: Float[Tensor, "in size out"], dtype: torch.dtype
) -> Pieces:
    """The polynomials of curves whose grid and coefficients are float64; exact, by the derivatives at the knots."""
    left, inverse = rounded_knots(grid, dtype)
    orders, curves = range(basis.degree + 1), coef[:, : basis.size]
    values = [torch.einsum("gjk,jki->jgi", basis.derivative(grid.T, grid, m), curves) for m in range(basis.degree + 2)]
    taylor = torch.stack([values[m][:, :-1] / math.factorial(m) for m in orders], dim=2)
    # With x - t = u / s + (l - t): from powers of x - t to powers of u.
    shift, step = (left.double() - grid[:, :-1])[..., None], (1 / inverse.double())[..., None]
    rows = []
    for m in orders:
        terms = [math.comb(n, m) * shift ** (n - m) * step**m * taylor[:, :, n] for n in orders if n >= m]
        rows.append(torch.stack(terms).sum(0))
    return Pieces(left, inverse, torch.stack(rows, dim=2), values[1][:, 0], values[1][:, -1])


def rounded_knots(grid: Float[Tensor, "in points"], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The left ends and the inverse widths of all intervals in the precision of the file."""
    return grid[:, :-1].to(dtype), (1 / grid.diff(dim=-1)).to(dtype)


def rounded_up(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The least number of this precision that is not below: the same numbers of it are at or above both."""
    near = values.to(dtype)
    return torch.where(near.double() < values.double(), near.nextafter(near.new_tensor(torch.inf)), near)


def rounded_down(values: Tensor, dtype: torch.dtype) -> Tensor:
    """The greatest number of this precision that is not above."""
    return -rounded_up(-values, dtype)
