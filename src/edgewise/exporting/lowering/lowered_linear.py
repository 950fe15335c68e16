"""A layer of curves in plain operations: features and a matrix, or the coefficients of the interval of every input."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.exporting.lowering.curve_features import CurveFeatures, curve_features, residual_values
from edgewise.exporting.lowering.lowered_symbols import LoweredSymbols
from edgewise.exporting.lowering.spline_pieces import rounded_up, spline_pieces
from edgewise.nn import KANLinear, SlimKANLinear

RAMPS_UP_TO = 16
"""Intervals; above, gathering is faster (ONNX Runtime 1.31, 64 x 64 and 4 x 8 curves, 1 to 256 rows)."""


class LoweredLinear(nn.Module):
    """The sum of curves as a matrix product of their features, shapes (*batch, in) -> (*batch, out)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, features: CurveFeatures, grid: Tensor, coef: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        blocks, constant = features.weights(grid, coef)
        self.features = features
        self.register_buffer("weight", torch.cat([block.flatten(0, 1) for block in blocks]).to(dtype))
        self.register_buffer("bias", constant.sum(0).to(dtype))

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        return self.features(x) @ self.weight + self.bias


class LocalLinear(nn.Module):
    r"""The sum of splines by the coefficients of the interval of every input.

    $y_i = \sum_j \sum_m a_{j g_j m i}\, u_j^m$ with $g_j$ the interval of $x_j$: for grids of many intervals.
    """

    left: Tensor
    inverse: Tensor
    table: Tensor
    ends: Tensor
    bounds: Tensor
    first_row: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, basis: BSpline, residual: str | None, grid: Tensor, coef: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        assert basis.degree > 0
        assert basis.extrapolation != "zero"
        self.basis, self.residual, self.out_features = basis, residual, coef.shape[2]
        pieces = spline_pieces(basis, grid, coef, dtype)
        self.uniform = bool((grid.diff(dim=-1) * pieces.inverse.double()[:, :1] - 1).abs().max() < 1e-6)
        self.register_buffer("left", pieces.left.flatten())
        self.register_buffer("inverse", pieces.inverse.flatten())
        self.register_buffer("table", pieces.coefficients.flatten(2).flatten(0, 1).to(dtype))
        self.register_buffer("bounds", rounded_up(grid[:, 1:-1], dtype))
        self.register_buffer("first_row", torch.arange(len(grid)) * basis.intervals)
        self.register_buffer("low", grid[:, 0].to(dtype))
        self.register_buffer("high", grid[:, -1].to(dtype))
        self.register_buffer("ends", self.exact_ends(grid, coef).to(dtype))

    def exact_ends(self, grid: Tensor, coef: Tensor) -> Tensor:
        """The weights of `others` in float64."""
        slopes = spline_pieces(self.basis, grid, coef, self.low.dtype)[-2:]
        zero = torch.zeros_like(slopes[0])
        outside = [-slopes[0], slopes[1]] if self.basis.extrapolation == "linear" else [zero, zero]
        return torch.cat([*outside, zero, *([] if self.residual is None else [coef[:, -1]])])

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        return self.polynomials(x) + self.others(x) @ self.ends

    def polynomials(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """The sum of the curves without what continues them, at the nearest input inside."""
        inside = torch.minimum(torch.maximum(x, self.low), self.high)
        rows = self._intervals(inside) + self.first_row
        u = ((x if self.basis.extrapolation == "polynomial" else inside) - self.left[rows]) * self.inverse[rows]
        powers = [torch.ones_like(u), u]
        for _ in range(1, self.basis.degree):
            powers.append(powers[-1] * u)
        local = torch.stack(powers, -1).flatten(-2)[..., None, :]
        pieces = self.table[rows].unflatten(-1, (len(powers), self.out_features)).flatten(-3, -2)
        return (local @ pieces)[..., 0, :]

    def others(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b n"]:
        """What continues the curves, x itself with weight 0 as in `RampFeatures`, and the residual function."""
        found = [torch.relu(self.low - x), torch.relu(x - self.high), x]
        if self.residual is not None:
            found.append(residual_values(self.residual, x))
        return torch.cat(found, -1)

    def _intervals(self, inside: Tensor) -> Tensor:
        """The interval of every input; NaN has one too, so that no index is out of range."""
        if self.uniform:
            first = self.first_row  # of every input, in the flat tables
            steps = ((inside - self.low) * self.inverse[first]).floor().to(torch.int64)
            return steps.clamp(0, self.basis.intervals - 1)
        # Not a sum of integers: OpenVINO 2026.4 adds `first_row` to that wrongly from the second row of a batch on.
        return (inside[..., None] >= self.bounds).to(inside.dtype).sum(-1).to(torch.int64)


class LoweredEdges(nn.Module):
    """Curves, then a matrix where the layer is slim, a bias and symbols."""

    outer: Tensor | None
    bias: Tensor | None

    def __init__(self, curves: nn.Module, outer: Tensor | None, bias: Tensor | None, symbols: nn.Module | None) -> None:
        super().__init__()
        self.curves, self.symbols = curves, symbols
        self.register_buffer("outer", outer)
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        y = self.curves(x)
        if self.outer is not None:
            y = y @ self.outer
        if self.bias is not None:
            y = y + self.bias
        return y if self.symbols is None else y + self.symbols(x)


class EdgeParts(NamedTuple):
    """A layer in float64: grid and coefficients with adapters merged and zeros for absent edges, and what follows."""

    grid: Tensor
    coef: Tensor
    outer: Tensor | None
    bias: Tensor | None


def edge_parts(layer: KANLinear) -> EdgeParts:
    """The parts of a layer; a slim one keeps the factor of its outputs apart."""
    if isinstance(layer, SlimKANLinear) and layer.factored and layer.factors.splits:
        coef, outer = layer.factors.inner(), layer.factors.factor("target").T.double().cpu()
    else:
        coef, outer = layer.curves(), None
    bias = None if layer.bias is None else layer.bias.double().cpu()
    return EdgeParts(layer.grid.double().cpu(), coef.double().cpu(), outer, bias)


@torch.no_grad()
def lowered_linear(layer: KANLinear, dtype: torch.dtype) -> nn.Module:
    """The layer in plain operations: adapters merged, absent edges zero, a slim layer still slim."""
    grid, coef, outer, bias = edge_parts(layer)
    outer = None if outer is None else outer.to(dtype)
    symbols = LoweredSymbols(layer.symbolic, layer.out_features, dtype) if len(layer.symbolic) else None
    if gathers(layer):
        assert isinstance(layer.basis, BSpline)
        curves: nn.Module = LocalLinear(layer.basis, layer.residual, grid, coef, dtype)
    else:
        curves = LoweredLinear(curve_features(layer.basis, layer.residual, grid, dtype), grid, coef, dtype)
        if outer is None and bias is not None:  # one addition less
            curves.bias = (curves.bias.double() + bias).to(dtype)
            bias = None
    bias = None if bias is None else bias.to(dtype)
    return curves if outer is None and bias is None and symbols is None else LoweredEdges(curves, outer, bias, symbols)


def gathers(layer: KANLinear) -> bool:
    """Whether the coefficients of an interval are gathered: see `RAMPS_UP_TO`."""
    basis = layer.basis
    if not isinstance(basis, BSpline):
        return False
    return basis.intervals > RAMPS_UP_TO and basis.degree > 0 and basis.extrapolation != "zero"
