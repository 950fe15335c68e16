"""The fixed change of units before and after a network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Affine(nn.Module):
    r"""$y_i = s_i x_i + t_i$ with fixed buffers `scale` $s$, `shift` $t$: the user's units stay outside the network."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Float[Tensor, " features"], shift: Float[Tensor, " features"]) -> None:
        super().__init__()
        self.register_buffer("scale", torch.as_tensor(scale))
        self.register_buffer("shift", torch.as_tensor(shift))

    def forward(self, x: Float[Tensor, "*b features"]) -> Float[Tensor, "*b features"]:
        return x * self.scale + self.shift

    def extra_repr(self) -> str:
        return f"features={len(self.scale)}"
