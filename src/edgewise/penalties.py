r"""Penalties to add to a loss: callables of a model and its trace that return a scalar.

`Sparsity` and `Entropy` are the two terms of the KAN paper (Liu et al., arXiv 2404.19756, eq. 2.17-2.20), `Smoothness`
is the penalty of P-splines (Eilers and Marx, Statistical Science 11, 1996).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn import KANLinear
from edgewise.tracing import LayerTrace, Trace


@dataclass(frozen=True)
class Penalty(ABC):
    """A sum over the traced layers, times `strength`; call it with a model and its trace."""

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise ValueError(f"{type(self).__name__}: strength must be at least 0 and finite, got {self.strength}")

    def __call__(self, model: nn.Module, trace: Trace) -> Tensor:
        return self.strength * torch.stack([self.of_layer(part) for part in trace.values()]).sum()

    @abstractmethod
    def of_layer(self, part: LayerTrace) -> Tensor:
        """The penalty of one layer, a scalar."""


@dataclass(frozen=True)
class Sparsity(Penalty):
    r"""The magnitude of the edges, $\sum_{ij} |\phi_{ij}|_1$ with $|\phi|_1 = \frac1N \sum_s |\phi(x^{(s)})|$."""

    def of_layer(self, part: LayerTrace) -> Tensor:
        return _magnitudes(part).sum()


@dataclass(frozen=True)
class Entropy(Penalty):
    r"""$-\sum_{ij} p_{ij} \log p_{ij}$ with $p_{ij} = |\phi_{ij}|_1 / \sum_{ij} |\phi_{ij}|_1$: favours few edges.

    An edge that is exactly zero adds nothing and has gradient zero.
    """

    def of_layer(self, part: LayerTrace) -> Tensor:
        magnitudes = _magnitudes(part)
        total = magnitudes.sum()
        p = magnitudes / torch.where(total > 0, total, 1)
        return -(p * torch.where(p > 0, p, 1).log()).sum()


@dataclass(frozen=True)
class Smoothness(Penalty):
    r"""The squared kinks of the coefficient polygons of B-splines, $\sum_{ij} \sum_k (s_{k+1} - s_k)^2$.

    $s_k = (c_{k+1} - c_k) / (\xi_{k+1} - \xi_k)$ are the slopes between the Greville abscissae $\xi$; on even knots
    this is the second difference of P-splines. A straight line costs nothing on any grid.
    """

    def of_layer(self, part: LayerTrace) -> Tensor:
        layer = part.layer
        slopes = _curve_coefficients(part.name, layer).diff(dim=1) / _abscissae(layer).diff(dim=1)[..., None]
        return slopes.diff(dim=1).square().sum()


def _magnitudes(part: LayerTrace) -> Float[Tensor, "in out"]:
    if len(part.inputs) == 0:
        raise ValueError(f"layer {part.name!r} has no samples; the magnitude of its edges is undefined")
    return part.edges().abs().mean(0)


def _curve_coefficients(name: str, layer: KANLinear) -> Float[Tensor, "in size out"]:
    if not isinstance(layer.basis, BSpline):
        raise ValueError(
            f"layer {name!r}: Smoothness is defined for B-splines, whose coefficients follow the curve; "
            f"the layer has {layer.basis}"
        )
    return layer.curves()[:, : layer.basis.size]


def _abscissae(layer: KANLinear) -> Float[Tensor, "in size"]:
    assert isinstance(layer.basis, BSpline)
    return layer.basis.greville(layer.grid)
