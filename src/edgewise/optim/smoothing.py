r"""Smoothing whose strength the data decide: a P-spline prior per edge with the evidence of MacKay.

Every curve has the prior $\frac{\lambda_e}{2}\,c^T R\,c$ with the roughness
$c^T R\,c = \operatorname{mean}(\phi''^2)$ over its grid (in units of the grid). With $H$ the matrix of the normal
equations without damping, $N$ samples and loss $L$,

$$ \gamma_e = \operatorname{rank} R - \lambda_e \operatorname{tr}(H^{-1} R_e), \qquad
   \lambda_e \leftarrow \frac{2\,\gamma_e\,L}{(N - \gamma)\;c_e^T R\,c_e} $$

for the squared loss, whose noise is unknown ($\gamma$ is the number of effective parameters); where the loss is a log
likelihood, $2L/(N-\gamma)$ is $1/N$. Without noise $L$ vanishes and the smoothing with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.bases import Basis
from edgewise.optim.network import Network, Numbers


@dataclass(frozen=True)
class Smoothing:
    """The prior of S networks: one strength per curve, and where its entries stand in the Gram matrix.

    Attributes:
        strengths: per layer of edges, lambda of every free curve, (S, edges).
        entries: per layer, the flat positions in the (P, P) matrix, (edges, rows of the basis squared).
        numbers: per layer, the positions of the coefficients in theta, (edges, rows of the basis).
    """

    network: Network
    strengths: tuple[Float[Tensor, "S _edges"], ...]
    entries: tuple[Int[Tensor, "_edges _kk"], ...]
    numbers: tuple[Int[Tensor, "_edges _k"], ...]

    @classmethod
    def weak(cls, network: Network, starts: int, samples: float) -> Smoothing:
        """A prior worth one sample."""
        places = _places(network)
        p = network.parameters
        strengths = []
        for edges, at in zip(network.edges, places, strict=True):
            scale = float(roughness(edges.basis).diagonal().mean())
            strengths.append(torch.full((starts, len(at)), 1 / (samples * max(scale, 1e-12)), dtype=torch.float64))
        entries = tuple((at[:, :, None] * p + at[:, None, :]).flatten(1) for at in places)
        return cls(network, tuple(strengths), entries, tuple(places))

    def __getitem__(self, index: Tensor | slice) -> Smoothing:
        return Smoothing(self.network, tuple(s[index] for s in self.strengths), self.entries, self.numbers)

    def moved(self, network: Network) -> Smoothing:
        """The same strengths for the same curves on other bases."""
        p, places = network.parameters, _places(network)
        entries = tuple((at[:, :, None] * p + at[:, None, :]).flatten(1) for at in places)
        return Smoothing(network, self.strengths, entries, tuple(places))

    def add_to(self, gram: Float[Tensor, "S P P"]) -> None:
        """Add the prior's matrix, in place."""
        flat = gram.view(len(gram), -1)
        for edges, strength, entry in zip(self.network.edges, self.strengths, self.entries, strict=True):
            r = roughness(edges.basis).flatten()
            flat.index_add_(1, entry.flatten(), (strength[:, :, None] * r).flatten(1))

    def times(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, "S P"]:
        r"""$\Lambda\theta$."""
        product = torch.zeros_like(theta)
        for edges, strength, at in zip(self.network.edges, self.strengths, self.numbers, strict=True):
            rows = strength[:, :, None] * (theta[:, at] @ roughness(edges.basis))
            product[:, at.flatten()] = rows.flatten(1)
        return product

    def value(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        r"""$\frac12\theta^T\Lambda\theta$."""
        return (theta * self.times(theta)).sum(-1) / 2

    def updated(
        self, numbers: Numbers, gram: Float[Tensor, "S P P"], losses: Tensor, samples: float, known_noise: bool
    ) -> Smoothing:
        """The strengths of greatest evidence, one fixed-point step; `gram` without the prior."""
        theta, hessian = numbers.theta, gram.clone()
        self.add_to(hessian)
        diagonal = hessian.diagonal(dim1=1, dim2=2)
        diagonal += 1e-12 * diagonal.amax(-1, keepdim=True)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        if bool(failed.any()):
            return self
        inverse = torch.cholesky_inverse(factor).flatten(1)
        gammas, roughs, spent = [], [], torch.zeros_like(losses)
        for edges, strength, entry, at in zip(
            self.network.edges, self.strengths, self.entries, self.numbers, strict=True
        ):
            r = roughness(edges.basis)
            rank = edges.basis.size - 2
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
        return Smoothing(self.network, strengths, self.entries, self.numbers)


@lru_cache(maxsize=64)
def roughness(basis: Basis) -> Float[Tensor, "k k"]:
    r"""$R_{kl} = \operatorname{mean}(B_k'' B_l'')$ over the grid stretched to [0, 1]."""
    grid = basis.init_grid(1, 0.0, 1.0, dtype=torch.float64)
    count = 20 * basis.size
    points = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) / count
    second = basis.derivative(points, grid, 2)[:, 0].nan_to_num(0.0)
    return second.T @ second / count


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
