"""Makes a copy of a model in which every layer of this package is one of plain operations."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.exporting.lowering.lowered_blocks import LoweredRational, lowered_conv
from edgewise.exporting.lowering.lowered_linear import lowered_linear
from edgewise.nn import KAN, Affine, GroupRational, KANLinear
from edgewise.nn.blocks._curve_conv import CurveConv


@torch.no_grad()
def lowered(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A copy of the model for inference, in plain operations and this precision, which computes the same.

    Replaced are layers of curves (adapters are merged), networks, convolutions, rational units and changes of units;
    modules of other kinds are copied, with what is inside them replaced. A subclass with a forward pass of its own is
    copied as it is.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type, got {dtype}")
    done: dict[int, nn.Module] = {}
    # In float64, so that adapters and factors are multiplied out exactly, and rounded once.
    return _replaced(copy.deepcopy(model).cpu().double().eval(), dtype, done).to(dtype).requires_grad_(False).eval()


class LoweredNetwork(nn.Module):
    """The layers of a `KAN` in turn."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """(*batch, in) to (*batch, out)."""
        for layer in self.layers:
            x = layer(x)
        return x


class LoweredUnits(nn.Module):
    r"""$s x + t$ as $(x - c)\,s + r$ with $c = -t / s$: inputs far from zero, such as years, keep their digits."""

    center: Tensor
    scale: Tensor
    rest: Tensor

    def __init__(self, affine: Affine, dtype: torch.dtype) -> None:
        super().__init__()
        scale, shift = affine.scale.double().cpu(), affine.shift.double().cpu()
        center = torch.where(scale == 0, 0.0, -shift / scale).to(dtype)
        self.register_buffer("center", center)
        self.register_buffer("scale", scale.to(dtype))
        self.register_buffer("rest", (shift + center.double() * scale).to(dtype))

    def forward(self, x: Float[Tensor, "*b features"]) -> Float[Tensor, "*b features"]:
        """Element by element."""
        return (x - self.center) * self.scale + self.rest


def _replaced(module: nn.Module, dtype: torch.dtype, done: dict[int, nn.Module]) -> nn.Module:
    """The module, or its replacement; a module that is used twice stays one."""
    if id(module) not in done:
        done[id(module)] = module  # also against circles
        done[id(module)] = _lowered_one(module, dtype, done)
    return done[id(module)]


def _lowered_one(module: nn.Module, dtype: torch.dtype, done: dict[int, nn.Module]) -> nn.Module:
    if isinstance(module, KAN) and type(module).forward is KAN.forward:
        layers = [_replaced(layer, dtype, done) for layer in module.layers]
        ends = [
            None if end is None else LoweredUnits(end, dtype) for end in (module.input_affine, module.output_affine)
        ]
        return LoweredNetwork([part for part in (ends[0], *layers, ends[1]) if part is not None])
    if isinstance(module, KANLinear) and type(module).forward is KANLinear.forward:
        return lowered_linear(module, dtype)
    if isinstance(module, CurveConv) and type(module).forward is CurveConv.forward and _curves_alone(module):
        return lowered_conv(module, dtype)
    if type(module) is GroupRational:
        return LoweredRational(module, dtype)
    if type(module) is Affine:
        return LoweredUnits(module, dtype)
    for name, child in list(module._modules.items()):  # `named_children` gives a module that is used twice once
        if child is not None:
            setattr(module, name, _replaced(child, dtype, done))
    return module


def _curves_alone(conv: CurveConv) -> bool:
    """Whether the layers of a convolution are curves: one with symbols is computed by its layers, patch by patch."""
    return all(
        isinstance(layer, KANLinear)
        and type(layer).forward is KANLinear.forward
        and len(layer.symbolic) == 0
        and layer.bias is None
        for layer in conv.edges
    )
