"""Implements a small GPT whose feed-forward blocks, and optionally projections, are layers of curves.

The layout is that of GPT-2 (Radford et al., 2019): normalisation before every branch, learned positions, one matrix for
embedding and output, and branches whose output projections are scaled down by 1 / sqrt(2 · layers).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edgewise.bases import Basis, basis_from_json
from edgewise.nn import KANAttention, KANFeedForward
from edgewise.nn.blocks.attention import Past
from edgewise.nn.blocks.projection import projection
from edgewise.stored import read_fields, require_keys


@dataclass(frozen=True)
class GPTConfig:
    """The settings of a `KANGPT`.

    Args:
        symbols: size of the vocabulary.
        context: the longest sequence.
        layers: number of blocks.
        heads: number of attention heads.
        features: width of the residual stream.
        feed_forward: "rational" (grouped rational units), "mlp" (for comparison), or a basis.
        hidden: width inside a feed-forward block; by default the block has as many parameters as an MLP of width
            4 · features.
        attention: basis of the projections of the attention; None is linear.
        dropout: dropout probability of every branch.
    """

    symbols: int
    context: int = 64
    layers: int = 2
    heads: int = 4
    features: int = 64
    feed_forward: str | Basis = "rational"
    hidden: int | None = None
    attention: Basis | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.feed_forward, Basis) and self.feed_forward not in ("mlp", "rational"):
            raise ValueError(f"feed_forward must be 'rational', 'mlp' or a basis, got {self.feed_forward!r}")

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object."""
        bases = {
            name: b.to_json() for name in ("feed_forward", "attention") if isinstance(b := getattr(self, name), Basis)
        }
        return {**asdict(self), **bases}

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> GPTConfig:
        """The settings that `to_json` wrote."""
        known = require_keys(settings, [field.name for field in fields(cls)], "the settings of a GPT")
        bases = {name: basis_from_json(value) for name, value in known.items() if isinstance(value, dict)}
        return read_fields(cls, settings, "the settings of a GPT", **bases)


class KANGPT(nn.Module):
    """Indices (*batch, time) -> logits of the next index (*batch, time, symbols).

    Args:
        config: the settings.
        generator: random generator of the initial values.
    """

    def __init__(self, config: GPTConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        d = config.features
        # GPT-2's 0.02 suits width 768: at width 64 it costs an MLP 0.2 nats per character
        scale = 0.8 * d**-0.5
        self.embedding = nn.Parameter(scale * torch.randn(config.symbols, d, generator=generator))
        self.position = nn.Parameter(scale * torch.randn(config.context, d, generator=generator))
        self.blocks = nn.ModuleList(_Block(config, generator) for _ in range(config.layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, indices: Int[Tensor, "*b time"]) -> Float[Tensor, "*b time symbols"]:
        return self.extend(indices, None)[0]

    def extend(
        self, indices: Int[Tensor, "*b time"], past: list[Past] | None
    ) -> tuple[Float[Tensor, "*b time symbols"], list[Past]]:
        """The logits at the positions after `past`, and the extended past."""
        begin = 0 if past is None else past[0].keys.shape[-2]
        end = begin + indices.shape[-1]
        if end > self.config.context:
            raise ValueError(
                f"a sequence of {end} does not fit the context of {self.config.context}; remove its beginning"
            )
        x = self.embedding[indices] + self.position[begin:end]
        seen = []
        for n, block in enumerate(self.blocks):
            x, kept = cast(_Block, block)(x, None if past is None else past[n])
            seen.append(kept)
        return self.norm(x) @ self.embedding.T, seen

    @torch.no_grad()
    def generate(
        self,
        indices: Int[Tensor, "*b time"],
        count: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        cache: bool = True,
        generator: torch.Generator | None = None,
    ) -> Int[Tensor, "*b longer"]:
        """The indices and `count` more, generated one by one from the last `context` indices.

        Args:
            indices: the prompt, at least one index.
            count: the number of indices to generate.
            temperature: 0 takes the most likely index, 1 samples from the distribution of the model.
            top_k: sample only among the k most likely.
            cache: keep keys and values between steps until the context is full; the results are the same without it.
            generator: random generator of the samples.
        """
        if indices.shape[-1] == 0 or temperature < 0:
            raise ValueError(f"generate needs a prompt and temperature >= 0, got {tuple(indices.shape)}, {temperature}")
        training = self.training
        self.eval()
        past, new = None, indices[..., -self.config.context :]
        for _ in range(count):
            logits, past = self.extend(new, past)
            chosen = _draw(logits[..., -1, :], temperature, top_k, generator)[..., None]
            indices = torch.cat([indices, chosen], -1)
            if cache and past[0].keys.shape[-2] < self.config.context:
                new = chosen
            else:  # the window moves, so every position in it changes
                past, new = None, indices[..., -self.config.context :]
        self.train(training)
        return indices


class _Block(nn.Module):
    """Attention and feed-forward, each with normalisation before it and added to the residual stream."""

    def __init__(self, config: GPTConfig, generator: torch.Generator | None) -> None:
        super().__init__()
        gain = (2 * config.layers) ** -0.5
        self.norm_attention, self.norm_feed = nn.LayerNorm(config.features), nn.LayerNorm(config.features)
        self.attention = KANAttention(config.features, config.heads, config.attention, gain=gain, generator=generator)
        self.feed_forward = _feed_forward(config, gain, generator)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        y, seen = self.attention.extend(self.norm_attention(x), past)
        x = x + self.dropout(y)
        return x + self.dropout(self.feed_forward(self.norm_feed(x))), seen


def _feed_forward(config: GPTConfig, gain: float, generator: torch.Generator | None) -> nn.Module:
    d, hidden = config.features, config.hidden
    if config.feed_forward == "mlp":
        hidden = 4 * d if hidden is None else hidden
        up = projection(d, hidden, generator=generator)
        return nn.Sequential(up, nn.GELU(), projection(hidden, d, gain=gain, generator=generator))
    basis = config.feed_forward if isinstance(config.feed_forward, Basis) else None
    return KANFeedForward(d, hidden, basis, gain=gain, generator=generator)


def _draw(logits: Tensor, temperature: float, top_k: int | None, generator: torch.Generator | None) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    p = (logits / temperature).softmax(-1)
    return torch.multinomial(p.view(-1, p.shape[-1]), 1, generator=generator).view(p.shape[:-1])
