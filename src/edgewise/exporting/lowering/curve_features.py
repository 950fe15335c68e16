r"""Functions of one input whose sum, with weights, is a curve: what a layer of curves is to a matrix product.

For splines of degree d they are polynomials of ramps, after which nothing has to be searched or gathered: with
$u_g = \mathrm{clip}((x - l_g) s_g, 0, 1)$ and $A_{gn} = \sum_{m \ge n} a_{gm}$,

$$ \varphi(x) = p_0(0) + \sum_g \Big[ A_{g1} u_g - u_g (1 - u_g) \sum_{n=2}^{d} A_{gn} u_g^{n-2} \Big]
   - s_0 (l_0 - x)_+ + s_G (x - t_G)_+, $$

since every ramp adds what its piece rises by, $p_g(u_g) - p_g(0)$; $s_0, s_G$ are the slopes at the ends. Outside its
own interval a ramp is 0 or 1 and adds its rise alone: with powers of u as features, the rounding errors of all
intervals would add up. In ONNX Runtime a layer of 64 x 64 curves takes a fourth of the time of the basis itself at 1
and at 1,024 rows; gathering the coefficients of the interval is slower up to about 16 intervals.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis, BSpline
from edgewise.exporting.lowering.spline_pieces import rounded_down, rounded_knots, rounded_up, spline_pieces


class CurveFeatures(nn.Module, ABC):
    """Features of every input, block by block: x (*b, in, *size) to (*b, in · n, *size), `dims` the number of sizes."""

    def __init__(self, residual: str | None, dims: int) -> None:
        super().__init__()
        self.residual, self.dims = residual, dims

    @abstractmethod
    def blocks(self, x: Tensor) -> list[Tensor]:
        """The features of the basis: (*b, in · n, *size) each, the n features of an input next to one another."""

    @abstractmethod
    def basis_weights(self, grid: Tensor, coef: Tensor) -> tuple[list[Tensor], Tensor]:
        """The weights of the blocks, (in, n, out) each, and the constant of every curve, (in, out)."""

    def forward(self, x: Tensor) -> Tensor:
        parts = self.blocks(x)
        if self.residual is not None:
            parts.append(residual_values(self.residual, x))
        return torch.cat(parts, dim=-1 - self.dims)

    def weights(
        self, grid: Float[Tensor, "in points"], coef: Float[Tensor, "in size out"]
    ) -> tuple[list[Tensor], Tensor]:
        """The weights of all blocks and the constants of curves with this float64 grid and coefficients."""
        blocks, constant = self.basis_weights(grid, coef)
        return (blocks if self.residual is None else [*blocks, coef[:, -1:]]), constant

    def _columns(self, x: Tensor) -> Tensor:
        """x with a new dimension of one behind the inputs."""
        return x.unsqueeze(x.ndim - self.dims)

    def _joined(self, columns: Tensor) -> Tensor:
        return columns.flatten(-2 - self.dims, -1 - self.dims)

    def _register(self, name: str, values: Tensor) -> None:
        """A buffer, (in, n) or (in,), that broadcasts with maps."""
        self.register_buffer(name, values.reshape(*values.shape, *[1] * self.dims))


class RampFeatures(CurveFeatures):
    """The features of splines, see the equation of this file.

    Args:
        basis: of the curves.
        residual: see `KANLinear`.
        grid: float64, one row per input.
        dtype: of the file.
        dims: see `CurveFeatures`.
    """

    left: Tensor
    inverse: Tensor
    low: Tensor
    high: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, basis: BSpline, residual: str | None, grid: Tensor, dtype: torch.dtype, dims: int = 0) -> None:
        super().__init__(residual, dims)
        self.basis, self.dtype = basis, dtype
        left, inverse = rounded_knots(grid, dtype)
        if basis.degree == 0:
            self._register("left", rounded_up(grid[:, 1:-1], dtype))
        else:
            self._register("left", left)
            self._register("inverse", inverse)
        # Inside, at or between the ends, are the same numbers of this precision as in the model's own.
        self._register("first", rounded_up(grid[:, 0], dtype))
        self._register("last", rounded_down(grid[:, -1], dtype))
        self._register("low", grid[:, 0].to(dtype))
        self._register("high", grid[:, -1].to(dtype))

    def blocks(self, x: Tensor) -> list[Tensor]:
        columns = self._columns(x)
        kind = self.basis.extrapolation
        found = self._steps(columns) if self.basis.degree == 0 else self._ramps(columns)
        parts = [self._joined(part) for part in found]
        if kind == "zero":
            inside = (x >= self.first) & (x <= self.last)
            wide = self._columns(inside)
            parts = [self._joined(torch.where(wide, part, part * 0)) for part in found]
            parts.append(inside.to(x.dtype))
        if kind == "linear" and self.basis.degree > 0:
            parts += [torch.relu(self.low - x), torch.relu(x - self.high)]
        # Weight 0: it makes every output of a row with NaN or infinity NaN, as in the model.
        return [*parts, x]

    def basis_weights(self, grid: Tensor, coef: Tensor) -> tuple[list[Tensor], Tensor]:
        pieces = spline_pieces(self.basis, grid, coef, self.dtype)
        a = pieces.coefficients
        constant = a[:, 0, 0]
        if self.basis.degree > 0:
            rise, *bends = a[:, :, 1:].flip(2).cumsum(2).flip(2).unbind(2)
            blocks = [rise, *(-bend for bend in bends)]
        else:
            blocks = [a[:, :, 0].diff(dim=1)] if a.shape[1] > 1 else []
        if self.basis.extrapolation == "zero":
            blocks.append(constant[:, None])
            constant = torch.zeros_like(constant)
        if self.basis.extrapolation == "linear" and self.basis.degree > 0:
            blocks += [-pieces.first_slope[:, None], pieces.last_slope[:, None]]
        return [*blocks, torch.zeros_like(constant)[:, None]], constant

    def _steps(self, columns: Tensor) -> list[Tensor]:
        return [] if self.left.shape[1] == 0 else [(columns >= self.left).to(columns.dtype)]

    def _ramps(self, columns: Tensor) -> list[Tensor]:
        u = (columns - self.left) * self.inverse
        if self.basis.extrapolation != "polynomial":
            u = u.clamp(0, 1)
        elif self.basis.intervals > 1:  # the end pieces are open
            along = u.ndim - 1 - self.dims
            inner = [u.narrow(along, 1, self.basis.intervals - 2).clamp(0, 1)] if self.basis.intervals > 2 else []
            first = u.narrow(along, 0, 1).clamp(max=1)
            last = u.narrow(along, self.basis.intervals - 1, 1).clamp(min=0)
            u = torch.cat([first, *inner, last], dim=along)
        bends = [u * (1 - u)][: self.basis.degree - 1]
        for _ in range(2, self.basis.degree):
            bends.append(bends[-1] * u)
        return [u, *bends]


class BasisFeatures(CurveFeatures):
    """The functions of any other basis, computed as the basis does.

    Args:
        basis: of the curves.
        residual: see `KANLinear`.
        grid: one row per input.
        dtype: of the file.
        dims: see `CurveFeatures`.
    """

    grid: Tensor

    def __init__(self, basis: Basis, residual: str | None, grid: Tensor, dtype: torch.dtype, dims: int = 0) -> None:
        super().__init__(residual, dims)
        self.basis = basis
        self.register_buffer("grid", grid.to(dtype))

    def blocks(self, x: Tensor) -> list[Tensor]:
        if self.dims:
            values = torch.stack(self.basis.evaluate_maps(x, self.grid), dim=2)
        else:
            values = self.basis.evaluate(x, self.grid)
        return [self._joined(values), *([] if self.residual is None else [x])]  # as in `RampFeatures`

    def basis_weights(self, grid: Tensor, coef: Tensor) -> tuple[list[Tensor], Tensor]:
        zero = coef.new_zeros(coef.shape[0], coef.shape[2])
        return [coef[:, : self.basis.size], *([] if self.residual is None else [zero[:, None]])], zero


def residual_values(name: str, x: Tensor) -> Tensor:
    r"""The residual function; silu as $x / (1 + e^{-x})$.

    The sigmoid of ONNX Runtime 1.32 is accurate to 2e-7 and not relatively, so that $x\,\sigma(x)$ at -16 is wrong by a
    third: by 2e-6, which products of far inputs amplify. Its exponential function is exact to single precision.
    """
    return x if name == "identity" else x / (1 + torch.exp(-x))


def curve_features(
    basis: Basis, residual: str | None, grid: Tensor, dtype: torch.dtype, dims: int = 0
) -> CurveFeatures:
    """The features of this basis on a float64 grid."""
    kind = RampFeatures if isinstance(basis, BSpline) else BasisFeatures
    return kind(basis, residual, grid, dtype, dims)  # pyright: ignore[reportArgumentType]
