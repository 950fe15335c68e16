r"""Bumps from products of ReLUs, as in ReLU-KAN (Qiu et al. 2024, arXiv:2406.02075, eq. 4-5), raised to any power.

On its support $[s_k, e_k]$, with $v = (x - s_k) / (e_k - s_k)$, a bump is

$$ B_k(x) = \Big[\frac{4\, \mathrm{ReLU}(x - s_k)\, \mathrm{ReLU}(e_k - x)}{(e_k - s_k)^2}\Big]^p
   = [4 v (1 - v)]^p, $$

with peak 1 in the middle, zero outside, and $p - 1$ continuous derivatives. By Leibniz' rule, with falling factorials
$p^{\underline{j}}$,

$$ \frac{d^\nu}{dv^\nu} [v (1 - v)]^p = \sum_{j=0}^{\nu} \binom{\nu}{j} (-1)^{\nu-j}\,
   p^{\underline{j}}\, p^{\underline{\nu-j}}\; v^{p-j} (1 - v)^{p-\nu+j}. $$
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from edgewise.bases._basis import Basis, check_counts, continued_points, nan_of


@dataclasses.dataclass(frozen=True)
class ReLUPower(Basis):
    """Products of ReLUs: K = intervals + power functions, polynomials of degree 2 power on their support.

    The grid holds the break points, continued by `power` more at either end with the spacing of the end interval. As
    with uniform B-splines of degree `power`, the support of each function is `power + 1` intervals. Far outside all
    vanish.

    Args:
        intervals: number of grid intervals per input feature.
        power: the power p. 2 is the original ReLU-KAN; 3 is twice continuously differentiable.
    """

    name: ClassVar[str] = "relu_power"
    intervals: int = 5
    power: int = 3

    def __post_init__(self) -> None:
        check_counts(self, 1, "intervals", "power")

    @property
    def size(self) -> int:
        return self.intervals + self.power

    @property
    def points(self) -> int:
        return self.intervals + 1

    def resized(self, n: int) -> ReLUPower:
        return dataclasses.replace(self, intervals=n)

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        points = continued_points(grid, self.power)
        start, end = points[:, : self.size], points[:, self.power + 1 :]
        v = (x[..., None] - start) / (end - start)
        value = _bump(v.clamp(0, 1), self.power, order) / (end - start) ** order
        # Where the order reaches the power the bump jumps at its ends, and clamping alone would hold the value there.
        return torch.where((v < 0) | (v >= 1), nan_of(v), value)


def _bump(v: Tensor, p: int, order: int) -> Tensor:
    r"""The derivative of $[4 v (1 - v)]^p$ for v in [0, 1]."""
    value = v - v
    for j in range(max(0, order - p), min(p, order) + 1):
        factor = math.comb(order, j) * (-1) ** (order - j) * math.perm(p, j) * math.perm(p, order - j)
        value = value + factor * v ** (p - j) * (1 - v) ** (p - order + j)
    return 4**p * value
