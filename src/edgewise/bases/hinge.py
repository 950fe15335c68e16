r"""Hinges: continuous, piecewise linear curves at the least cost, one comparison per function.

With hinges $t_k$ between the ends of the range and $s$ = 2 / (high - low),

$$ B_k(x) = s\,\mathrm{ReLU}(x - t_k), \qquad B_k'(x) = s\,[x > t_k]. $$

With the residual function "identity" one hinge in the middle spans what the pair ReLU(x), ReLU(-x) spans (Shang et al.,
arXiv 1603.05201, who double the channels of a convolution with it).
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases._basis import Basis, as_maps, check_counts


@dataclasses.dataclass(frozen=True)
class Hinge(Basis):
    """Ramps that begin at the hinges: K = hinges functions. The grid holds the ends of the range and what is between.

    Left of its hinge a function is zero, so that constants and the line are left to the bias and the residual function.

    Args:
        hinges: number of hinges per input feature.
    """

    name: ClassVar[str] = "hinge"
    hinges: int = 4

    def __post_init__(self) -> None:
        check_counts(self, 1, "hinges")

    @property
    def size(self) -> int:
        return self.hinges

    @property
    def points(self) -> int:
        return self.hinges + 2

    def resized(self, n: int) -> Hinge:
        return dataclasses.replace(self, hinges=n)

    def evaluate_maps(
        self, x: Float[Tensor, "batch features *size"], grid: Float[Tensor, "features points"]
    ) -> list[Tensor]:
        low, *hinges, high = as_maps(grid, x)
        slope = 2 / (high - low)
        scaled = x * slope
        return [torch.relu(scaled - t * slope) for t in hinges]

    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        slope = (2 / (grid[:, -1:] - grid[:, :1])).expand(-1, self.hinges)
        ahead = x[..., None] - grid[:, 1:-1]
        if order == 0:
            return torch.relu(ahead) * slope
        zero = ahead - ahead
        return zero + slope * (ahead > 0) if order == 1 else zero
