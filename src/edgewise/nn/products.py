"""Multiplication nodes (KAN 2.0, arXiv 2408.10205)."""

from __future__ import annotations

import functools
import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ProductNodes(nn.Module):
    r"""Keep the first `sums` features and multiply the rest in groups: $y_{s+m} = \prod_{r} x_{s + o_m + r}$.

    Args:
        sums: number of features passed through.
        arities: number of factors of each product; `(2, 3)` is a product of two and one of three.
    """

    def __init__(self, sums: int, arities: tuple[int, ...]) -> None:
        super().__init__()
        self.sums, self.arities = sums, tuple(arities)

    @property
    def in_features(self) -> int:
        return self.sums + sum(self.arities)

    @property
    def out_features(self) -> int:
        return self.sums + len(self.arities)

    def groups(self) -> list[range]:
        """The input features of every output, in order: single ones for the sums, then the factors of each product."""
        starts = [self.sums + sum(self.arities[:m]) for m in range(len(self.arities))]
        products = [range(start, start + arity) for start, arity in zip(starts, self.arities, strict=True)]
        return [*(range(i, i + 1) for i in range(self.sums)), *products]

    def forward(self, x: Float[Tensor, "*b factors"]) -> Float[Tensor, "*b nodes"]:
        parts, start = [x[..., : self.sums]], self.sums
        for arity, run in itertools.groupby(self.arities):  # neighbours of one arity are multiplied at once
            count = len(list(run))
            factors = x[..., start : start + count * arity].unflatten(-1, (count, arity))
            parts.append(functools.reduce(torch.mul, factors.unbind(-1)))
            start += count * arity
        return torch.cat(parts, dim=-1)

    def extra_repr(self) -> str:
        return f"sums={self.sums}, arities={self.arities}"
