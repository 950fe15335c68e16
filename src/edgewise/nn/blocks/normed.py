"""The layer of fast-kan: curves of normalised inputs beside a linear map of a fixed function of the inputs."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import check_residual
from edgewise.bases.residual import residual_derivative
from edgewise.nn.linear import KANLinear


class NormedKANLinear(nn.Module):
    r"""$y_i = \sum_j \phi_{ij}(n_j(x)) + \sum_j w_{ij}\,b(x_j) + b_i$, shapes (*batch, in) -> (*batch, out).

    n is a layer norm, so that an edge depends on every input of the layer (Li, arXiv 2405.06721, whose code does this).
    It is no layer of a KAN; `trace`, `prune` and `refine` see its attribute `curves`.

    Args:
        norm: the layer norm.
        curves: the curves of the normalised inputs.
        weight: (out, in), the weights $w$ of the residual function, or None for none.
        bias: (out,), or None.
        residual: the fixed function b, "silu" or "identity"; None where there are no weights.
    """

    def __init__(
        self,
        norm: nn.LayerNorm,
        curves: KANLinear,
        weight: Float[Tensor, "out in"] | None = None,
        bias: Float[Tensor, " out"] | None = None,
        residual: str | None = None,
    ) -> None:
        super().__init__()
        check_residual(residual)
        if (weight is None) != (residual is None):
            raise ValueError("weights need a residual function, and it needs weights; give both or none")
        self.in_features, self.out_features = curves.in_features, curves.out_features
        self.norm, self.curves, self.residual = norm, curves, residual
        self.weight = None if weight is None else nn.Parameter(weight.detach().clone())
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        y = self.curves(self.norm(x))
        if self.weight is not None and self.residual is not None:
            y = y + nn.functional.linear(residual_derivative(self.residual, x, 0), self.weight)
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"residual={self.residual!r}"
