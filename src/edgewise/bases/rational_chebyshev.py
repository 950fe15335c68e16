r"""Rational Chebyshev functions: bounded and smooth on the whole line.

With $u$ the affine map of $[\text{low}, \text{high}]$ to $[-1, 1]$ and $\cot\theta = u$ (Boyd, Chebyshev and Fourier
Spectral Methods, 2nd ed., chapter 17),

$$ R_n(x) = T_n\!\Big(\frac{u}{\sqrt{1 + u^2}}\Big) = \cos n\theta = \mathrm{Re}\, F_n, \qquad
   F_n = e^{in\theta} = \Big(\frac{u + i}{\sqrt{1 + u^2}}\Big)^{\! n}. $$

$F_n$ solves $(1 + u^2) F' = -i n F$. Differentiating this $\nu$ times gives every derivative from the two before it:

$$ (1 + u^2)\, F^{(\nu+1)} = -(2 \nu u + i n)\, F^{(\nu)} - \nu (\nu - 1)\, F^{(\nu-1)}. $$
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from edgewise.bases._basis import Basis, check_counts, to_unit


@dataclasses.dataclass(frozen=True)
class Rational(Basis):
    """Rational Chebyshev functions R_0 to R_degree: K = degree + 1 functions. The grid holds the range (low, high).

    Even ones are rational, odd ones a rational function times a square root. All stay between -1 and 1 and tend to a
    constant far outside the range, so that no extrapolation rule is needed. They are linear in their coefficients, as
    every basis is; units that learn their denominator too (Padé) are not a basis but a layer, and live in `nn`.

    Args:
        degree: highest degree of the numerator.
    """

    name: ClassVar[str] = "rational"
    degree: int = 5

    def __post_init__(self) -> None:
        check_counts(self, 1, "degree")

    @property
    def size(self) -> int:
        return self.degree + 1

    def resized(self, n: int) -> Rational:
        return dataclasses.replace(self, degree=n)

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        u, slope = to_unit(x, grid)
        u, slope = u[..., None], slope[:, None]
        n = torch.arange(self.degree + 1, dtype=u.dtype, device=u.device)
        theta = torch.atan2(torch.ones_like(u), u)
        real, imag = torch.cos(n * theta), torch.sin(n * theta)
        real_before, imag_before = torch.zeros_like(real), torch.zeros_like(imag)
        for nu in range(order):
            following_real = 2 * nu * u * real - n * imag + nu * (nu - 1) * real_before
            following_imag = 2 * nu * u * imag + n * real + nu * (nu - 1) * imag_before
            real_before, imag_before = real, imag
            real, imag = -following_real / (1 + u**2), -following_imag / (1 + u**2)
        return real * slope**order
