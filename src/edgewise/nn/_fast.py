"""Plain views of layers and networks, for kernels that compute a whole network in one call.

Looking a tensor up as an attribute of a module takes as long as a small layer computes, so `_parameters`, `_buffers`
and `_modules` are read here and in the layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from edgewise.kernels import CurveLayer, EdgeSpec, network_sum, whole_networks_up_to
from edgewise.nn.linear import KANLinear


def whole_network(model: nn.Module, x: Tensor) -> Tensor | None:
    """The outputs of all layers in one native call; None where that is impossible or a layer has hooks."""
    widest: Any = model._widest
    if widest > whole_networks_up_to():
        return None
    layers = _called_layers(model)
    if layers is None or x.ndim == 0 or x.shape[-1] != layers[0].grid.shape[0]:
        return None
    return network_sum(layers, x)


def plain_layers(model: nn.Module) -> list[CurveLayer] | None:
    """The network as plain tensors; None where its layers are more than curves with a bias."""
    layers = []
    for layer in children(model):
        part = plain_layer(layer) if isinstance(layer, KANLinear) else None
        if part is None:
            return None
        layers.append(part)
    return layers


def plain_call(model: nn.Module) -> list[CurveLayer] | None:
    """`plain_layers` where a call of the network computes these and nothing else; otherwise None."""
    scaled = model.input_affine is not None or model.output_affine is not None
    return None if scaled or has_hooks(model) else _called_layers(model)


def plain_layer(layer: KANLinear) -> CurveLayer | None:
    """The layer as plain tensors; None where it is more than curves with a bias."""
    own = layer._parameters
    coef, bias = own.get("coef"), own.get("bias")
    if coef is None or layer.adapter is not None or not layer._dense:
        if layer.factored:
            return None
        coef = layer.curves()
    symbols: Any = layer._modules["symbolic"]
    if bias is None or symbols.functions:
        return None
    grid: Any = layer._buffers["grid"]
    return CurveLayer(coef, bias, grid, EdgeSpec(layer.basis, layer.residual))


def children(model: nn.Module) -> Iterable[nn.Module]:
    """`model.layers`; reading that attribute and iterating takes a quarter of a small network's time."""
    layers: Any = model._modules["layers"]
    return layers._modules.values()


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of the module runs hooks."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def _called_layers(model: nn.Module) -> list[CurveLayer] | None:
    """`plain_layers` where calls of the layers have no other effects."""
    layers = []
    for layer in children(model):
        if not isinstance(layer, KANLinear) or type(layer).forward is not KANLinear.forward or has_hooks(layer):
            return None
        part = plain_layer(layer)
        if part is None:
            return None
        layers.append(part)
    return layers
