r"""Smoothing whose strength the data decide: a P-spline prior per edge with the evidence of MacKay.

Every curve has the prior $\frac{\lambda_e}{2}\,c^T R\,c$ with the roughness
$c^T R\,c = \operatorname{mean}\bigl((\phi^{(m)})^2\bigr)$ over its grid (in units of the grid); m is 2, or 4 where
there is no noise: what the samples leave open is then a cubic. With $H$ the matrix of the normal equations without
damping, $N$ samples and loss $L$,

$$ \gamma_e = \operatorname{rank} R - \lambda_e \operatorname{tr}(H^{-1} R_e), \qquad
   \lambda_e \leftarrow \frac{2\,\gamma_e\,L}{(N - \gamma)\;c_e^T R\,c_e} $$

for the squared loss, whose noise is unknown ($\gamma$ is the number of effective parameters); where the loss is a log
likelihood, $2L/(N-\gamma)$ is $1/N$. Without noise $L$ vanishes and the smoothing with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.bases import Basis, BSpline
from edgewise.optim.flat import Network


@dataclass(frozen=True)
class Smoothing:
    """The prior of S networks: one strength per curve, and where its entries are in the Gram matrix.

    Attributes:
        strengths: per layer of edges, lambda of every free curve, (S, edges).
        entries: per layer, the flat positions in the (P, P) matrix, (edges, rows of the basis squared).
        positions: per layer, the positions of the coefficients in theta, (edges, rows of the basis).
        fixed: the strengths stay as they are, whatever the data say.
        order: of the derivative, see `order_on`.
    """

    network: Network
    strengths: tuple[Float[Tensor, "S _edges"], ...]
    entries: tuple[Int[Tensor, "_edges _kk"], ...]
    positions: tuple[Int[Tensor, "_edges _k"], ...]
    fixed: bool = False
    order: int = 2

    @classmethod
    def weak(cls, network: Network, starts: int, samples: float, order: int = 2) -> Smoothing:
        """A prior worth one sample."""
        scales = [float(roughness(edges.basis, order).diagonal().mean()) for edges in network.edges]
        return replace(cls._of(network, starts, [1 / (samples * max(scale, 1e-12)) for scale in scales]), order=order)

    @classmethod
    def constant(cls, network: Network, starts: int, strength: float) -> Smoothing:
        """The same strength for every curve, for good."""
        return replace(cls._of(network, starts, [strength] * len(network.edges)), fixed=True)

    @classmethod
    def _of(cls, network: Network, starts: int, strengths: Sequence[float]) -> Smoothing:
        places = _places(network)
        full = [torch.full((starts, len(at)), s, dtype=torch.float64) for s, at in zip(strengths, places, strict=True)]
        return cls(network, tuple(full), _entries(network, places), tuple(places))

    def __getitem__(self, index: Tensor | slice) -> Smoothing:
        return replace(self, strengths=tuple(s[index] for s in self.strengths))

    def moved(self, network: Network) -> Smoothing:
        """The same strengths for the same curves on other bases."""
        places = _places(network)
        return replace(self, network=network, entries=_entries(network, places), positions=tuple(places))

    def add_to(self, gram: Float[Tensor, "S P P"]) -> None:
        """Add the prior's matrix, in place."""
        flat = gram.view(len(gram), -1)
        for edges, strength, entry in zip(self.network.edges, self.strengths, self.entries, strict=True):
            r = roughness(edges.basis, self.order).flatten()
            flat.index_add_(1, entry.flatten(), (strength[:, :, None] * r).flatten(1))

    def times(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, "S P"]:
        r"""$\Lambda\theta$."""
        product = torch.zeros_like(theta)
        for edges, strength, at in zip(self.network.edges, self.strengths, self.positions, strict=True):
            root = _root(edges.basis, self.order)
            rows = strength[:, :, None] * (theta[:, at] @ root.T @ root)
            product[:, at.flatten()] = rows.flatten(1)
        return product

    def value(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        r"""$\frac12\theta^T\Lambda\theta$: a sum of squares, for rounding must not make it negative."""
        total = theta.new_zeros(len(theta))
        for edges, strength, at in zip(self.network.edges, self.strengths, self.positions, strict=True):
            total += (strength * (theta[:, at] @ _root(edges.basis, self.order).T).square().sum(-1)).sum(-1)
        return total / 2

    def updated(
        self,
        theta: Float[Tensor, "S P"],
        gram: Float[Tensor, "S P P"],
        losses: Tensor,
        samples: float,
        known_noise: bool,
    ) -> Smoothing:
        """The strengths of greatest evidence, one fixed-point step; `gram` without the prior."""
        if self.fixed:
            return self
        hessian = gram.clone()
        self.add_to(hessian)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        diagonal += 1e-12 * diagonal.amax(-1, keepdim=True)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if bool(failed.any()):
            return self
        inverse = torch.cholesky_inverse(factor).flatten(1)
        gammas, roughs, spent = [], [], torch.zeros_like(losses)
        for edges, strength, entry, at in zip(
            self.network.edges, self.strengths, self.entries, self.positions, strict=True
        ):
            r = roughness(edges.basis, self.order)
            rank = edges.basis.size - order_on(edges.basis, self.order)
            taken = strength * (inverse[:, entry.flatten()].unflatten(1, entry.shape) * r.flatten()).sum(-1)
            gammas.append((rank - taken).clamp(min=1e-3 * max(rank, 1), max=max(rank, 1)))
            coef = theta[:, at]
            roughs.append(((coef @ r) * coef).sum(-1))
            spent = spent + taken.sum(-1)
        free = (samples - (theta.shape[1] - spent)).clamp(min=0.05 * samples)
        unit = torch.full_like(losses, 1 / samples) if known_noise else 2 * losses / free
        strengths = tuple(
            (g * unit[:, None] / rough.clamp(min=1e-12)).clamp(max=1e6) for g, rough in zip(gammas, roughs, strict=True)
        )
        return replace(self, strengths=strengths)


@lru_cache(maxsize=64)
def roughness(basis: Basis, order: int = 2) -> Float[Tensor, "k k"]:
    r"""$R_{kl} = \operatorname{mean}(B_k^{(m)} B_l^{(m)})$ over the grid stretched to [0, 1]; m by `order_on`."""
    root = _root(basis, order)
    return root.T @ root


def order_on(basis: Basis, order: int) -> int:
    """The derivative that is penalised on this basis: the second one where splines do not have the one asked for."""
    return order if getattr(basis, "degree", 0) > order else 2


@lru_cache(maxsize=64)
def _root(basis: Basis, order: int) -> Float[Tensor, "rows k"]:
    r"""A matrix of at most k rows whose square $D^T D$ is the roughness."""
    grid = basis.init_grid(1, 0.0, 1.0, dtype=torch.float64)
    m = order_on(basis, order)
    points, weights = _quadrature(basis, grid[0], m)
    derivative = basis.derivative(points[:, None], grid, m)[:, 0].nan_to_num(0.0)
    return torch.linalg.qr(derivative * weights.sqrt()[:, None]).R


def _quadrature(basis: Basis, grid: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Points in [0, 1] and weights of the mean of squares of m-th derivatives: exact for splines, by Gauss's rule."""
    if not isinstance(basis, BSpline):
        count = 20 * basis.size
        return (torch.arange(count, dtype=torch.float64) + 0.5) / count, torch.full(
            (count,), 1 / count, dtype=torch.float64
        )
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(max(1, basis.degree - m + 1)))
    width = grid.diff()[:, None]
    return (grid[:-1, None] + width * (nodes + 1) / 2).flatten(), (width * weights / 2).flatten()


def _entries(network: Network, places: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Per layer, where the blocks of the curves are in the flat Gram matrix."""
    p = network.parameters
    return tuple((at[:, :, None] * p + at[:, None, :]).flatten(1) for at in places)


def _places(network: Network) -> list[Tensor]:
    """Per layer, the positions in theta of the basis coefficients of every free curve: (edges, size)."""
    places, start = [], 0
    for edges in network.edges:
        fan_in, fan_out = edges.mask.shape
        full = torch.arange(fan_in * edges.rows * fan_out).reshape(fan_in, edges.rows, fan_out)
        if edges.curves is not None:
            position = torch.full((full.numel(),), -1)
            position[edges.curves] = torch.arange(len(edges.curves))
            full = position[full]
        rows = full[:, : edges.basis.size].transpose(1, 2)[edges.mask]
        places.append(start + rows)
        start += sum(edges.sizes)
    return places
