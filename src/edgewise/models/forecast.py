"""Forecasts series: maps the past window of every channel to its horizon, with one network for all channels.

All models map (*batch, length, channels) to (*batch, horizon, channels) inside a reversible instance normalisation.
They differ in the core, which maps the window of one channel to its horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis, BSpline
from edgewise.nn import TKAN, KANLinear, MixtureOfKANs, RevIN
from edgewise.nn.blocks.mixture import EXPERTS
from edgewise.nn.blocks.projection import projection


class Forecaster(nn.Module):
    """Normalises the window, forecasts every channel with the core, and restores the units of the channel.

    Args:
        core: (*batch, length) -> (*batch, horizon).
        channels: number of channels.
    """

    def __init__(self, core: nn.Module, channels: int) -> None:
        super().__init__()
        self.norm, self.core = RevIN(channels), core

    def forward(self, x: Float[Tensor, "*b length channels"]) -> Float[Tensor, "*b horizon channels"]:
        z, statistics = self.norm(x)
        return self.norm.restore(self.core(z.transpose(-1, -2)).transpose(-1, -2), statistics)


def kan_forecaster(
    length: int,
    horizon: int,
    channels: int,
    *,
    hidden: int = 16,
    basis: Basis | None = None,
    residual: str | None = "identity",
    generator: torch.Generator | None = None,
) -> Forecaster:
    """Two layers of curves, length -> hidden -> horizon."""
    settings: dict[str, Any] = {"residual": residual, "grid_range": (-3.0, 3.0), "generator": generator}
    basis = BSpline(5, 3) if basis is None else basis
    core = nn.Sequential(KANLinear(length, hidden, basis, **settings), KANLinear(hidden, horizon, basis, **settings))
    return Forecaster(core, channels)


def rmok_forecaster(
    length: int,
    horizon: int,
    channels: int,
    *,
    experts: Sequence[Basis] = EXPERTS,
    residual: str | None = None,
    generator: torch.Generator | None = None,
) -> Forecaster:
    """One mixture of layers of curves (RMoK; Han et al., arXiv 2406.02496)."""
    return Forecaster(MixtureOfKANs(length, horizon, experts, residual=residual, generator=generator), channels)


def tkan_forecaster(
    length: int,
    horizon: int,
    channels: int,
    *,
    patch: int = 8,
    hidden: int = 64,
    basis: Basis | None = None,
    generator: torch.Generator | None = None,
    **settings: Any,
) -> Forecaster:
    """A temporal KAN over patches of the window; a linear layer maps its last output to the horizon."""
    if patch < 1 or length % patch:
        raise ValueError(f"a window of {length} cannot be divided into patches of {patch}; give a divisor")
    layer = TKAN(patch, hidden, basis, generator=generator, **settings)
    return Forecaster(_Recurrent(layer, patch, projection(hidden, horizon, generator=generator)), channels)


class _Recurrent(nn.Module):
    """A recurrent layer over patches; its last output is used."""

    def __init__(self, layer: TKAN, patch: int, output: nn.Module) -> None:
        super().__init__()
        self.layer, self.patch, self.output = layer, patch, output

    def forward(self, x: Float[Tensor, "*b length"]) -> Float[Tensor, "*b horizon"]:
        outputs, _ = self.layer(x.unflatten(-1, (-1, self.patch)))
        return self.output(outputs[..., -1, :])
