r"""A mixture of layers of curves with different bases, and the normalisation of series.

Han et al., arXiv 2406.02496, whose model of series is one mixture between the two steps of a reversible
normalisation: with the gate $\pi = \mathrm{softmax}(W x)$,

$$ y = \sum_e \pi_e(x)\, \mathrm{KAN}_e(x). $$
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis, Chebyshev, Wavelet
from edgewise.nn.blocks.projection import projection

EXPERTS = (Chebyshev(3), Chebyshev(3), Wavelet(centers=4), Wavelet(centers=4))
"""Two experts of cubic polynomials, the span of a Taylor expansion of order 3, and two of Mexican hats."""


class MixtureOfKANs(nn.Module):
    """The equation of this file, shapes (*batch, in) -> (*batch, out).

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        experts: their bases, `EXPERTS` by default.
        generator: source of randomness of the initial values.
        **settings: passed to `projection`: bias, residual, grid_range, device, dtype.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        experts: Sequence[Basis] = EXPERTS,
        *,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if not experts:
            raise ValueError("a mixture needs at least one expert; give their bases, such as [Chebyshev(3)]")
        placement = {name: settings[name] for name in ("device", "dtype") if name in settings}
        self.gate = projection(in_features, len(experts), generator=generator, **placement)
        layers = [projection(in_features, out_features, basis, generator=generator, **settings) for basis in experts]
        self.experts = nn.ModuleList(layers)

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        shares = self.gate(x).softmax(-1)
        y = shares[..., :1] * self.experts[0](x)
        for e, expert in enumerate(self.experts[1:], 1):
            y = torch.addcmul(y, shares[..., e : e + 1], expert(x))
        return y
