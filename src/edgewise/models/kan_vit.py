"""Implements a vision transformer whose feed-forward blocks are layers of curves.

The layout is that of Dosovitskiy et al., arXiv 2010.11929, with the mean of the tokens instead of a class token. With
grouped rational units it is the Kolmogorov-Arnold transformer of Yang and Wang, arXiv 2409.10594.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from edgewise.bases import Basis
from edgewise.nn import KANFeedForward

FeedForward = str | Basis | Callable[[int], nn.Module]


class KANViT(nn.Module):
    """Images (batch, in_channels, height, width) to logits (batch, classes).

    Args:
        image_size: height and width, a multiple of `patch_size`.
        patch_size: side of a patch, one token each.
        in_channels: channels of the images.
        classes: number of classes.
        features: width of the residual stream.
        layers: number of blocks.
        heads: number of attention heads.
        feed_forward: "rational" (grouped rational units), a basis, "mlp" (an MLP of equal size), or a function from
            the width to a module.
        generator: random generator of the curves; other layers draw from torch's global generator.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        in_channels: int,
        classes: int,
        *,
        features: int = 64,
        layers: int = 2,
        heads: int = 4,
        feed_forward: FeedForward = "rational",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"image_size={image_size} must be a multiple of patch_size={patch_size}")
        if features % heads:
            raise ValueError(f"{features} features cannot be divided among {heads} heads; give a divisor")
        self.embed = nn.Conv2d(in_channels, features, patch_size, patch_size)
        self.position = nn.Parameter(0.02 * torch.randn((image_size // patch_size) ** 2, features, generator=generator))
        self.blocks = nn.Sequential(
            *(_Block(features, heads, _feed_forward(feed_forward, features, generator)) for _ in range(layers))
        )
        self.norm = nn.LayerNorm(features)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(tokens)).mean(1))


class _Block(nn.Module):
    def __init__(self, features: int, heads: int, feed_forward: nn.Module) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.second_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv, self.output = nn.Linear(features, 3 * features), nn.Linear(features, features)
        self.feed_forward = feed_forward

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in parts)
        x = x + self.output(scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2))
        return x + self.feed_forward(self.second_norm(x))


def _feed_forward(kind: FeedForward, features: int, generator: torch.Generator | None) -> nn.Module:
    if callable(kind):
        return kind(features)
    if isinstance(kind, Basis):
        return KANFeedForward(features, basis=kind, generator=generator)
    if kind == "rational":
        return KANFeedForward(features, generator=generator)
    if kind == "mlp":
        return nn.Sequential(nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features))
    raise ValueError(f"feed_forward must be 'rational', 'mlp', a basis or a function of the width, got {kind!r}")
