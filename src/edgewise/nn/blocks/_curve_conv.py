"""The common base of convolutions of curves: sizes, one layer of curves per group, bias and bottleneck."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from edgewise.kernels import EdgeSpec, design_maps
from edgewise.nn._fast import has_hooks
from edgewise.nn.blocks import _spatial as spatial
from edgewise.nn.linear import KANLinear

Size = int | Sequence[int]
POINTWISE = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class CurveConv(nn.Module, ABC):
    """The equation and the two ways to compute it are in `conv`."""

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
        """Create one layer of curves per group, without bias."""
        layers = [KANLinear(ins, outs, bias=False, **settings) for _ in range(self.groups)]
        for layer in layers:
            layer.inputs_per_grid = inputs_per_grid
        self.edges = nn.ModuleList(layers)

    def _functions(self, x: Tensor) -> Tensor:
        """The functions at every pixel as channels, (batch, channels · size, *size)."""
        layers = [curves_of(layer) for layer in self.edges]
        grids = [layer.grid[:: layer.inputs_per_grid] for layer in layers]
        grid = grids[0] if len(grids) == 1 else torch.cat(grids)
        return design_maps(x, grid, EdgeSpec(layers[0].basis, layers[0].residual)).flatten(1, 2)


def curves_of(layer: nn.Module) -> KANLinear:
    """The layer of one group, which is a `KANLinear`."""
    assert isinstance(layer, KANLinear)
    return layer


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
    """A linear map of the channels that keeps their scale; torch's own initialisation uses the global generator."""
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
