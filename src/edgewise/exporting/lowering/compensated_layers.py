r"""Layers that hand each other pairs of numbers: no digit is lost between them, nor in their sums.

Of the features of a curve those that continue it outside the grid, $(x - t_G)_+$ and the residual function, may be
large; their rounding errors and that of x go into the product as well. Inside the grid a feature is at most 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.exporting.lowering.compensated_sums import CompensatedProduct, Pair, plus, shortened, two_sum
from edgewise.exporting.lowering.curve_features import CurveFeatures, RampFeatures, curve_features
from edgewise.exporting.lowering.lowered_linear import LocalLinear, edge_parts, gathers
from edgewise.exporting.lowering.lowered_symbols import LoweredSymbols
from edgewise.nn import Affine, KANLinear


class PairModule(nn.Module, ABC):
    """A module of pairs; called with a tensor it returns one."""

    @abstractmethod
    def pair(self, x: Pair) -> Pair:
        """(*batch, in) to (*batch, out)."""

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """The rounded result."""
        return self.pair(Pair(x)).high


def as_pair(module: nn.Module, x: Pair) -> Pair:
    """What a module makes of a pair: one that knows none sees the first number alone."""
    return module.pair(x) if isinstance(module, PairModule | CompensatedProduct) else Pair(module(x.high))


class Ends(nn.Module):
    """The distances beyond both ends of the grid, with what their rounding loses."""

    ends: Tensor
    ends_rest: Tensor

    def __init__(self, grid: Float[Tensor, "in points"], dtype: torch.dtype) -> None:
        super().__init__()
        ends = torch.stack([grid[:, 0], -grid[:, -1]])
        self.register_buffer("ends", ends.to(dtype))
        self.register_buffer("ends_rest", (ends - ends.to(dtype).double()).to(dtype))

    def forward(self, x: Pair) -> list[Tensor]:
        """What `relu(low - x)` and `relu(x - high)` lack."""
        found = []
        for side, sign in ((0, -1), (1, 1)):
            distance, lost = two_sum(self.ends[side], sign * x.high)
            lost = lost + self.ends_rest[side]
            lost = lost if x.low is None else lost + sign * x.low
            found.append((distance > 0).to(lost.dtype) * lost)
        return found


def residual_rest(name: str, x: Pair) -> Tensor:
    """What the residual function of the first number of a pair lacks, to first order."""
    if x.low is None:
        return torch.zeros_like(x.high)
    if name == "identity":
        return x.low
    gate = 1 / (1 + torch.exp(-x.high))
    return x.low * gate * (1 + x.high * (1 - gate))


class CompensatedCurves(PairModule):
    """The sum of curves by their features; see `LoweredLinear`."""

    def __init__(self, features: CurveFeatures, grid: Tensor, coef: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        blocks, constant = features.weights(grid, coef)
        self.features = features
        self.product = CompensatedProduct(torch.cat([b.flatten(0, 1) for b in blocks]), constant.sum(0), dtype)
        basis = features.basis if isinstance(features, RampFeatures) else None
        outside = basis is not None and basis.extrapolation == "linear" and basis.degree > 0
        self.ends = Ends(grid, dtype) if outside else None

    def pair(self, x: Pair) -> Pair:
        """The product of the features with the weights."""
        high = self.features(x.high)
        tail = [] if self.features.residual is None else [residual_rest(self.features.residual, x)]
        if isinstance(self.features, RampFeatures):
            tail = [*([] if self.ends is None else self.ends(x)), torch.zeros_like(x.high), *tail]
        elif tail:
            tail = [torch.zeros_like(x.high), *tail]
        # The blocks of the basis come first; the last ones are those of the ends, of x and of the residual function.
        known = sum(part.shape[-1] for part in tail)
        low = torch.cat([high[..., : high.shape[-1] - known] * 0, *tail], -1) if tail else None
        return self.product.pair(Pair(high, low))


class CompensatedLocal(PairModule):
    """The sum of curves by the coefficients of the interval of every input; see `LocalLinear`."""

    def __init__(self, basis: BSpline, residual: str | None, grid: Tensor, coef: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.inside = LocalLinear(basis, residual, grid, coef, dtype)
        exact = self.inside.exact_ends(grid, coef)
        self.product = CompensatedProduct(exact, torch.zeros_like(exact[0]), dtype)
        self.ends = Ends(grid, dtype) if basis.extrapolation == "linear" else None

    def pair(self, x: Pair) -> Pair:
        """The polynomials, at most a few times the curve, and the compensated rest."""
        zero = torch.zeros_like(x.high)
        low = [*([zero, zero] if self.ends is None else self.ends(x)), zero]
        if self.inside.residual is not None:
            low.append(residual_rest(self.inside.residual, x))
        others = Pair(self.inside.others(x.high), torch.cat(low, -1))
        return plus(self.product.pair(others), self.inside.polynomials(x.high))


class CompensatedEdges(PairModule):
    """Curves, then a matrix where the layer is slim, a bias and symbols; see `LoweredEdges`."""

    bias: Tensor | None

    def __init__(self, curves: nn.Module, outer: nn.Module | None, bias: Tensor | None, symbols: nn.Module | None):
        super().__init__()
        self.curves, self.outer, self.symbols = curves, outer, symbols
        self.register_buffer("bias", bias)

    def pair(self, x: Pair) -> Pair:
        """Symbols see the first number of the pair."""
        y = as_pair(self.curves, x)
        if self.outer is not None:
            y = as_pair(self.outer, y)
        if self.bias is not None:
            y = plus(y, self.bias)
        return y if self.symbols is None else plus(y, self.symbols(x.high))


class CompensatedUnits(PairModule):
    r"""$s x + t$ as $(x - c)\,s + r$ with $c = -t / s$, all of them pairs; see `LoweredUnits`."""

    center: Tensor
    center_rest: Tensor
    scale: Tensor
    scale_rest: Tensor
    short: Tensor
    rest: Tensor

    def __init__(self, affine: Affine, dtype: torch.dtype) -> None:
        super().__init__()
        scale, shift = affine.scale.double().cpu(), affine.shift.double().cpu()
        exact = torch.where(scale == 0, 0.0, -shift / scale)
        center = exact.to(dtype)
        unit = 2.0 ** (scale.abs().clamp(min=torch.finfo(dtype).tiny).log2().floor() - 11)
        short = (scale / unit).round() * unit
        for name, values in (
            ("center", center),
            ("center_rest", exact - center.double()),
            ("scale", scale),
            ("short", short),
            ("scale_rest", scale - short),
            ("rest", torch.where(scale == 0, shift, 0.0)),
        ):
            self.register_buffer(name, values.to(dtype))

    def pair(self, x: Pair) -> Pair:
        """Element by element."""
        distance, lost = two_sum(x.high, -self.center)
        lost = lost - self.center_rest if x.low is None else (lost - self.center_rest) + x.low
        short = shortened(distance, 12, None)
        low = short * self.scale_rest + ((distance - short) + lost) * self.scale
        return plus(Pair(*two_sum(short * self.short, low)), self.rest)


class CompensatedNetwork(PairModule):
    """Layers in turn, which hand each other pairs."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def pair(self, x: Pair) -> Pair:
        """(*batch, in) to (*batch, out)."""
        for layer in self.layers:
            x = as_pair(layer, x)
        return x


@torch.no_grad()
def compensated_linear(layer: KANLinear, dtype: torch.dtype) -> nn.Module:
    """The layer as a module of pairs; see `lowered_linear`."""
    grid, coef, outer, bias = edge_parts(layer)
    symbols = LoweredSymbols(layer.symbolic, layer.out_features, dtype) if len(layer.symbolic) else None
    if gathers(layer):
        assert isinstance(layer.basis, BSpline)
        curves: nn.Module = CompensatedLocal(layer.basis, layer.residual, grid, coef, dtype)
    else:
        curves = CompensatedCurves(curve_features(layer.basis, layer.residual, grid, dtype), grid, coef, dtype)
    product = None if outer is None else CompensatedProduct(outer, torch.zeros_like(outer[0]), dtype)
    return CompensatedEdges(curves, product, None if bias is None else bias.to(dtype), symbols)
