"""Attention and class probabilities whose scores are pairs: a softmax of scores in the hundreds amplifies errors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.exporting.lowering.compensated_layers import as_pair
from edgewise.exporting.lowering.compensated_sums import Pair, compensated_products, compensated_softmax
from edgewise.exporting.prediction import ClassProbabilities
from edgewise.nn import KANAttention


class CompensatedAttention(nn.Module):
    r"""See `KANAttention`; $q k^T$ is compensated, and the largest score is subtracted before a score is rounded."""

    def __init__(self, attention: KANAttention, qkv: nn.Module, output: nn.Module) -> None:
        super().__init__()
        self.heads, self.qkv, self.output = attention.heads, qkv, output
        self.scale = (attention.features // attention.heads) ** -0.5

    def forward(self, x: Float[Tensor, "*b time features"]) -> Float[Tensor, "*b time features"]:
        """Shapes as in `KANAttention`."""
        found = as_pair(self.qkv, Pair(x))
        q, k, v = zip(*(self._heads(part) for part in found), strict=True)
        high, low = compensated_products(Pair(*q), Pair(*k))
        past = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).tril()
        high = torch.where(past, high, torch.full_like(high, -torch.inf))
        low = torch.where(past, low, torch.zeros_like(low))
        y = compensated_softmax(Pair(high, low), self.scale) @ v[0]
        return self.output(y.transpose(-3, -2).flatten(-2))

    def _heads(self, part: Tensor | None) -> list[Tensor | None]:
        """q, k and v of every head from one number of the pair."""
        if part is None:
            return [None, None, None]
        return [p.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for p in part.chunk(3, -1)]


class CompensatedProbabilities(nn.Module):
    """See `ClassProbabilities`."""

    def __init__(self, model: ClassProbabilities, network: nn.Module) -> None:
        super().__init__()
        self.network, self.two = network, len(model.classes) == 2

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b classes"]:
        """(*batch, in) to (*batch, classes)."""
        scores = as_pair(self.network, Pair(x))
        if self.two:
            high, low = (None if s is None else torch.cat([s * 0, s], -1) for s in scores)
            assert high is not None
            scores = Pair(high, low)
        return compensated_softmax(scores)
