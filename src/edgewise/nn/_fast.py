"""Plain views of networks, for kernels that compute a whole network in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.kernels import FEW_SAMPLES, CurveLayer, few_samples_sum, network_sum, whole_networks_up_to
from edgewise.nn._plain import current_layer, kept_layer, plain_layer
from edgewise.nn.linear import KANLinear

_compiling, _recorded = torch.compiler.is_compiling, torch.is_grad_enabled


def whole_network(model: nn.Module, x: Tensor) -> Tensor | None:
    """The outputs of all layers in one native call; None where that is impossible or a layer has hooks."""
    if not _compiling() and not _recorded() and x.ndim and x.numel() <= FEW_SAMPLES * x.shape[-1]:
        layers = _called_layers(model, kept_layer)
        y = None if layers is None else few_samples_sum(layers, x)
        if y is not None:
            return y
    widest: Any = model._widest
    if widest > whole_networks_up_to():
        return None
    layers = _called_layers(model, plain_layer if _compiling() else current_layer)
    return None if layers is None else network_sum(layers, x)


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
    return None if scaled or has_hooks(model) else _called_layers(model, plain_layer)


def children(model: nn.Module) -> Iterable[nn.Module]:
    """`model.layers`; reading that attribute and iterating takes a quarter of a small network's time."""
    layers: Any = model._modules["layers"]
    return layers._modules.values()


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of the module runs hooks."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )


def _called_layers(model: nn.Module, plain: Callable[[KANLinear], CurveLayer | None]) -> list[CurveLayer] | None:
    """`plain_layers` where calls of the layers have no other effects."""
    layers = []
    for layer in children(model):
        own = layer.__dict__
        if (
            not isinstance(layer, KANLinear)
            or type(layer).forward is not KANLinear.forward
            or "forward" in own
            or own["_forward_hooks"]  # `has_hooks`, without a call
            or own["_forward_pre_hooks"]
            or own["_backward_hooks"]
            or own["_backward_pre_hooks"]
        ):
            return None
        part = plain(layer)
        if part is None:
            return None
        layers.append(part)
    return layers
