r"""The likelihood of a boundary: classes that say whether $t < g(x)$, with $g = \sum_k c_k T_k(x)$.

A class is wrong with probability $\varepsilon$ wherever it is, and near the boundary more often,

$$ p(t < g) = \varepsilon + (1 - 2\varepsilon)\,\sigma(\kappa\,(g(x) - t)). $$

Which terms is a question of least squares: around the best boundary so far the likelihood is quadratic in the numbers,
so that every set of a few terms is compared by one small linear system.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.discovery.separable import chebyshev

WRONG = 0.01
"""The probability of a wrong class far from the boundary."""

SHORTLIST = 100
"""So many sets of terms of every size are returned."""

ROWS = 6000
"""Rows that a boundary is sought with."""


@dataclass(frozen=True)
class Samples:
    """x, t and the class, in units in which t spreads by one."""

    x: Float[Tensor, "samples variables"]
    t: Float[Tensor, " samples"]
    below: Float[Tensor, " samples"]
    group: Int[Tensor, " samples"]

    def rows(self, chosen: Tensor) -> Samples:
        """Some of them."""
        return Samples(self.x[chosen], self.t[chosen], self.below[chosen], self.group[chosen])


def near_rows(s: Samples, seed: int) -> Int[Tensor, " rows"]:
    """Rows near a polynomial threshold: on which side the others are, nearly every law agrees."""
    order = torch.randperm(len(s.t), generator=torch.Generator().manual_seed(seed))
    _, columns, w = polynomial(s.rows(order[:ROWS]))
    z = logits(columns(s.x[order]), s.t[order], w)
    return order[(z.abs() < 8).nonzero()[:ROWS, 0]]


def polynomial(s: Samples, size: int = 6) -> tuple[Tensor, Callable[[Tensor], Tensor], Tensor]:
    """A polynomial threshold, where the search begins: its logits, its terms and their numbers."""
    low, high = s.x.amin(0), s.x.amax(0)
    powers = [p for p in itertools.product(range(size), repeat=s.x.shape[1]) if sum(p) < size]

    def columns(x: Tensor) -> Tensor:
        basis = chebyshev(x, low, high, size)
        return torch.stack([reduce(torch.mul, (basis[:, j, k] for j, k in enumerate(p))) for p in powers], -1)

    here = columns(s.x)
    _, w = fit_boundary(here, s)
    return logits(here, s.t, w), columns, w


def logits(T: Tensor, t: Tensor, w: Tensor) -> Tensor:
    r"""$\kappa\,(g(x) - t)$; the last number is kappa, the others are those of the terms times it."""
    return T @ w[:-1] - w[-1] * t


def _weights(z: Tensor, below: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The negative log likelihood, its gradient by the logit, and the curvature that is expected of it."""
    q = torch.sigmoid(z)
    p = WRONG + (1 - 2 * WRONG) * q
    slope = (1 - 2 * WRONG) * q * (1 - q)
    nll = -(below * p.log() + (1 - below) * (1 - p).log()).sum()
    return nll, (p - below) * slope / (p * (1 - p)), slope.square() / (p * (1 - p))


def fit_boundary(T: Float[Tensor, "samples terms"], s: Samples, start: Tensor | None = None) -> tuple[float, Tensor]:
    """Fisher scoring: the negative log likelihood, and the numbers of the terms and kappa."""
    A = torch.cat([T, -s.t[:, None]], 1)
    size = A.square().mean(0).sqrt().clamp_min(1e-300)
    A = A / size
    w = torch.linalg.lstsq(A, 4 * s.below - 2).solution if start is None else start * size
    nll, slope, curvature = _weights(A @ w, s.below)
    for _ in range(60):
        H = (A * curvature[:, None]).T @ A
        H.diagonal().add_(1e-6 * len(A) / 100)
        step = torch.linalg.solve(H, A.T @ slope)
        scale = 1.0
        while scale > 1e-3:
            trial = w - scale * step
            new = _weights(A @ trial, s.below)
            if new[0] < nll:
                break
            scale /= 2
        else:
            break
        done = nll - new[0] < 1e-6 * nll
        w, (nll, slope, curvature) = trial, new
        if done:
            break
    return nll.item(), w / size


def shortlist(T: Tensor, s: Samples, z: Tensor, most: int) -> list[tuple[int, ...]]:
    """The sets of terms with the least quadratic model of the likelihood around the logits z."""
    _, slope, curvature = _weights(z, s.below)
    curvature = curvature + 1e-3 * curvature.mean()
    target = (z - slope / curvature) * curvature.sqrt()
    A = torch.cat([T, -s.t[:, None]], 1) * curvature.sqrt()[:, None]
    A = A / A.norm(dim=0).clamp_min(1e-300)
    gram, b = A.T @ A, A.T @ target
    last = A.shape[1] - 1
    found: list[tuple[int, ...]] = []
    for size in range(1, most + 1):
        sets = torch.combinations(torch.arange(last), size)
        gains = torch.cat([_gain(gram, b, part, last) for part in sets.split(50_000)])
        top = gains.topk(min(SHORTLIST, len(gains))).indices
        found += [tuple(k) for k in sets[top].tolist()]
    return found


def _gain(gram: Tensor, b: Tensor, sets: Int[Tensor, "sets terms"], last: int) -> Float[Tensor, " sets"]:
    """What a set of columns, and the last one, explain."""
    sets = torch.cat([sets, torch.full((len(sets), 1), last)], 1)
    G = gram[sets[:, :, None], sets[:, None, :]] + 1e-9 * torch.eye(sets.shape[1], dtype=torch.float64)
    h = b[sets]
    return (h * torch.linalg.solve(G, h)).sum(-1)
