r"""Transposed convolutions whose taps are curves: drop-ins for `nn.ConvTranspose1d` to `nn.ConvTranspose3d`.

Every pixel of the input is spread over the outputs, $y_o[s p + d u] = \sum_{c,u} \phi_{o,c,u}(x_c[p]) + b_o$, with the
letters of `conv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from edgewise.bases import Basis
from edgewise.nn.blocks import _spatial as spatial
from edgewise.nn.blocks._curve_conv import CurveConv, Size, curves_of

CONV_TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


class _KANConvTranspose(CurveConv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: Literal["zeros"] = "zeros",
        *,
        basis: Basis | None = None,
        residual: str | None = "silu",
        bottleneck: int = 1,
        grid_range: Sequence[float] = (-2.0, 2.0),
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, dilation, groups, bias, bottleneck, generator, device, dtype
        )
        if padding_mode != "zeros":
            raise ValueError(f"a transposed convolution has padding_mode='zeros' alone, got {padding_mode!r}")
        self.padding = spatial.sizes("padding", padding, self.dims, least=0)
        self.output_padding = spatial.sizes("output_padding", output_padding, self.dims, least=0)
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(s, d):
                raise ValueError(f"output_padding {extra} must be smaller than stride {s} or dilation {d}")
        taps = prod(self.kernel_size)
        self._set_edges(
            self._inner[0] // groups,
            self._inner[1] // groups * taps,
            1,
            basis=basis,
            residual=residual,
            grid_range=grid_range,
            generator=generator,
            device=device,
            dtype=dtype,
        )
        with torch.no_grad():  # an output is the sum of about taps / stride pixels
            for layer in self.edges:
                curves_of(layer).coef.mul_(min(1.0, prod(self.stride) / taps) ** 0.5)

    def by_edges(self, x: Tensor) -> Tensor:
        parts = x.movedim(1, -1).chunk(self.groups, -1)
        values = [
            layer(part).unflatten(-1, (-1, *self.kernel_size)) for layer, part in zip(self.edges, parts, strict=True)
        ]
        taps = torch.cat(values, -1 - self.dims).movedim(-1 - self.dims, 1)
        return spatial.scattered(taps, self.stride, self.dilation, self.padding, self.output_padding)

    def by_expansion(self, x: Tensor) -> Tensor:
        weight = torch.cat([curves_of(layer).curves().flatten(0, 1) for layer in self.edges])
        return CONV_TRANSPOSE[self.dims - 1](
            self._functions(x),
            weight.unflatten(1, (-1, *self.kernel_size)),
            None,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding={self.padding}, output_padding={self.output_padding}"


class KANConvTranspose1d(_KANConvTranspose):
    """`nn.ConvTranspose1d` with a curve on every tap. See `KANConvTranspose2d`."""

    dims = 1


class KANConvTranspose2d(_KANConvTranspose):
    r"""`nn.ConvTranspose2d` with a curve on every tap, arguments in its order.

    Every pixel of the input is spread over the outputs: $y_o[s p + d u] = \sum_{c,u} \phi_{o,c,u}(x_c[p]) + b_o$, cut
    by `padding` at both ends. An output that no tap reaches is its bias. The remaining arguments are those of
    `KANConv2d`.

    Attributes:
        edges: one `KANLinear` per group; its output o · taps + u is tap u of output channel o.
    """

    dims = 2


class KANConvTranspose3d(_KANConvTranspose):
    """`nn.ConvTranspose3d` with a curve on every tap. See `KANConvTranspose2d`."""

    dims = 3
