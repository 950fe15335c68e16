r"""B-splines on a grid of break points, evaluated by local support.

The knots are the break points $t_0 < \dots < t_G$ with `degree` more at either end: repeated ("clamped", well
conditioned at every degree) or continued with the spacing of the end interval ("uniform"). Values follow the triangular
recursion and derivatives the difference recursion of de Boor, A Practical Guide to Splines, chapters IX-X.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases._basis import Basis, check_counts, continued_points, linear_outside, nan_of, zero_outside

Extrapolation = Literal["linear", "constant", "polynomial", "zero"]


@dataclasses.dataclass(frozen=True)
class BSpline(Basis):
    """B-splines of a degree 0 to 9 on `intervals` intervals: K = intervals + degree functions.

    Args:
        intervals: number of grid intervals G per input feature.
        degree: polynomial degree (3 = cubic, twice continuously differentiable).
        knots: "clamped" repeats the end points, "uniform" continues the spacing beyond them.
        extrapolation: outside the grid, continue "linear" (value and slope), "constant", "polynomial" (the end piece)
            or "zero".
    """

    name: ClassVar[str] = "bspline"
    intervals: int = 5
    degree: int = 3
    knots: Literal["clamped", "uniform"] = "clamped"
    extrapolation: Extrapolation = "linear"

    def __post_init__(self) -> None:
        check_counts(self, 1, "intervals")
        check_counts(self, 0, "degree")
        if self.degree > 9:
            raise ValueError(f"BSpline: degree must be 0 to 9, got {self.degree}")
        if self.knots not in ("clamped", "uniform"):
            raise ValueError(f"BSpline: knots must be 'clamped' or 'uniform', got {self.knots!r}")
        if self.extrapolation not in ("linear", "constant", "polynomial", "zero"):
            raise ValueError(
                "BSpline: extrapolation must be 'linear', 'constant', 'polynomial' or 'zero', "
                f"got {self.extrapolation!r}"
            )

    @property
    def size(self) -> int:
        return self.intervals + self.degree

    @property
    def points(self) -> int:
        return self.intervals + 1

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        index, local = self.local_derivative(x, grid, order)
        columns = index[..., None] + torch.arange(self.degree + 1, device=x.device)
        dense = torch.zeros((*x.shape, self.size), dtype=local.dtype, device=x.device)
        return dense.scatter(-1, columns, local)

    def local_derivative(self, x: Tensor, grid: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """The interval of every x, and there the derivatives of the `degree + 1` functions that do not vanish.

        These are the functions interval, ..., interval + degree; shapes (*b, features) and (..., degree + 1).
        """
        low, high = grid[:, 0], grid[:, -1]
        inside = x.clamp(low, high)
        index = (inside.detach()[..., None] >= grid[:, 1:-1]).sum(-1)
        t = self._local_knots(grid, index)
        if self.extrapolation == "polynomial":
            local = local_values(x, t, self.degree, order)
        elif self.extrapolation == "linear":
            local = linear_outside(lambda x, order: local_values(x, t, self.degree, order), x, inside, order)
        elif self.extrapolation == "constant":
            local = local_values(inside, t, self.degree, order)
            local = local + nan_of(x)[..., None] if order == 0 else zero_outside(local, x, inside)
        else:
            local = zero_outside(local_values(inside, t, self.degree, order), x, inside)
        return index, local

    def full_knots(self, grid: Float[Tensor, "features points"]) -> Tensor:
        """All knots, `degree` more at either end than the grid: shape (features, intervals + 1 + 2 degree)."""
        if self.knots == "uniform":
            return continued_points(grid, self.degree)
        return torch.cat([grid[:, :1].expand(-1, self.degree), grid, grid[:, -1:].expand(-1, self.degree)], dim=-1)

    def greville(self, grid: Float[Tensor, "features points"]) -> Tensor:
        r"""The Greville abscissae, mean of `degree` consecutive knots: with them as coefficients the curve is $x$."""
        if self.degree == 0:
            return (grid[:, 1:] + grid[:, :-1]) / 2
        return self.full_knots(grid)[:, 1:-1].unfold(-1, self.degree, 1).mean(-1)

    def sample_points(self, grid: Float[Tensor, "features points"]) -> Float[Tensor, "samples features"]:
        """`degree + 1` points inside every interval, ends excluded where pieces of degree 0 jump."""
        n = self.degree + 2
        t = (torch.arange(n, dtype=grid.dtype, device=grid.device) + 0.5) / n
        points = grid[:, :-1, None] + grid.diff(dim=-1)[:, :, None] * t
        points = points.flatten(1)
        if self.degree > 0:
            points = torch.cat([grid[:, :1], points, grid[:, -1:]], dim=-1)
        return points.T

    def resized(self, n: int) -> BSpline:
        return dataclasses.replace(self, intervals=n)

    def _local_knots(self, grid: Tensor, index: Tensor) -> Tensor:
        """The 2 degree knots around the interval of each sample: shape (*b, features, 2 degree)."""
        if self.degree == 0:
            return grid.new_zeros((*index.shape, 0))
        knots = self.full_knots(grid)
        columns = index[..., None] + torch.arange(1, 2 * self.degree + 1, device=grid.device)
        rows = torch.arange(grid.shape[0], device=grid.device)[:, None]
        return knots[rows, columns]


def local_values(x: Tensor, t: Tensor, degree: int, order: int) -> Tensor:
    r"""The `degree + 1` functions that do not vanish on the interval of x, differentiated `order` times.

    `t[..., degree - 1]` and `t[..., degree]` are the ends of the interval.
    """
    if order > degree:
        return (x - x)[..., None].expand(*x.shape, degree + 1)
    values = [1 + (x - x if order == degree else nan_of(x))]  # a constant must be a function of x for autograd
    for d in range(1, degree - order + 1):
        saved = torch.zeros_like(x)
        for r in range(d):
            right, left = t[..., degree + r], t[..., degree - d + r]
            share = values[r] / (right - left)
            values[r] = saved + (right - x) * share
            saved = (x - left) * share
        values.append(saved)
    for d in range(degree - order + 1, degree + 1):
        slopes = [d * v / (t[..., degree + m] - t[..., degree - d + m]) for m, v in enumerate(values)]
        values = [-slopes[0], *(slopes[m - 1] - slopes[m] for m in range(1, d)), slopes[-1]]
    return torch.stack(values, dim=-1)
