r"""Convolutions whose taps are curves: drop-ins for `nn.Conv1d` to `nn.ConvTranspose3d`.

With c the input channels, u the taps of the kernel and o the output channels,

$$ y_{o}[p] = \sum_{c,u} \phi_{o,c,u}\big(x_c[s p + d u]\big) + b_o, $$

for stride s and dilation d. The curves live in one `KANLinear` per group, whose inputs are the patches (c, u): trace,
surgery, penalties and adapters find them there. There are two ways to compute the same. A sum over patches calls that
layer; it serves whatever the layer has become (symbols, hooks, other modules). The expansion evaluates the functions
once per pixel, $B_k(x_c)$, and is an ordinary convolution of C · K channels from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from edgewise.bases import Basis, BSpline
from edgewise.kernels import EdgeSpec, find
from edgewise.nn.blocks import _spatial as spatial
from edgewise.nn.blocks._curve_conv import CurveConv, Size, curves_of
from edgewise.nn.linear import KANLinear

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
CONV = (F.conv1d, F.conv2d, F.conv3d)


class _KANConv(CurveConv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | Literal["same", "valid"] = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
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
        self.padding, self.padding_mode = padding, padding_mode
        self._pads = spatial.pads(padding, padding_mode, self.kernel_size, self.stride, self.dilation)
        taps = prod(self.kernel_size)
        self._set_edges(
            self._inner[0] // groups * taps,
            self._inner[1] // groups,
            taps,
            basis=basis,
            residual=residual,
            grid_range=grid_range,
            generator=generator,
            device=device,
            dtype=dtype,
        )

    def by_edges(self, x: Tensor) -> Tensor:
        x = spatial.padded(x, self._pads, self.padding_mode)
        parts = x.chunk(self.groups, 1)
        patches = (spatial.patches(part, self.kernel_size, self.stride, self.dilation) for part in parts)
        return torch.cat([layer(p) for layer, p in zip(self.edges, patches, strict=True)], -1).movedim(-1, 1)

    def by_expansion(self, x: Tensor) -> Tensor:
        phi = self._functions(spatial.padded(x, self._pads, self.padding_mode))
        weight = torch.cat([self._weight(curves_of(layer)) for layer in self.edges])
        return CONV[self.dims - 1](phi, weight, None, self.stride, 0, self.dilation, self.groups)

    def extra_repr(self) -> str:
        mode = "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode!r}"
        return f"{super().extra_repr()}, padding={self.padding!r}{mode}"

    def _sum_is_faster(self, x: Tensor) -> bool:
        # Measured on one core, forward and backward, 12 to 32 channels: with a native kernel the sum over patches takes
        # 0.3 (stride 2) to 0.6 of the time at degree 3, 0.4 to 1 at degree 2; at degree 1 it is faster with a stride.
        layer = curves_of(self.edges[0])
        if not isinstance(layer.basis, BSpline) or (layer.basis.degree < 2 and prod(self.stride) == 1):
            return False
        return find("layer", EdgeSpec(layer.basis, layer.residual), x) is not None

    def _weight(self, layer: KANLinear) -> Tensor:
        """The coefficients of a group as the weight of a convolution, (out, channels · size, *kernel)."""
        coef = layer.curves().unflatten(0, (-1, *self.kernel_size))  # (channels, *kernel, size, out)
        return coef.movedim((-1, -2), (0, 2)).flatten(1, 2)


class KANConv1d(_KANConv):
    """`nn.Conv1d` with a curve on every tap: (*batch, channels, length). See `KANConv2d`."""

    dims = 1


class KANConv2d(_KANConv):
    r"""`nn.Conv2d` with a curve on every tap: (*batch, channels, height, width), arguments in its order.

    Padding continues the *input*: with `padding_mode="zeros"` the border pixels are 0, and a curve contributes
    $\phi(0)$ there, as it does for a pixel that is 0. So padding inside the layer is padding before it, in every mode.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps, one integer or one per dimension; likewise stride, padding and dilation.
        stride: distance between outputs.
        padding: pixels added at both ends, "same" or "valid".
        dilation: distance between taps.
        groups: parts of the channels, each convolved separately.
        bias: learn a bias per output channel.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        basis: the functions $B_k$ on the taps, `BSpline(5, 3)` by default. `Hinge(1)` with
            `residual="identity"` has the fewest parameters per tap and trains fastest.
        residual: the fixed function beside them: "silu", "identity" or None.
        bottleneck: with r > 1 a linear 1 x 1 convolution leads to 1/r of the channels, where the curves are, and
            another one back: $r^2$ times fewer curves.
        grid_range: the interval that the grids cover; the default suits inputs behind a normalisation.
        generator: source of randomness of the initial values.
        device: where the parameters live.
        dtype: their type.

    Attributes:
        edges: one `KANLinear` per group; its input c · taps + u is tap u of channel c.
    """

    dims = 2


class KANConv3d(_KANConv):
    """`nn.Conv3d` with a curve on every tap: (*batch, channels, depth, height, width). See `KANConv2d`."""

    dims = 3
