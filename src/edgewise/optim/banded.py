r"""Normal equations whose matrix is a band, with a border of a few dense columns, solved exactly.

$$ \begin{pmatrix} G & B \\ B^T & C \end{pmatrix} \begin{pmatrix} x \\ y \end{pmatrix}
   = -\begin{pmatrix} g \\ s \end{pmatrix},
   \qquad (C - B^T G^{-1} B)\, y = B^T G^{-1} g - s, \quad x = -G^{-1} (g + B y) $$

with a Cholesky factor of G, which costs its size times the square of its band (Golub & Van Loan, Matrix Computations,
sections 4.3 and 4.5). G is scaled to a unit diagonal; directions without data get no step.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from scipy.linalg import LinAlgError, cho_solve_banded, cholesky_banded
from torch import Tensor

RIDGES = (1e-15, 1e-13, 1e-11, 1e-9, 1e-6)  # of the scaled matrix, until it has a Cholesky factor
OUTSIDE = -1  # the place of a parameter that is not changed


class BandedEquations:
    r"""Banded $J^T J$ with a border for the unknowns, and the gradient."""

    def __init__(self, count: int, unknowns: int) -> None:
        self.count, self.loss, self.width = count, 0.0, 0
        self.entries: list[tuple[Tensor, Tensor, Tensor]] = []
        self.gradient = torch.zeros(count + 1, dtype=torch.float64)
        self.border = torch.zeros(count + 1, unknowns, dtype=torch.float64)
        self.corner = torch.zeros(unknowns, unknowns, dtype=torch.float64)
        self.slope = torch.zeros(unknowns, dtype=torch.float64)
        self.band = torch.zeros(0, count + 1, dtype=torch.float64)

    def add(self, places: Int[Tensor, "cells local"], r: Tensor, J: Tensor, U: Tensor) -> None:
        """Add the rows of a block: residuals (cells, rows), rows (cells, rows, local), unknowns (cells, rows, n)."""
        places, order = torch.where(places == OUTSIDE, self.count, places).sort(dim=1)
        J = J.gather(2, order[:, None, :].expand_as(J))
        self.loss += float(r.square().sum())
        self.gradient.index_add_(0, places.flatten(), torch.einsum("crl,cr->cl", J, r).flatten())
        if U.shape[-1]:
            self.border.index_add_(0, places.flatten(), torch.einsum("crl,cru->clu", J, U).flatten(0, 1))
            self.corner += torch.einsum("cru,crv->uv", U, U)
            self.slope += torch.einsum("cru,cr->u", U, r)
        low, high = torch.tril_indices(places.shape[1], places.shape[1])
        a, b = places[:, low], places[:, high]
        distance = torch.where(a < self.count, a - b, 0)
        self._widen(int(distance.max()) + 1)
        gram = (J.transpose(1, 2) @ J)[:, low, high]
        # What is outside lands in a last column that is thrown away.
        at = torch.where(a < self.count, distance * (self.count + 1) + b, self.count)
        self.band.view(-1).index_add_(0, at.flatten(), gram.flatten())

    def _widen(self, width: int) -> None:
        if width > len(self.band):
            grown = torch.zeros(width, self.count + 1, dtype=torch.float64)
            grown[: len(self.band)] = self.band
            self.band = grown

    def _factored(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor of the matrix scaled to a unit diagonal, and the scales."""
        band = self.band[:, :-1].numpy()
        diagonal = band[0]
        scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scaled = band * scale
        for m in range(len(scaled)):
            scaled[m, : self.count - m] *= scale[m:]
        scaled[0] = np.where(diagonal > 0, scaled[0], 1.0)
        for ridge in RIDGES:
            trial = scaled.copy()
            trial[0] += ridge
            try:
                return cholesky_banded(trial, lower=True, overwrite_ab=True, check_finite=False), scale
            except LinAlgError:
                continue
        raise LinAlgError("the normal equations of the surface are singular")

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        """The Gauss-Newton step of the coefficients and of the unknowns."""
        factor, scale = self._factored()

        def solve(right: np.ndarray) -> np.ndarray:
            each = scale if right.ndim == 1 else scale[:, None]
            return each * cho_solve_banded((factor, True), right * each, check_finite=False)

        step = -solve(self.gradient.numpy()[: self.count])
        if not len(self.slope):
            return step, np.zeros(0)
        B = self.border.numpy()[: self.count]
        X = solve(B)
        S = self.corner.numpy() - B.T @ X
        moved = -np.linalg.pinv(S, hermitian=True) @ (self.slope.numpy() + B.T @ step)
        return step - X @ moved, moved

    def expected(self, x: np.ndarray, y: np.ndarray) -> float:
        """The sum of squares after a step, if the residuals were linear."""
        gain = self.gradient.numpy()[: self.count] @ x + self.slope.numpy() @ y
        return max(0.0, self.loss + float(gain))

    def schur(self) -> np.ndarray:
        """The matrix of the unknowns with the coefficients eliminated."""
        factor, scale = self._factored()
        B = self.border.numpy()[: self.count]
        X = scale[:, None] * cho_solve_banded((factor, True), B * scale[:, None], check_finite=False)
        return self.corner.numpy() - B.T @ X
