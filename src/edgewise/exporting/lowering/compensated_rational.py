r"""Rational units of pairs: $P_g(x) / (1 + |Q(x)|)$ with the rounding errors of Horner's rule added up beside it.

The compensated Horner's rule of Graillat, Langlois and Louvet (Japan J. Indust. Appl. Math. 26, 2009): the errors of
every product and sum, with what x itself lacks, follow the same recursion as the polynomial.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgewise.exporting.lowering.compensated_layers import PairModule
from edgewise.exporting.lowering.compensated_sums import Pair, two_product, two_sum
from edgewise.exporting.lowering.lowered_blocks import spread_coefficients
from edgewise.nn import GroupRational


class CompensatedRational(PairModule):
    """See `LoweredRational`."""

    numerator: Tensor
    denominator: Tensor

    def __init__(self, unit: GroupRational, dtype: torch.dtype) -> None:
        super().__init__()
        self.dim = unit.dim
        numerator, denominator = spread_coefficients(unit, dtype)
        self.register_buffer("numerator", numerator)
        self.register_buffer("denominator", denominator)

    def pair(self, x: Pair) -> Pair:
        """Element by element."""
        spread = [-1 if n == self.dim % x.high.ndim else 1 for n in range(x.high.ndim)]
        p, p_low = horner([row.reshape(spread) for row in self.numerator.unbind()], x)
        q, q_low = horner([torch.zeros_like(self.denominator[0]), *self.denominator.unbind()], x)
        size, rounded = two_sum(torch.ones_like(q), q.abs())
        rest = rounded + torch.where(q < 0, -q_low, q_low)
        y = p / size
        back, lost = two_product(y, size)
        return Pair(*two_sum(y, (((p - back) - lost) + (p_low - y * rest)) / size))


def horner(coefficients: Sequence[Tensor], x: Pair) -> tuple[Tensor, Tensor]:
    """The polynomial of these coefficients, the constant first, and what its rounding lost."""
    p, low = coefficients[-1] + torch.zeros_like(x.high), torch.zeros_like(x.high)
    for a in coefficients[-2::-1]:
        low = low * x.high if x.low is None else low * x.high + p * x.low
        product, lost = two_product(p, x.high)
        p, rounded = two_sum(product, a + torch.zeros_like(product))
        low = low + (lost + rounded)
    return p, low
