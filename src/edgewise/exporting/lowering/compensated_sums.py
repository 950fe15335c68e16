r"""Sums of products in single precision whose error is that of one rounding, in additions and multiplications alone.

Far outside the grids a layer adds numbers that are hundreds of times its output, and a matrix product in single
precision loses as many digits. Here x and W are cut into a short part and a rest, $x = x_1 + x_2$, $W = W_1 + W_2$,
where the short parts are whole multiples of one power of two in every row of x and in every column of W, of so few
bits that $x_1 W_1$ is exact in any order of its additions (Ozaki, Ogita, Oishi, Rump, Numer. Algorithms 59, 2012):

$$ x W + b = x_1 W_1 + \big( x_1 W_2 + x_2 W \big) + b. $$

The bracket is smaller by a factor of $2^\beta$, and so is its error. The result is a pair: a number and what its
rounding lost (Knuth's two-sum). All steps are exact under a fused multiply-add as well, which some runtimes use.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

DIGITS = {torch.float32: 24, torch.float64: 53, torch.float16: 11, torch.bfloat16: 8}
"""Bits of the significand."""


class Pair(NamedTuple):
    """A number as the sum of two of the same precision; the second is None where it is zero."""

    high: Tensor
    low: Tensor | None = None


def two_sum(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The rounded sum and what the rounding lost, exactly (Knuth, 1969)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The rounded product and what the rounding lost, by halves whose products are exact (Dekker, 1971)."""
    half = DIGITS[a.dtype] // 2
    (a1, a2), (b1, b2) = ((x1 := shortened(x, half, None), x - x1) for x in (a, b))
    total, lost = two_sum(a1 * b1, a1 * b2)
    more, lost_too = two_sum(total, a2 * b1)
    return two_sum(more, (lost + lost_too) + a2 * b2)


def plus(pair: Pair, other: Tensor) -> Pair:
    """A pair plus a small or large number, a normal pair again."""
    total, lost = two_sum(pair.high, other)
    return Pair(*two_sum(total, lost if pair.low is None else lost + pair.low))


def shortened(x: Tensor, bits: int, dim: int | None = -1) -> Tensor:
    """x rounded to so many bits of the largest number along a dimension, of each number itself where it is None.

    What is added and subtracted is a power of two times that number, hence exact.
    """
    largest = x.abs() if dim is None else x.abs().amax(dim, keepdim=True)
    large = largest * 2.0 ** (DIGITS[x.dtype] - bits)
    return (x + large) - large


def bits_for(terms: int, dtype: torch.dtype) -> int:
    """The bits of short numbers of which so many products have an exact sum."""
    return max(2, (DIGITS[dtype] - math.ceil(math.log2(max(terms, 2)))) // 2)


class CompensatedProduct(nn.Module):
    """The equation of this file for a constant W: shapes (*batch, in) -> pairs of (*batch, out).

    Args:
        weight: W, float64.
        bias: b, float64.
        dtype: of the file.
    """

    short: Tensor
    rest: Tensor
    weight: Tensor
    bias: Tensor
    bias_rest: Tensor

    def __init__(self, weight: Float[Tensor, "in out"], bias: Float[Tensor, " out"], dtype: torch.dtype) -> None:
        super().__init__()
        self.bits = bits_for(len(weight), dtype)
        weight = weight.contiguous()  # with a transposed one litert-torch 0.10 gave wrong outputs once
        largest = weight.abs().amax(0).clamp(min=torch.finfo(dtype).tiny)
        unit = 2.0 ** (largest.log2().floor() + 1 - self.bits)
        short = (weight / unit).round() * unit
        self.register_buffer("short", short.to(dtype))
        self.register_buffer("rest", (weight - short).to(dtype))
        self.register_buffer("weight", weight.to(dtype))
        self.register_buffer("bias", bias.to(dtype))
        self.register_buffer("bias_rest", (bias - bias.to(dtype).double()).to(dtype))

    def pair(self, x: Pair) -> Pair:
        """The product of a pair with W, plus b."""
        short = shortened(x.high, self.bits)
        rest = x.high - short if x.low is None else (x.high - short) + x.low
        total, lost = two_sum(short @ self.short, self.bias)
        low = (short @ self.rest + rest @ self.weight) + (lost + self.bias_rest)
        return Pair(*two_sum(total, low))

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """The rounded product."""
        return self.pair(Pair(x)).high


def compensated_products(a: Pair, b: Pair) -> tuple[Tensor, Tensor]:
    """All inner products of the rows of a and of b, both of them results: (*b, n, in), (*b, m, in) to (*b, n, m)."""
    bits = bits_for(a.high.shape[-1], a.high.dtype)
    short_a, short_b = shortened(a.high, bits), shortened(b.high, bits)
    rest_a, rest_b = ((x.high - s) + (0 if x.low is None else x.low) for x, s in ((a, short_a), (b, short_b)))
    low = short_a @ rest_b.transpose(-1, -2) + rest_a @ b.high.transpose(-1, -2)
    return two_sum(short_a @ short_b.transpose(-1, -2), low)


def compensated_softmax(x: Pair, scale: float = 1.0) -> Tensor:
    """The softmax of a pair along its last dimension, times `scale`: its exponents are differences of large scores."""
    z = x.high - x.high.amax(-1, keepdim=True)
    return ((z if x.low is None else z + x.low) * scale).softmax(-1)
