r"""Any residual function of few parameters as a least-squares problem, $L(\theta) = \frac1n \sum_b r_b(\theta)^2$."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp, vmap

from edgewise.optim.least_squares import NormalEquations


class ResidualLeastSquares:
    """The mean square of a residual, whose Jacobian is found in forward mode: one pass per parameter, all at once.

    Args:
        residual: parameters (P) -> residual (n), made of operations with a forward derivative.
    """

    def __init__(self, residual: Callable[[Float[Tensor, " P"]], Float[Tensor, " n"]]) -> None:
        self.residual = residual

    def losses(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]:
        """The mean square at every point."""
        with torch.no_grad():
            return torch.stack([self.residual(t).square().mean() for t in theta])

    def normal_equations(self, theta: Float[Tensor, "S P"]) -> NormalEquations:
        r"""$2 J^T J / n$, $2 J^T r / n$ and the mean square at every point."""
        with torch.no_grad():
            each = [self._equations(t) for t in theta]
        return NormalEquations(*(torch.stack(parts) for parts in zip(*each, strict=True)))

    def _equations(self, theta: Float[Tensor, " P"]) -> tuple[Tensor, Tensor, Tensor]:
        eye = torch.eye(len(theta), dtype=theta.dtype)
        r, rows = vmap(lambda v: jvp(self.residual, (theta,), (v,))[:2])(eye)
        n = r.shape[1]
        return rows @ rows.T * (2 / n), rows @ r[0] * (2 / n), r[0].square().mean()
