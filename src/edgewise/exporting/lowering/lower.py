"""Makes a copy of a model in which every layer of this package is one of plain operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.exporting.lowering.compensated_layers import CompensatedNetwork, CompensatedUnits, compensated_linear
from edgewise.exporting.lowering.compensated_rational import CompensatedRational
from edgewise.exporting.lowering.compensated_softmax import CompensatedAttention, CompensatedProbabilities
from edgewise.exporting.lowering.compensated_sums import CompensatedProduct
from edgewise.exporting.lowering.lowered_blocks import LoweredRational, lowered_conv
from edgewise.exporting.lowering.lowered_linear import lowered_linear
from edgewise.exporting.prediction import ClassProbabilities
from edgewise.nn import KAN, Affine, GroupRational, KANAttention, KANFeedForward, KANLinear
from edgewise.nn.blocks._curve_conv import CurveConv

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def lowered(model: nn.Module, dtype: torch.dtype = torch.float32, *, compensated: bool = False) -> nn.Module:
    """A copy of the model for inference, in plain operations and this precision, which computes the same.

    Replaced are layers of curves (adapters are merged), networks, convolutions, rational units and changes of units;
    modules of other kinds are copied, with what is inside them replaced. A subclass with a forward pass of its own is
    copied as it is.

    Args:
        model: the model.
        dtype: of the copy.
        compensated: sum in layers of curves, linear layers and attention as if in twice the precision, and hand on from
            layer to layer what a rounding loses: see `compensated_sums`. A layer has three matrix products instead of
            one.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type, got {dtype}")
    done: dict[int, nn.Module] = {}
    one = _compensated_one if compensated else _lowered_one
    # In float64, so that adapters and factors are multiplied out exactly, and rounded once.
    copied = copy.deepcopy(model).cpu().double().eval()
    return _replaced(copied, dtype, done, one).to(dtype).requires_grad_(False).eval()


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


Rule: TypeAlias = Callable[[nn.Module, torch.dtype, dict[int, nn.Module], Any], nn.Module]
"""What makes the replacement of one module."""


def _replaced(module: nn.Module, dtype: torch.dtype, done: dict[int, nn.Module], one: Rule) -> nn.Module:
    """The module, or its replacement; a module that is used twice stays one."""
    if id(module) not in done:
        done[id(module)] = module  # also against circles
        done[id(module)] = one(module, dtype, done, one)
    return done[id(module)]


def _lowered_one(module: nn.Module, dtype: torch.dtype, done: dict[int, nn.Module], one: Rule) -> nn.Module:
    if _is(module, KAN):
        return LoweredNetwork([_replaced(part, dtype, done, one) for part in _parts(module)])
    if _is(module, KANLinear):
        return lowered_linear(module, dtype)
    if isinstance(module, CurveConv) and type(module).forward is CurveConv.forward and _curves_alone(module):
        return lowered_conv(module, dtype)
    if type(module) is GroupRational:
        return LoweredRational(module, dtype)
    if type(module) is Affine:
        return LoweredUnits(module, dtype)
    for name, child in list(module._modules.items()):  # `named_children` gives a module that is used twice once
        if child is not None:
            setattr(module, name, _replaced(child, dtype, done, one))
    return module


def _compensated_one(module: nn.Module, dtype: torch.dtype, done: dict[int, nn.Module], one: Rule) -> nn.Module:
    """A module of pairs, or what the plain copy has."""
    if _is(module, KANLinear):
        found: nn.Module = compensated_linear(module, dtype)
    elif _is(module, nn.Linear):
        bias = module.weight.new_zeros(module.out_features) if module.bias is None else module.bias
        found = CompensatedProduct(module.weight.T, bias, dtype)
    elif type(module) is GroupRational:
        found = CompensatedRational(module, dtype)
    elif type(module) is Affine:
        found = CompensatedUnits(module, dtype)
    elif _is(module, KAN) or _is(module, KANFeedForward):
        found = CompensatedNetwork([_replaced(part, dtype, done, one) for part in _parts(module)])
    elif type(module) is KANAttention:
        ends = (_replaced(part, dtype, done, one) for part in (module.qkv, module.output))
        found = CompensatedAttention(module, *ends)
    elif type(module) is ClassProbabilities:
        found = CompensatedProbabilities(module, _replaced(module.network, dtype, done, one))
    else:
        found = _lowered_one(module, dtype, done, one)
    return found


def _parts(network: KAN | KANFeedForward) -> list[nn.Module]:
    """What a network does one after the other, its changes of units included."""
    if isinstance(network, KANFeedForward):
        parts = [network.first, network.up, network.second, network.down]
        return [part for part in parts if not isinstance(part, nn.Identity)]
    return [part for part in (network.input_affine, *network.layers, network.output_affine) if part is not None]


def _is(module: nn.Module, kind: type[M]) -> TypeGuard[M]:
    """Whether the module is of this class and computes as it does."""
    return isinstance(module, kind) and type(module).forward is kind.forward


def _curves_alone(conv: CurveConv) -> bool:
    """Whether the layers of a convolution are curves: one with symbols is computed by its layers, patch by patch."""
    return all(
        isinstance(layer, KANLinear)
        and type(layer).forward is KANLinear.forward
        and len(layer.symbolic) == 0
        and layer.bias is None
        for layer in conv.edges
    )
