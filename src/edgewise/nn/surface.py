r"""One edge of several variables: a tensor product of B-splines, the curve of an edge with more than one input.

$$ y_i(x) = \sum_{k_1 \dots k_d} c_{k_1 \dots k_d\, i} \prod_{j=1}^{d} B_{k_j}(x_j) $$

Every axis has its own break points, which may be of any spacing, and may be periodic: then the curve and all of its
continuous derivatives agree at the two ends. Refinement of an axis by a finer grid that contains the old one keeps the
function (de Boor, A Practical Guide to Splines, chapters XI and XVII).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise.bases.bspline import local_values


class Surface(nn.Module):
    """A spline of several variables, zero at first.

    Args:
        grids: the break points of every variable, increasing.
        outputs: the number of functions.
        degree: of the splines along every variable, 1 to 10.
        periodic: the variables, counted from 0, along which the functions are periodic.

    Raises:
        ValueError: a grid does not increase, a periodic one has fewer intervals than `degree + 1`, or the degree is
            out of its range.
    """

    def __init__(
        self, grids: Sequence[Tensor], outputs: int = 1, *, degree: int = 7, periodic: Sequence[int] = ()
    ) -> None:
        super().__init__()
        if not 1 <= degree <= 10:
            raise ValueError(f"Surface: degree must be 1 to 10, got {degree}")
        self.degree, self.outputs, self.periodic = degree, outputs, tuple(sorted(set(periodic)))
        for j, grid in enumerate(grids):
            points = torch.as_tensor(grid, dtype=torch.float64)
            if points.ndim != 1 or len(points) < 2 or not bool((points.diff() > 0).all()):
                raise ValueError(f"Surface: the break points of variable {j} must be two or more and increase")
            if j in self.periodic and len(points) <= degree + 1:
                raise ValueError(
                    f"Surface: a periodic variable of degree {degree} needs {degree + 1} intervals or more, "
                    f"variable {j} has {len(points) - 1}"
                )
            self.register_buffer(f"grid_{j}", points)
        self.variables = len(grids)
        self.coef = nn.Parameter(torch.zeros(*self.sizes, outputs, dtype=torch.float64))

    @property
    def grids(self) -> tuple[Tensor, ...]:
        """The break points of every variable."""
        return tuple(getattr(self, f"grid_{j}") for j in range(self.variables))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of functions along every variable."""
        return tuple(len(g) - 1 + self.degree * (j not in self.periodic) for j, g in enumerate(self.grids))

    def knots(self, j: int) -> Float[Tensor, " knots"]:
        """All knots of a variable: the ends repeated, or the period continued."""
        grid, p = self.grids[j], self.degree
        if j not in self.periodic:
            return torch.cat([grid[:1].expand(p), grid, grid[-1:].expand(p)])
        period = grid[-1] - grid[0]
        return torch.cat([grid[-p - 1 : -1] - period, grid, grid[1 : p + 1] + period])

    def curves(
        self, j: int, x: Float[Tensor, " b"], orders: int = 0
    ) -> tuple[Int[Tensor, "b local"], list[Float[Tensor, "b local"]]]:
        """The functions along variable j that do not vanish at x, and their derivatives of order 0 to `orders`."""
        grid, p = self.grids[j], self.degree
        if j in self.periodic:
            x = grid[0] + torch.remainder(x - grid[0], grid[-1] - grid[0])
        interval = torch.searchsorted(grid[1:-1].contiguous(), x.detach().contiguous(), right=True)
        t = self.knots(j)[interval[:, None] + torch.arange(1, 2 * p + 1)]
        columns = (interval[:, None] + torch.arange(p + 1)) % self.sizes[j]
        return columns, [local_values(x, t, p, n) for n in range(orders + 1)]

    def columns(self, parts: Sequence[Int[Tensor, "b local"]]) -> Int[Tensor, "b all"]:
        """The flat index of every product of local functions, one per variable."""
        flat = torch.zeros(len(parts[0]), 1, dtype=torch.int64)
        for size, part in zip(self.sizes, parts, strict=True):
            flat = (flat[:, :, None] * size + part[:, None, :]).flatten(1)
        return flat

    def forward(self, x: Float[Tensor, "*b variables"]) -> Float[Tensor, "*b outputs"]:
        flat = x.reshape(-1, self.variables)
        parts, weights = [], x.new_ones(len(flat), 1)
        for j in range(self.variables):
            columns, (values,) = self.curves(j, flat[:, j])
            parts.append(columns)
            weights = (weights[:, :, None] * values[:, None, :]).flatten(1)
        y = torch.einsum("bl,bli->bi", weights, self.coef.flatten(0, -2)[self.columns(parts)])
        return y.reshape(*x.shape[:-1], self.outputs)

    @torch.no_grad()
    def on_grid(self, axes: Sequence[Float[Tensor, " n"]]) -> Float[Tensor, "*grid outputs"]:
        """The values on the grid of these coordinates, axis by axis."""
        values = self.coef.detach()
        for j, x in enumerate(axes):
            values = torch.tensordot(self.design(j, x), values.movedim(j, 0), dims=1).movedim(0, j)
        return values

    @torch.no_grad()
    def on(self, grids: Sequence[Tensor], *, degree: int | None = None) -> Surface:
        """The spline on other grids that agrees at their Greville points: the same function if they refine the old.

        Another degree has another number of continuous derivatives: then the function is the same up to its error.
        """
        new = Surface(grids, self.outputs, degree=degree or self.degree, periodic=self.periodic)
        coef = self.coef.detach()
        for j, grid in enumerate(new.grids):
            if torch.equal(grid, self.grids[j]) and new.degree == self.degree:
                continue
            points = new.greville(j)
            moved = coef.movedim(j, 0)
            values = self.design(j, points) @ moved.flatten(1)
            fitted = torch.linalg.solve(new.design(j, points), values)
            coef = fitted.unflatten(1, moved.shape[1:]).movedim(0, j)
        new.coef.copy_(coef)
        return new

    def greville(self, j: int) -> Float[Tensor, " size"]:
        """The means of `degree` consecutive knots of a variable, one for every function."""
        means = self.knots(j)[1:-1].unfold(0, self.degree, 1).mean(-1)
        low, high = self.grids[j][0], self.grids[j][-1]
        if j not in self.periodic:
            return means.clamp(low, high)
        return low + torch.remainder(means[: self.sizes[j]] - low, high - low)

    def design(self, j: int, x: Float[Tensor, " b"]) -> Float[Tensor, "b size"]:
        """The values of all functions along a variable."""
        columns, (values,) = self.curves(j, x)
        return x.new_zeros(len(x), self.sizes[j]).scatter_add_(1, columns, values)

    def extra_repr(self) -> str:
        intervals = " x ".join(str(len(g) - 1) for g in self.grids)
        return f"{intervals} intervals, outputs={self.outputs}, degree={self.degree}, periodic={self.periodic}"
