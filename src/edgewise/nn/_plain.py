"""Layers as plain tensors: what a kernel reads. A call of a small layer takes less time than looking its tensors up.

Looking a tensor up as an attribute of a module takes as long as a small layer computes, so `_parameters`, `_buffers`
and `_modules` are read here and in the layers. What a layer consisted of is kept beside the model, not on it, and
compared piece by piece before it is used again.
"""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor, nn

from edgewise.kernels import FEW_SAMPLES, CurveLayer, EdgeSpec, few_samples_sum

# Per layer, by id: a weak reference to it, the pieces that must be the same, and the layer made of them.
_kept: dict[int, tuple[Any, ...]] = {}


def plain_layer(layer: Any) -> CurveLayer | None:
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


def current_layer(layer: Any) -> CurveLayer | None:
    """`plain_layer`, made anew only where something was exchanged: not for calls while torch compiles."""
    return kept_layer(layer) or plain_layer(layer)


def kept_layer(layer: Any) -> CurveLayer | None:
    """`plain_layer` of a layer whose parameters are its curves, the same value as long as nothing is exchanged."""
    own = layer.__dict__
    kept = _kept.get(id(layer))
    if kept is not None:
        itself, coef, bias, grid, symbols, basis, residual, part = kept
        tensors = own["_parameters"]
        if (
            itself() is layer
            and tensors.get("coef") is coef
            and tensors.get("bias") is bias
            and own["_buffers"].get("grid") is grid
            and own["_modules"].get("symbolic") is symbols
            and own.get("adapter", layer) is None
            and own["_dense"]
            and own["basis"] is basis
            and own["residual"] == residual
            and not symbols.functions
        ):
            return part
    if own["_parameters"].get("coef") is None or layer.adapter is not None or not layer._dense:
        return None
    part = plain_layer(layer)
    if part is not None:
        _keep(layer, part)
    return part


def _keep(layer: Any, part: CurveLayer) -> None:
    key, symbols = id(layer), layer._modules["symbolic"]
    forget = weakref.ref(layer, lambda _: _kept.pop(key, None))
    _kept[key] = forget, part.coef, part.bias, part.grid, symbols, layer.basis, layer.residual, part


def few_outputs(layer: nn.Module, x: Tensor) -> Tensor | None:
    """The curves and bias of a layer for a few samples in one call; None where there are more, or no kernel does that.

    To be called where nothing is compiled and no gradients are recorded.
    """
    if x.ndim == 0 or x.numel() > FEW_SAMPLES * x.shape[-1]:
        return None
    part = kept_layer(layer)
    return None if part is None else few_samples_sum([part], x)
