r"""Convolutions whose taps are curves: drop-ins for `nn.Conv1d` to `nn.ConvTranspose3d`.

With c the input channels, u the taps of the kernel and o the output channels,

$$ y_{o}[p] = \sum_{c,u} \phi_{o,c,u}\big(x_c[s p + d u]\big) + b_o, $$

for stride s and dilation d. The curves live in one `KANLinear` per group, whose inputs are the patches (c, u): trace,
surgery, penalties and adapters find them there. There are two ways to compute the same. A sum over patches calls that
layer; it serves whatever the layer has become (symbols, hooks, other modules). The expansion evaluates the functions
once per pixel, $B_k(x_c)$, and is an ordinary convolution of C · K channels from there on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgewise.bases import Basis, BSpline
from edgewise.kernels import EdgeSpec, design_maps, find
from edgewise.nn._fast import has_hooks
from edgewise.nn.blocks import _spatial as spatial
from edgewise.nn.linear import KANLinear

Size = int | Sequence[int]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
CONV = (F.conv1d, F.conv2d, F.conv3d)
CONV_TRANSPOSE = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
POINTWISE = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class _CurveConv(nn.Module, ABC):
    """What a convolution and its transpose share: sizes, the curves of every group, bias and bottleneck."""

    dims: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        dilation: Size,
        groups: int,
        bias: bool,
        bottleneck: int,
        generator: torch.Generator | None,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels < 1 or groups < 1 or bottleneck < 1 or channels % (groups * bottleneck):
                raise ValueError(
                    f"{name}={channels} must be a positive multiple of groups={groups} times bottleneck={bottleneck}"
                )
        self.in_channels, self.out_channels, self.groups, self.bottleneck = (
            in_channels,
            out_channels,
            groups,
            bottleneck,
        )
        self.kernel_size = spatial.sizes("kernel_size", kernel_size, self.dims)
        self.stride = spatial.sizes("stride", stride, self.dims)
        self.dilation = spatial.sizes("dilation", dilation, self.dims)
        self.down = self.up = self.bias = None
        self._inner = in_channels // bottleneck, out_channels // bottleneck
        if bottleneck > 1:
            self.down = _pointwise(self.dims, in_channels, self._inner[0], False, generator, device, dtype)
            self.up = _pointwise(self.dims, self._inner[1], out_channels, bias, generator, device, dtype)
        elif bias:
            self.bias = nn.Parameter(torch.zeros(out_channels, device=device, dtype=dtype))

    @abstractmethod
    def by_edges(self, x: Tensor) -> Tensor:
        """The sum over edges by calls of the layers of curves, for x (batch, channels, *size); without bias."""

    @abstractmethod
    def by_expansion(self, x: Tensor) -> Tensor:
        """The same by evaluating the functions once per pixel and a convolution of torch."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in (self.dims + 1, self.dims + 2) or x.shape[-self.dims - 1] != self.in_channels:
            raise ValueError(
                f"{type(self).__name__} takes inputs of shape ([batch,] {self.in_channels}, {'size, ' * self.dims}"
                f"channels first), got {tuple(x.shape)}"
            )
        if x.ndim == self.dims + 1:
            return self.forward(x[None])[0]
        if self.down is not None:
            x = self.down(x)
        expand = all(map(_plain, self.edges)) and not self._sum_is_faster(x)
        y = self.by_expansion(x) if expand else self.by_edges(x)
        if self.bias is not None:
            y = y + self.bias.to(y.dtype).view(-1, *[1] * self.dims)
        return y if self.up is None else self.up(y)

    def _sum_is_faster(self, x: Tensor) -> bool:
        """Whether calls of the layers of curves are faster than the expansion at inputs like x."""
        return False

    def extra_repr(self) -> str:
        settings = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        for name, usual in (("dilation", (1,) * self.dims), ("groups", 1), ("bottleneck", 1)):
            value = getattr(self, name)
            settings += "" if value == usual else f", {name}={value}"
        return settings

    def _set_edges(self, ins: int, outs: int, inputs_per_grid: int, **settings) -> None:
        """One layer of curves per group, without bias."""
        layers = [KANLinear(ins, outs, bias=False, **settings) for _ in range(self.groups)]
        for layer in layers:
            layer.inputs_per_grid = inputs_per_grid
        self.edges = nn.ModuleList(layers)

    def _functions(self, x: Tensor) -> Tensor:
        """The functions at every pixel as channels, (batch, channels · size, *size)."""
        layers = [_curves(layer) for layer in self.edges]
        grids = [layer.grid[:: layer.inputs_per_grid] for layer in layers]
        grid = grids[0] if len(grids) == 1 else torch.cat(grids)
        return design_maps(x, grid, EdgeSpec(layers[0].basis, layers[0].residual)).flatten(1, 2)


class _KANConv(_CurveConv):
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
        weight = torch.cat([self._weight(_curves(layer)) for layer in self.edges])
        return CONV[self.dims - 1](phi, weight, None, self.stride, 0, self.dilation, self.groups)

    def extra_repr(self) -> str:
        mode = "" if self.padding_mode == "zeros" else f", padding_mode={self.padding_mode!r}"
        return f"{super().extra_repr()}, padding={self.padding!r}{mode}"

    def _sum_is_faster(self, x: Tensor) -> bool:
        # Measured on one core, forward and backward, 12 to 32 channels: with a native kernel the sum over patches takes
        # 0.3 (stride 2) to 0.6 of the time at degree 3, 0.4 to 1 at degree 2; at degree 1 it is faster with a stride.
        layer = _curves(self.edges[0])
        if not isinstance(layer.basis, BSpline) or (layer.basis.degree < 2 and prod(self.stride) == 1):
            return False
        return find("layer", EdgeSpec(layer.basis, layer.residual), x) is not None

    def _weight(self, layer: KANLinear) -> Tensor:
        """The coefficients of a group as the weight of a convolution, (out, channels · size, *kernel)."""
        coef = layer.curves().unflatten(0, (-1, *self.kernel_size))  # (channels, *kernel, size, out)
        return coef.movedim((-1, -2), (0, 2)).flatten(1, 2)


class _KANConvTranspose(_CurveConv):
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
                _curves(layer).coef.mul_(min(1.0, prod(self.stride) / taps) ** 0.5)

    def by_edges(self, x: Tensor) -> Tensor:
        parts = x.movedim(1, -1).chunk(self.groups, -1)
        values = [
            layer(part).unflatten(-1, (-1, *self.kernel_size)) for layer, part in zip(self.edges, parts, strict=True)
        ]
        taps = torch.cat(values, -1 - self.dims).movedim(-1 - self.dims, 1)
        return spatial.scattered(taps, self.stride, self.dilation, self.padding, self.output_padding)

    def by_expansion(self, x: Tensor) -> Tensor:
        weight = torch.cat([_curves(layer).curves().flatten(0, 1) for layer in self.edges])
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
        kernel_size: taps, one number or one per dimension; so are stride, padding and dilation.
        stride: distance between outputs.
        padding: pixels added at both ends, "same" or "valid".
        dilation: distance between taps.
        groups: parts of the channels that do not see each other.
        bias: learn a bias per output channel.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        basis: the functions $B_k$ on the taps, `BSpline(5, 3)` by default. `Hinge(1)` with
            `residual="identity"` has the fewest numbers per tap and trains fastest.
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


@torch.no_grad()
def _pointwise(
    dims: int,
    ins: int,
    outs: int,
    bias: bool,
    generator: torch.Generator | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> nn.Module:
    """A linear map of the channels that keeps their scale; torch's own initialisation draws from the global source."""
    device = device or torch.get_default_device()  # with None, skip_init leaves the module without memory
    conv = nn.utils.skip_init(POINTWISE[dims - 1], ins, outs, 1, bias=bias, device=device, dtype=dtype)
    weight = conv.get_parameter("weight")
    weight.copy_(torch.randn(weight.shape, generator=generator) * ins**-0.5)
    if bias:
        conv.get_parameter("bias").zero_()
    return conv


def _plain(layer: nn.Module) -> bool:
    """Whether the layer is its coefficients and nothing else: no symbols, no hooks and no other `forward`."""
    return (
        isinstance(layer, KANLinear)
        and type(layer).forward is KANLinear.forward
        and len(layer.symbolic) == 0
        and layer.bias is None
        and not has_hooks(layer)
    )


def _curves(layer: nn.Module) -> KANLinear:
    assert isinstance(layer, KANLinear)
    return layer
