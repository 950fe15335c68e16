"""Creates a linear layer or a layer of curves with the same arguments, initial scale and generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from edgewise.bases import Basis
from edgewise.nn.linear import KANLinear


@torch.no_grad()
def projection(
    in_features: int,
    out_features: int,
    basis: Basis | None = None,
    *,
    gain: float = 1.0,
    bias: bool = True,
    residual: str | None = None,
    grid_range: Sequence[float] = (-3.0, 3.0),
    generator: torch.Generator | None = None,
    **placement: Any,
) -> nn.Linear | KANLinear:
    """A layer whose outputs have about `gain` times the scale of its inputs at the start.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        basis: of the curves; None is a linear layer.
        gain: 1 / sqrt(2 n) for the last layer of a residual branch in a transformer of n blocks, as GPT-2 has it.
        bias: learn a bias.
        residual: see `KANLinear`.
        grid_range: of the curves; the default suits inputs behind a normalisation.
        generator: source of randomness of the initial values.
        **placement: device and dtype.
    """
    if basis is not None:
        layer = KANLinear(
            in_features,
            out_features,
            basis,
            residual=residual,
            bias=bias,
            grid_range=grid_range,
            generator=generator,
            **placement,
        )
        layer.coef.mul_(gain)
        return layer
    # skip_init: the layer's own initialisation uses the global generator
    given = {
        name: value for name, value in placement.items() if value is not None
    }  # None would leave it without memory
    given.setdefault("device", torch.get_default_device())  # skip_init alone would choose the CPU
    linear = nn.utils.skip_init(nn.Linear, in_features, out_features, bias=bias, **given)
    assert isinstance(linear, nn.Linear)
    if linear.weight.is_meta:
        return linear
    linear.weight.normal_(0, gain * in_features**-0.5, generator=generator)
    if bias:
        linear.bias.zero_()
    return linear
