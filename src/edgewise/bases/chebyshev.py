r"""Chebyshev polynomials on the range of each feature, continued by straight lines.

With $t$ the affine map of $[\text{low}, \text{high}]$ to $[-1, 1]$ and $s = dt/dx$, the functions are
$B_n(x) = T_n(t)$ and

$$ T_{n+1}^{(\nu)} = 2 t\, T_n^{(\nu)} + 2 \nu\, T_n^{(\nu-1)} - T_{n-1}^{(\nu)}, \qquad
   B_n^{(\nu)}(x) = s^\nu\, T_n^{(\nu)}(t). $$
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases._basis import Basis, as_maps, check_counts, linear_outside, nan_of, to_unit


@dataclasses.dataclass(frozen=True)
class Chebyshev(Basis):
    """Chebyshev polynomials T_0 to T_degree: K = degree + 1 functions. The grid holds the range (low, high).

    Inside the range they stay between -1 and 1. Outside, $T_n$ grows like $2^{n-1} t^n$, so that one stray input would
    dominate a whole batch; there every function continues along its tangent, with derivatives of order 2 and more
    equal to zero. The common remedy, tanh before the polynomials, has no stray inputs either, but bends the axis inside
    the range too, and the curve is no polynomial any more.

    Args:
        degree: highest polynomial degree.
    """

    name: ClassVar[str] = "chebyshev"
    degree: int = 8

    def __post_init__(self) -> None:
        check_counts(self, 1, "degree")

    @property
    def size(self) -> int:
        return self.degree + 1

    def resized(self, n: int) -> Chebyshev:
        return dataclasses.replace(self, degree=n)

    def evaluate_maps(
        self, x: Float[Tensor, "batch features *size"], grid: Float[Tensor, "features points"]
    ) -> list[Tensor]:
        r"""With e the excess of t over [-1, 1]: $T_n(t - e) + n^2 e$ for odd n, $+\, n^2 |e|$ for even n."""
        low, high = as_maps(grid, x)
        slope = 2 / (high - low)
        t = x * slope - (low * slope + 1)
        inside = t.clamp(-1, 1)
        excess = t - inside
        size = excess.abs()
        values = [torch.ones_like(t) + nan_of(t), inside]
        for _ in range(1, self.degree):
            values.append(torch.addcmul(-values[-2], inside, values[-1], value=2))
        return [v if n == 0 else v + n**2 * (excess if n % 2 else size) for n, v in enumerate(values)]

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        def inside(x: Tensor, order: int) -> Tensor:
            t, slope = to_unit(x, grid)
            return _chebyshev(t, self.degree, order) * slope[:, None] ** order

        return linear_outside(inside, x, x.clamp(grid[:, 0], grid[:, -1]), order)


def _chebyshev(t: Tensor, degree: int, order: int) -> Tensor:
    r"""$T_0^{(\nu)}(t), \dots, T_{\text{degree}}^{(\nu)}(t)$ along a new last dimension."""
    zero, one = t - t, 1 + nan_of(t)
    lower: list[Tensor] = []
    for nu in range(order + 1):
        values = [one if nu == 0 else zero, t if nu == 0 else one if nu == 1 else zero]
        for n in range(1, degree):
            following = 2 * t * values[n] - values[n - 1]
            values.append(following + 2 * nu * lower[n] if nu > 0 else following)
        lower = values
    return torch.stack(lower, dim=-1)
