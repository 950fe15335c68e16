"""Convolutions of curves and rational units in plain operations."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.exporting.lowering.curve_features import curve_features
from edgewise.nn import GroupRational
from edgewise.nn.blocks import _spatial as spatial
from edgewise.nn.blocks._curve_conv import CurveConv, curves_of
from edgewise.nn.blocks.conv import CONV, _KANConv
from edgewise.nn.blocks.conv_transpose import CONV_TRANSPOSE, _KANConvTranspose


class LoweredConv(nn.Module):
    """A convolution of curves as one of their features, an ordinary one from there on: `KANConv1d` to `KANConv3d`."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: _KANConv, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.groups = CONV[conv.dims - 1], conv.groups
        self.stride, self.dilation, self.pads, self.mode = conv.stride, conv.dilation, conv._pads, conv.padding_mode
        self.features, parts = _features_and_weights(conv, dtype)
        # (channels · taps, n, out) to (out, channels · n, *kernel), block by block
        arranged = [
            [b.unflatten(0, (-1, *conv.kernel_size)).movedim((-1, -2), (0, 2)).flatten(1, 2) for b in blocks]
            for blocks, _ in parts
        ]
        self.register_buffer("weight", torch.cat([torch.cat(blocks, 1) for blocks in arranged]).to(dtype))
        self.register_buffer("bias", torch.cat([constant.sum(0) for _, constant in parts]).to(dtype))

    def forward(self, x: Float[Tensor, "batch channels *size"]) -> Tensor:
        """The sum over curves, without the bias of the convolution of curves."""
        phi = _grouped(self.features, spatial.padded(x, self.pads, self.mode))
        return self.conv(phi, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class LoweredConvTranspose(nn.Module):
    """The same of `KANConvTranspose1d` to `KANConvTranspose3d`.

    The constants of the curves are the weights of one more channel of ones per group: not every tap reaches every
    output.
    """

    weight: Tensor

    def __init__(self, conv: _KANConvTranspose, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.groups = CONV_TRANSPOSE[conv.dims - 1], conv.groups
        self.stride, self.dilation = conv.stride, conv.dilation
        self.padding, self.output_padding = conv.padding, conv.output_padding
        self.features, parts = _features_and_weights(conv, dtype)
        # (channels, n, out · taps) to (channels · n, out, *kernel)
        rows = [torch.cat([*(b.flatten(0, 1) for b in blocks), constant.sum(0)[None]]) for blocks, constant in parts]
        self.register_buffer("weight", torch.cat(rows).unflatten(1, (-1, *conv.kernel_size)).to(dtype))

    def forward(self, x: Float[Tensor, "batch channels *size"]) -> Tensor:
        """The sum over curves, without the bias of the convolution of curves."""
        phi = _grouped(self.features, x, ones=True)
        return self.conv(
            phi, self.weight, None, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


class ConvWithEnds(nn.Module):
    """A convolution between the parts that are linear already: bottleneck and bias."""

    def __init__(self, curves: nn.Module, conv: CurveConv) -> None:
        super().__init__()
        self.curves, self.down, self.up = curves, conv.down, conv.up
        bias = None if conv.bias is None else conv.bias.detach().reshape(-1, *[1] * conv.dims)
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "batch channels *size"]) -> Tensor:
        """(batch, channels, *size) to (batch, channels, *size)."""
        y = self.curves(x if self.down is None else self.down(x))
        if self.bias is not None:
            y = y + self.bias
        return y if self.up is None else self.up(y)


class LoweredRational(nn.Module):
    r"""$P_g(x) / (1 + |Q(x)|)$ by Horner's rule, with the numerators spread over the features."""

    numerator: Tensor
    denominator: Tensor

    def __init__(self, unit: GroupRational, dtype: torch.dtype) -> None:
        super().__init__()
        self.dim = unit.dim
        numerator, denominator = spread_coefficients(unit, dtype)
        self.register_buffer("numerator", numerator)
        self.register_buffer("denominator", denominator)

    def forward(self, x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Element by element."""
        spread = [-1 if n == self.dim % x.ndim else 1 for n in range(x.ndim)]
        a = [row.reshape(spread) for row in self.numerator.unbind()]
        p, q = a[-1], self.denominator[-1]
        for coefficient in a[-2::-1]:
            p = p * x + coefficient
        for n in range(len(self.denominator) - 2, -1, -1):
            q = q * x + self.denominator[n]
        return p / (1 + (q * x).abs())


def spread_coefficients(unit: GroupRational, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The numerators by power and feature, or by power alone for one group, and the denominator by power."""
    a = unit.numerator.detach().T
    if unit.groups > 1:
        a = a.repeat_interleave(unit.features // unit.groups, 1)
    return a.to(dtype), unit.denominator.detach().to(dtype)


def lowered_conv(conv: CurveConv, dtype: torch.dtype) -> nn.Module:
    """A convolution whose curves are nothing but curves."""
    if isinstance(conv, _KANConvTranspose):
        return ConvWithEnds(LoweredConvTranspose(conv, dtype), conv)
    assert isinstance(conv, _KANConv)
    return ConvWithEnds(LoweredConv(conv, dtype), conv)


def _features_and_weights(
    conv: CurveConv, dtype: torch.dtype
) -> tuple[nn.ModuleList, list[tuple[list[Tensor], Tensor]]]:
    """The features of every group, and their weights with the constants."""
    features, weights = nn.ModuleList(), []
    for edge in conv.edges:
        layer = curves_of(edge)
        grid, coef = layer.grid.double().cpu(), layer.curves().double().cpu()
        part = curve_features(layer.basis, layer.residual, grid[:: layer.inputs_per_grid], dtype, conv.dims)
        features.append(part)
        weights.append(part.weights(grid, coef))
    return features, weights


def _grouped(features: nn.ModuleList, x: Tensor, *, ones: bool = False) -> Tensor:
    """The features of all groups as channels, with a channel of ones behind those of each where asked for."""
    found = []
    parts = (x,) if len(features) == 1 else x.chunk(len(features), 1)  # litert-torch 0.10 fails on one chunk
    for part, channels in zip(features, parts, strict=True):
        found.append(part(channels))
        if ones:
            found.append(torch.ones_like(channels[:, :1]))
    return found[0] if len(found) == 1 else torch.cat(found, 1)
