r"""Least squares in parameters of columns whose factors are eliminated: $\min_\theta \min_c |y - A(\theta) c|^2$.

With the residual $r = P y$, P the projection onto what no column reaches, Kaufman's slopes
$\partial_k r = -P\,(\partial_k A)\,c$ (BIT 15, 1975) leave out the part that lies in the columns: it changes no step by
much, and nothing is differentiated through a factorisation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.optim import NormalEquations


class VariableProjection:
    """The mean square of what columns leave, as a problem for Levenberg-Marquardt.

    Args:
        columns: parameters (P) -> columns (rows, factors).
        slopes: parameters and factors c -> the derivatives of $A c$ by every parameter, (P, rows); what is in the
            columns, such as that of their norm, may be left out.
        y: the target.
    """

    def __init__(
        self,
        columns: Callable[[Tensor], Float[Tensor, "rows factors"]],
        slopes: Callable[[Tensor, Tensor], Float[Tensor, "P rows"]],
        y: Float[Tensor, " rows"],
    ) -> None:
        self.columns, self.slopes, self.y = columns, slopes, y

    def losses(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        """The mean square at every point."""
        with torch.no_grad():
            return torch.stack([self._projected(self.columns(t))[0].square().mean() for t in theta])

    def normal_equations(self, theta: Float[Tensor, "S P"]) -> NormalEquations:
        r"""$2 J^T J / n$, $2 J^T r / n$ and the mean square at every point."""
        with torch.no_grad():
            return NormalEquations.stacked(self._equations(t) for t in theta)

    def _equations(self, theta: Float[Tensor, " P"]) -> tuple[Tensor, Tensor, Tensor]:
        r, c, q = self._projected(self.columns(theta))
        slopes = self.slopes(theta, c)
        J = (slopes @ q) @ q.T - slopes
        n = len(r)
        return J @ J.T * (2 / n), J @ r * (2 / n), r.square().mean()

    def _projected(self, A: Float[Tensor, "rows factors"]) -> tuple[Tensor, Tensor, Tensor]:
        """The residual, the factors and an orthonormal basis of the columns; not a number where a column is not."""
        if not torch.isfinite(A).all():
            return torch.full_like(self.y, torch.nan), A[0], A
        q, R = torch.linalg.qr(A)
        inside = q.T @ self.y
        return self.y - q @ inside, torch.linalg.pinv(R) @ inside, q
