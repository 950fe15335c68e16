r"""Cosines and sines whose period is the range of each feature.

With $t$ the affine map of $[\text{low}, \text{high}]$ to $[-1, 1]$ and $s = dt/dx$, the functions are
$1, \cos \pi n t, \sin \pi n t$ for $n = 1, \dots, N$. A derivative is a quarter turn:

$$ \frac{d^\nu}{dx^\nu} \cos \pi n t = (\pi n s)^\nu \cos\!\big(\pi n t + \nu \tfrac\pi2\big), \qquad
   \frac{d^\nu}{dx^\nu} \sin \pi n t = (\pi n s)^\nu \sin\!\big(\pi n t + \nu \tfrac\pi2\big). $$
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from edgewise.bases._basis import Basis, check_counts, nan_of, to_unit


@dataclasses.dataclass(frozen=True)
class Fourier(Basis):
    """A Fourier series: K = 2 frequencies + 1 functions, in the order 1, all cosines, all sines.

    The grid holds one period (low, high), and every curve repeats with period high - low. For a function that is not
    periodic, fit the grid with a `margin` of a half or more, so that the seam of the period lies away from the samples.

    Args:
        frequencies: number of frequencies; the highest completes that many oscillations over the range.
    """

    name: ClassVar[str] = "fourier"
    frequencies: int = 5

    def __post_init__(self) -> None:
        check_counts(self, 1, "frequencies")

    @property
    def size(self) -> int:
        return 2 * self.frequencies + 1

    def resized(self, n: int) -> Fourier:
        return dataclasses.replace(self, frequencies=n)

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        t, slope = to_unit(x, grid)
        omega = torch.pi * torch.arange(1, self.frequencies + 1, dtype=t.dtype, device=t.device)
        c, s = torch.cos(omega * t[..., None]), torch.sin(omega * t[..., None])
        c, s = ((c, s), (-s, c), (-c, -s), (s, -c))[order % 4]
        factor = (omega * slope[:, None]) ** order
        constant = nan_of(t)[..., None] + (1 if order == 0 else 0)
        return torch.cat([constant, factor * c, factor * s], dim=-1)
