"""Chooses which parameters of the KAN layers are trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from torch import nn

from edgewise.nn import SlimKANLinear
from edgewise.nn.layers import kan_layers

M = TypeVar("M", bound=nn.Module)
KINDS = ("curves", "symbols", "bias")


def freeze_(model: M, what: str | Iterable[str]) -> M:
    """Freeze exactly these kinds of parameters of the KAN layers and unfreeze the others. Returns the model itself.

    Args:
        model: any module with KAN layers; its other parameters are not touched.
        what: "curves", "symbols" or "bias", several of them, "all" or "none".
    """
    kinds = {what} if isinstance(what, str) else set(what)
    unknown = kinds - {*KINDS, "all", "none"}
    if unknown:
        raise ValueError(f"cannot freeze {', '.join(map(repr, sorted(unknown)))}; choose from {KINDS}, 'all', 'none'")
    frozen = set(KINDS) if "all" in kinds else kinds
    for layer in kan_layers(model).values():
        curves = layer.factors.parameters() if isinstance(layer, SlimKANLinear) else [layer.coef]
        parameters = {"curves": [*curves], "symbols": [layer.symbolic.affine], "bias": [layer.bias]}
        for kind, group in parameters.items():
            for parameter in group:
                if parameter is not None:
                    parameter.requires_grad_(kind not in frozen)
    return model
