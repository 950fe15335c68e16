"""The feed-forward block of a transformer with curves in it, with as many parameters as the usual MLP."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis
from edgewise.nn.blocks.projection import projection
from edgewise.nn.blocks.rational import GroupRational


class KANFeedForward(nn.Module):
    r"""Two layers, $d \to h \to d$, shapes (*batch, features) -> (*batch, features).

    With a basis both are sums of curves. Without one, it is the block of the Kolmogorov-Arnold transformer (Yang, Wang,
    arXiv 2409.10594), $y = W_2 R_2(W_1 R_1(x))$ with grouped rational units: $R_1$ starts as the identity, $R_2$ as
    GELU.

    Args:
        features: of the inputs and outputs, d.
        hidden: the width h; by default the one at which the block has as many parameters as an MLP with 4d hidden
            units: 4d without a basis, about 4d / (parameters per edge) with one.
        basis: of the curves; None is the grouped rational block.
        groups: of the rational units.
        gain: scale of the output at the start, see `projection`.
        generator: source of randomness of the initial values.
        **settings: passed to `projection`: bias, residual, grid_range, device, dtype.
    """

    def __init__(
        self,
        features: int,
        hidden: int | None = None,
        basis: Basis | None = None,
        *,
        groups: int = 8,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if hidden is None:
            hidden = 4 * features if basis is None else matched_hidden(features, basis, settings.get("residual"))
        self.features, self.hidden = features, hidden
        placement = {name: settings[name] for name in ("device", "dtype") if name in settings}
        units = basis is None
        self.first = GroupRational(features, groups, **placement) if units else nn.Identity()
        self.up = projection(features, hidden, basis, generator=generator, **settings)
        self.second = GroupRational(hidden, groups, start="gelu", **placement) if units else nn.Identity()
        self.down = projection(hidden, features, basis, gain=gain, generator=generator, **settings)

    def forward(self, x: Float[Tensor, "*b features"]) -> Float[Tensor, "*b features"]:
        return self.down(self.second(self.up(self.first(x))))


def matched_hidden(features: int, basis: Basis, residual: str | None = None) -> int:
    """The hidden width at which two layers of curves have as many parameters as an MLP four times as wide."""
    edge = basis.size + (residual is not None)
    # h (2 d e + 1) + d = 8 d^2 + 5 d
    return max(1, round((8 * features**2 + 4 * features) / (2 * features * edge + 1)))
