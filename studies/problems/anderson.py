r"""Anderson localisation in one dimension: eigenstates of quasi-periodic chains, extended or localised.

Three models of the KAN paper (arXiv 2404.19756, section 4.4), each with an exactly known mobility edge, the energy that
parts the extended states from the localised ones. With b the inverse of the golden ratio and
$c_n = \cos(2\pi b n + \varphi)$:

- generalised Aubry-Andre (GAAM; Ganeshan, Pixley, Das Sarma 2015): $2\lambda c_n / (1 - \alpha c_n)$ on every site,
  hopping 1 between neighbours, edge $\alpha E = 2(1 - \lambda)$;
- mosaic (Wang et al. 2020): $2\lambda c_n$ on every second site only, the same hopping, edge $|E| = 1 / \lambda$;
- modified Aubry-Andre (MAAM; Biddle, Das Sarma 2010): hopping $e^{p}e^{-p|n - m|}$ between all sites and
  $\lambda c_n$ on each, edge $\lambda\cosh p = E + e^p$.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.linalg import eigh, toeplitz

Array = np.ndarray

INVERSE_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Chain:
    """A model of the chain.

    Attributes:
        name: of the model.
        parameters: names and ranges of its parameters.
        matrix: the Hamiltonian from the number of sites, the parameters and the phase.
        edge: the mobility edge by theory, from the parameters.
        energy: what the edge is compared with: the energy or its absolute value.
        extended_below: whether states below the edge are the extended ones.
    """

    name: str
    parameters: dict[str, tuple[float, float]]
    matrix: Callable[..., Array]
    edge: Callable[..., Array]
    energy: Callable[[Array], Array]
    extended_below: bool = True


@dataclass(frozen=True)
class States:
    r"""Eigenstates of chains with random parameters, a row each.

    Attributes:
        parameters: of the chain that the state belongs to.
        energy: as the mobility edge takes it.
        dimension: the fractal dimension $-\log\sum|\psi|^4 / \log L$, one for extended and zero for localised.
        chain: the number of the chain.
    """

    parameters: Float[Array, "states parameters"]
    energy: Float[Array, " states"]
    dimension: Float[Array, " states"]
    chain: Int[Array, " states"]

    @property
    def extended(self) -> Array:
        """True for the states whose fractal dimension is more than a half."""
        return self.dimension > 0.5


def _cosines(sites: int, phase: float) -> Array:
    return np.cos(2 * math.pi * INVERSE_GOLDEN * np.arange(sites) + phase)


def _neighbours(potential: Array) -> Array:
    ones = np.ones(len(potential) - 1)
    return np.diag(potential) + np.diag(ones, 1) + np.diag(ones, -1)


def _gaam(sites: int, phase: float, lam: float, alpha: float) -> Array:
    c = _cosines(sites, phase)
    return _neighbours(2 * lam * c / (1 - alpha * c))


def _mosaic(sites: int, phase: float, lam: float) -> Array:
    return _neighbours(2 * lam * _cosines(sites, phase) * (np.arange(sites) % 2 == 0))


def _maam(sites: int, phase: float, lam: float, p: float) -> Array:
    hopping = np.exp(p * (1 - np.arange(sites)))
    hopping[0] = 0
    return toeplitz(hopping) + np.diag(lam * _cosines(sites, phase))


CHAINS = {
    "GAAM": Chain(
        "GAAM",
        {"lam": (0.3, 1.7), "alpha": (0.2, 0.9)},
        _gaam,
        lambda lam, alpha: 2 * (1 - lam) / alpha,
        lambda energy: energy,
    ),
    "mosaic": Chain("mosaic", {"lam": (0.4, 2.5)}, _mosaic, lambda lam: 1 / lam, np.abs),
    "MAAM": Chain(
        "MAAM",
        {"lam": (0.5, 3.0), "p": (0.8, 2.5)},
        _maam,
        lambda lam, p: lam * np.cosh(p) - np.exp(p),
        lambda energy: energy,
        extended_below=False,
    ),
}
"""The models by name."""


def eigenstates(chain: Chain, chains: int, generator: torch.Generator, *, sites: int = 610) -> States:
    """All states of so many chains with parameters and phases drawn at random."""
    parts: list[tuple[Array, Array, Array, Array]] = []
    low, high = np.array(list(chain.parameters.values())).T
    for n in range(chains):
        draw = torch.rand(len(low) + 1, generator=generator, dtype=torch.float64).numpy()
        values = low + (high - low) * draw[:-1]
        energies, vectors = eigh(chain.matrix(sites, 2 * math.pi * draw[-1], *values))
        dimension = -np.log((vectors**4).sum(0)) / math.log(sites)
        parts.append((np.tile(values, (sites, 1)), chain.energy(energies), dimension, np.full(sites, n)))
    return States(*(np.concatenate(column) for column in zip(*parts, strict=True)))
