r"""Normal equations whose matrix is a band, with a border of a few dense columns, solved exactly.

$$ \begin{pmatrix} G & B \\ B^T & C \end{pmatrix} \begin{pmatrix} x \\ y \end{pmatrix}
   = -\begin{pmatrix} g \\ s \end{pmatrix},
   \qquad (C - B^T G^{-1} B)\, y = B^T G^{-1} g - s, \quad x = -G^{-1} (g + B y) $$

with a Cholesky factor of G, which costs its size times the square of its band (Golub & Van Loan, Matrix Computations,
sections 4.3 and 4.5). G is scaled to a unit diagonal; directions without data get no step. The factor is kept until
rows are added; with damping $\mu$ the diagonal of G is multiplied by $1 + \mu$ (Levenberg 1944, Marquardt 1963).
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
        self.count, self.loss = count, 0.0
        self.gradient = torch.zeros(count, dtype=torch.float64)
        self.border = torch.zeros(count, unknowns, dtype=torch.float64)
        self.corner = torch.zeros(unknowns, unknowns, dtype=torch.float64)
        self.slope = torch.zeros(unknowns, dtype=torch.float64)
        self.halves = torch.zeros(1, count, dtype=torch.float64)
        self.kept: dict[float, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, places: Int[Tensor, "cells local"], r: Tensor, J: Tensor, U: Tensor) -> None:
        """Add the rows of a block: residuals (cells, rows), rows (cells, rows, local), unknowns (cells, rows, n)."""
        self.kept.clear()
        outside = places == OUTSIDE
        if bool(outside.any()):
            # At the place of another parameter of its cell a column of zeros adds nothing.
            J = J.masked_fill(outside[:, None, :], 0.0)
            places = torch.where(outside, places.amax(1, keepdim=True).clamp(min=0), places)
        self.loss += float(r.square().sum())
        self.gradient.index_add_(0, places.flatten(), (r[:, None, :] @ J).flatten())
        if U.shape[-1]:
            self.border.index_add_(0, places.flatten(), (J.transpose(1, 2) @ U).flatten(0, 1))
            self.corner += torch.einsum("cru,crv->uv", U, U)
            self.slope += torch.einsum("cru,cr->u", U, r)
        self._widen(int((places.amax(1) - places.amin(1)).max()) + 1)
        # The entry of places a and b goes to row a - b of both halves, column b: faster than to choose half of them.
        row_of = (places + len(self.halves) // 2) * self.count
        at = row_of[:, :, None] - places[:, None, :] * (self.count - 1)
        self.halves.view(-1).index_add_(0, at.flatten(), (J.transpose(1, 2) @ J).flatten())

    @property
    def band(self) -> Tensor:
        """The lower half, (width, places): row m has the entries m below the diagonal."""
        return self.halves[len(self.halves) // 2 :]

    def _widen(self, width: int) -> None:
        if width > len(self.halves) // 2 + 1:
            grown = torch.zeros(2 * width - 1, self.count, dtype=torch.float64)
            grown[width - 1 - len(self.halves) // 2 : width + len(self.halves) // 2] = self.halves
            self.halves = grown

    def _factored(self, damping: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """The factor of the matrix scaled to a unit diagonal, and the scales; the last one is kept."""
        if damping not in self.kept:
            self.kept = {damping: self._factor(damping)}
        return self.kept[damping]

    def _factor(self, damping: float) -> tuple[np.ndarray, np.ndarray]:
        band = self.band.numpy()
        diagonal = band[0]
        scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scaled = band * scale
        for m in range(len(scaled)):
            scaled[m, : self.count - m] *= scale[m:]
        scaled[0] = np.where(diagonal > 0, scaled[0], 1.0) + damping
        for ridge in RIDGES:
            trial = scaled.copy()
            trial[0] += ridge
            try:
                return cholesky_banded(trial, lower=True, overwrite_ab=True, check_finite=False), scale
            except LinAlgError:
                continue
        raise LinAlgError("the normal equations of the surface are singular")

    def solved(self, right: np.ndarray, damping: float = 0.0) -> np.ndarray:
        """The solution of the banded part alone, G x = right, for one or several right sides (places, sides)."""
        factor, scale = self._factored(damping)
        each = scale if right.ndim == 1 else scale[:, None]
        return each * cho_solve_banded((factor, True), right * each, check_finite=False)

    def solution(self, damping: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """The Gauss-Newton step of the coefficients and of the unknowns."""
        step = -self.solved(self.gradient.numpy(), damping)
        if not len(self.slope):
            return step, np.zeros(0)
        B, C = self.border.numpy(), self.corner.numpy()
        X = self.solved(B, damping)
        S = C + damping * np.diag(np.diag(C)) - B.T @ X
        moved = -np.linalg.pinv(S, hermitian=True) @ (self.slope.numpy() + B.T @ step)
        return step - X @ moved, moved

    def gain(self, x: np.ndarray, y: np.ndarray, size: float = 1.0) -> float:
        """The decrease of the sum of squares by a step times its size, if the residuals were linear; at least that."""
        slope = self.gradient.numpy() @ x + self.slope.numpy() @ y
        return -(2 * size - size**2) * float(slope)

    def schur(self) -> np.ndarray:
        """The matrix of the unknowns with the coefficients eliminated."""
        B = self.border.numpy()
        return self.corner.numpy() - B.T @ self.solved(B)
