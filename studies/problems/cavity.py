r"""The lid-driven cavity: the problem in velocities and pressure, and a reference by its stream function.

$$ (u \cdot \nabla) u + \nabla p = \frac{1}{\mathrm{Re}} \Delta u, \qquad \nabla \cdot u = 0 $$

with no slip, and the lid of JAX-PI (Wang, Sankaran, Wang & Perdikaris, arXiv 2308.08468),
$u = 1 - \cosh(50 (x - 1/2)) / \cosh 25$ at y = 1. It has no jump at the corners, but a slope of 50, which the walls do
not have: derivatives of the velocity jump there. The reference solves
$\psi_y \Delta\psi_x - \psi_x \Delta\psi_y = \Delta^2 \psi / \mathrm{Re}$ with $u = \psi_y$, $v = -\psi_x$ on a
Chebyshev grid, by Newton's method from the flow of a smaller Reynolds number (Trefethen, Spectral Methods in MATLAB,
2000). Its distance to one with fewer points says how far to trust it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from edgewise.pde import Box, Problem, dirichlet, observe


def cavity(reynolds: float) -> Problem:
    """The flow in the unit square; the pressure is 0 in its middle."""

    def equation(u, v, p):
        return (
            u * u.dx + v * u.dy + p.dx - u.laplacian / reynolds,
            u * v.dx + v * v.dy + p.dy - v.laplacian / reynolds,
            u.dx + v.dy,
        )

    walls = [dirichlet(0.0, wall, field="u") for wall in ("x-", "x+", "y-")]
    lid = dirichlet(lambda x: 1 - torch.cosh(50 * (x - 0.5)) / math.cosh(25), "y+", field="u")
    gauge = observe([[0.5, 0.5]], [0.0], field="p")
    square = Box(x=(0, 1), y=(0, 1))
    return Problem(square, equation, [*walls, lid, dirichlet(0.0, field="v"), gauge], fields=("u", "v", "p"))


@dataclass(frozen=True)
class Cavity:
    """The velocity of a reference, (n, 2) at points (n, 2).

    Args:
        reynolds: the number of Reynolds.
        points: along every axis, less one.
    """

    reynolds: float
    points: int = 40

    def __call__(self, x: Tensor) -> Tensor:
        return torch.stack([self._at(x, self.table @ self.slopes.T), -self._at(x, self.slopes @ self.table)], -1)

    def stream(self, x: Tensor) -> Tensor:
        """The stream function at points."""
        return self._at(x, self.table)

    def _at(self, x: Tensor, table: np.ndarray) -> Tensor:
        X, Y = (torch.from_numpy(self._interpolation(c.numpy())) for c in x.T)
        return torch.einsum("na,ab,nb->n", X, torch.from_numpy(table), Y)

    @cached_property
    def nodes(self) -> np.ndarray:
        """The Chebyshev points of [0, 1], increasing."""
        return (1 - np.cos(np.pi * np.arange(self.points + 1) / self.points)) / 2

    @cached_property
    def slopes(self) -> np.ndarray:
        """The matrix that differentiates a polynomial of given values at the nodes."""
        x, n = self.nodes, self.points
        c = np.r_[2.0, np.ones(n - 1), 2.0] * (-1) ** np.arange(n + 1)
        D = np.outer(c, 1 / c) / (x[:, None] - x + np.eye(n + 1))
        return D - np.diag(D.sum(1))

    @cached_property
    def table(self) -> np.ndarray:
        """The values at the nodes, (x, y)."""
        n, D, one = self.points + 1, self.slopes, np.eye(self.points + 1)
        Dx, Dy = np.kron(D, one), np.kron(one, D)
        laplacian = Dx @ Dx + Dy @ Dy
        Lx, Ly, viscous = Dx @ laplacian, Dy @ laplacian, laplacian @ laplacian
        at = np.arange(n * n).reshape(n, n)
        inner, last = slice(1, -1), n - 1
        rows = [at[0], at[last], at[inner, 0], at[inner, last]]
        # The slopes take the places of the equations next to the walls.
        slopes = [(at[1, inner], Dx[at[0, inner]]), (at[last - 1, inner], Dx[at[last, inner]])]
        slopes += [(at[2:-2, 1], Dy[at[2:-2, 0]]), (at[2:-2, last - 1], Dy[at[2:-2, last]])]
        lid = 1 - np.cosh(50 * (self.nodes[2:-2] - 0.5)) / math.cosh(25)
        s = np.zeros(n * n)
        for reynolds in [r for r in (100.0, 400.0) if r < self.reynolds] + [self.reynolds]:
            for _ in range(12):
                u, v = Dy @ s, Dx @ s
                r = u * (Lx @ s) - v * (Ly @ s) - viscous @ s / reynolds
                J = u[:, None] * Lx + (Lx @ s)[:, None] * Dy - v[:, None] * Ly - (Ly @ s)[:, None] * Dx
                J -= viscous / reynolds
                for places in rows:
                    J[places], r[places] = np.eye(n * n)[places], s[places]
                for places, slope in slopes:
                    J[places], r[places] = slope, slope @ s
                r[at[2:-2, last - 1]] -= lid
                step = np.linalg.solve(J, r)
                s = s - step
                if abs(step).max() < 1e-11:
                    break
        return s.reshape(n, n)

    @cached_property
    def trust(self) -> float:
        """The relative distance to a reference with four fifths of the points."""
        coarse = Cavity(self.reynolds, self.points * 4 // 5)
        axis = torch.linspace(0, 1, 41, dtype=torch.float64)
        x = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
        return float((self(x) - coarse(x)).norm() / self(x).norm())

    def _interpolation(self, x: np.ndarray) -> np.ndarray:
        """The barycentric weights of the nodes at some coordinates, (n, nodes)."""
        w = (-1.0) ** np.arange(self.points + 1)
        w[[0, -1]] /= 2
        apart = x[:, None] - self.nodes
        on = np.abs(apart) < 1e-14
        share = w / np.where(on, 1.0, apart)
        share = np.where(np.any(on, axis=1, keepdims=True), on, share)
        return share / share.sum(1, keepdims=True)
