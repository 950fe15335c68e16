"""Edges that are symbols in plain operations: no gather, no scatter."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import SymbolicEdges


class LoweredSymbols(nn.Module):
    r"""The sum of $\gamma f(\alpha x + \beta) + \delta$ over the symbols of every output.

    One column per symbol, since a matrix of zeros and ones would let the NaN of one symbol into every output.
    """

    affine: Tensor

    def __init__(self, symbols: SymbolicEdges, outs: int, dtype: torch.dtype) -> None:
        super().__init__()
        assert symbols.affine is not None
        self.functions, self.outs = symbols.functions, outs
        self.sources, self.targets = symbols.sources.tolist(), symbols.targets.tolist()
        self.register_buffer("affine", symbols.affine.detach().to(dtype).clone())

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        columns: list[Tensor | None] = [None] * self.outs
        for n, (fn, j, i) in enumerate(zip(self.functions, self.sources, self.targets, strict=True)):
            a, b, c, d = self.affine[n].unbind()
            value = c * fn(a * x[..., j : j + 1] + b) + d
            old = columns[i]
            columns[i] = value if old is None else old + value
        zero = torch.zeros_like(x[..., :1])
        return torch.cat([zero if column is None else column for column in columns], dim=-1)
