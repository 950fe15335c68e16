"""Causal self-attention whose projections may be layers of curves, with a cache for generation."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from edgewise.bases import Basis
from edgewise.nn.blocks.projection import projection


class Past(NamedTuple):
    """Keys and values of the positions seen so far, each (*batch, heads, time, features / heads)."""

    keys: Tensor
    values: Tensor


class KANAttention(nn.Module):
    r"""Causal multi-head self-attention, shapes (*batch, time, features) -> (*batch, time, features).

    $$ y = W_o\,[\mathrm{softmax}(q_h k_h^T / \sqrt{d_h} + M)\, v_h]_h, \qquad (q, k, v) = W_{qkv}(x) $$

    where $W_{qkv}$ and $W_o$ are layers of curves, or linear, and M hides the future.

    Args:
        features: of the inputs and outputs, a multiple of `heads`.
        heads: number of heads h.
        basis: of the curves in the projections; None makes them linear.
        gain: scale of the output at the start, see `projection`.
        generator: source of randomness of the initial values.
        **settings: passed to `projection`: bias, residual, grid_range, device, dtype.
    """

    def __init__(
        self,
        features: int,
        heads: int,
        basis: Basis | None = None,
        *,
        gain: float = 1.0,
        generator: torch.Generator | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if heads < 1 or features % heads:
            raise ValueError(f"{features} features cannot be shared among {heads} heads; give a divisor of {features}")
        self.features, self.heads = features, heads
        self.qkv = projection(features, 3 * features, basis, generator=generator, **settings)
        self.output = projection(features, features, basis, gain=gain, generator=generator, **settings)

    def forward(self, x: Float[Tensor, "*b time features"]) -> Float[Tensor, "*b time features"]:
        return self.extend(x, None)[0]

    def extend(
        self, x: Float[Tensor, "*b time features"], past: Past | None
    ) -> tuple[Float[Tensor, "*b time features"], Past]:
        """The outputs at positions that follow those of `past`, and the past with them: for generation."""
        if x.ndim < 2 or x.shape[-1] != self.features:
            raise ValueError(
                f"KANAttention takes inputs of shape (*batch, time, {self.features}), got {tuple(x.shape)}"
            )
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(-3, -2) for part in self.qkv(x).chunk(3, -1))
        if past is not None:
            k, v = torch.cat([past.keys, k], -2), torch.cat([past.values, v], -2)
        new, seen = q.shape[-2], k.shape[-2]
        mask = None
        if past is not None and new > 1:
            mask = torch.ones(new, seen, dtype=torch.bool, device=x.device).tril(seen - new)
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=past is None)
        return self.output(y.transpose(-3, -2).flatten(-2)), Past(k, v)

    def extra_repr(self) -> str:
        return f"{self.features}, heads={self.heads}"
