"""Reversible instance normalisation of series (Kim et al., ICLR 2022)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Statistics(NamedTuple):
    """Mean and standard deviation of every window and channel, each (*batch, 1, channels)."""

    mean: Tensor
    deviation: Tensor


class RevIN(nn.Module):
    r"""Normalises every window by its own statistics, and transforms a forecast back to the units of the window.

    $$ z = \gamma \frac{x - \mu}{s} + \beta, \qquad y = \mu + s\, \frac{\hat z - \beta}{\gamma} $$

    with $\mu, s$ over the time of the window, per channel; nothing is stored between the two halves.

    Args:
        channels: number of channels.
        affine: learn $\gamma, \beta$ per channel.
        eps: added to the variance, for constant windows.
    """

    def __init__(self, channels: int, *, affine: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(channels)) if affine else None
        self.beta = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Float[Tensor, "*b time channels"]) -> tuple[Float[Tensor, "*b time channels"], Statistics]:
        """The normalised window, and its statistics for `restore`."""
        mean = x.mean(-2, keepdim=True).detach()
        deviation = ((x - mean).square().mean(-2, keepdim=True) + self.eps).sqrt().detach()
        z = (x - mean) / deviation
        if self.gamma is not None and self.beta is not None:
            z = z * self.gamma + self.beta
        return z, Statistics(mean, deviation)

    def restore(
        self, z: Float[Tensor, "*b horizon channels"], statistics: Statistics
    ) -> Float[Tensor, "*b horizon channels"]:
        """The inverse of the forward pass, for a horizon of any length."""
        if self.gamma is not None and self.beta is not None:
            z = (z - self.beta) / self.gamma
        return z * statistics.deviation + statistics.mean
