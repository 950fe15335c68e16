r"""Gaussian bumps on a row of centres, the radial functions of FastKAN (Li 2024, arXiv:2405.06721).

With $h_k$ the mean distance of centre $c_k$ to its neighbours and $u = (x - c_k) / (w h_k)$,

$$ B_k(x) = e^{-u^2}, \qquad B_k^{(\nu)}(x) = (-1)^\nu\, (w h_k)^{-\nu}\, H_\nu(u)\, e^{-u^2}, $$

where $H_\nu$ are the Hermite polynomials $H_{\nu+1} = 2 u H_\nu - 2 \nu H_{\nu-1}$.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases._basis import Basis, as_maps, check_counts, point_spacing


@dataclasses.dataclass(frozen=True)
class Gaussian(Basis):
    """Gaussian bumps, one per centre: K = centers functions. The grid holds the centres; far from them all vanish.

    Args:
        centers: number of centres per input feature.
        width: width of a bump in units of the distance between centres. At 1 neighbours overlap well; wider bumps are
            smoother together, and their coefficients are harder to tell apart.
    """

    name: ClassVar[str] = "gaussian"
    centers: int = 8
    width: float = 1.0

    def __post_init__(self) -> None:
        check_counts(self, 2, "centers", why=", to have a distance")
        if not 0 < self.width < float("inf"):
            raise ValueError(f"Gaussian: width must be positive and finite, got {self.width}")

    @property
    def size(self) -> int:
        return self.centers

    @property
    def points(self) -> int:
        return self.centers

    def resized(self, n: int) -> Gaussian:
        return dataclasses.replace(self, centers=n)

    def evaluate_maps(
        self, x: Float[Tensor, "batch features *size"], grid: Float[Tensor, "features points"]
    ) -> list[Tensor]:
        inverse = 1 / (self.width * point_spacing(grid))
        scales, centers = as_maps(inverse, x), as_maps(grid, x)
        return [torch.exp(-((x - c) * s).clamp(-30, 30).square()) for c, s in zip(centers, scales, strict=True)]

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        scale = self.width * point_spacing(grid)
        # Beyond 30 the bump is zero in every dtype; unclamped, H(u) overflows there and zero times infinity is NaN.
        u = ((x[..., None] - grid) / scale).clamp(-30, 30)
        return _hermite(u, order) * torch.exp(-(u**2)) / (-scale) ** order


def _hermite(u: Tensor, order: int) -> Tensor:
    """The Hermite polynomial of the given degree, orthogonal for the weight exp(-u^2)."""
    before, value = torch.zeros_like(u), torch.ones_like(u)
    for n in range(order):
        before, value = value, 2 * u * value - 2 * n * before
    return value
