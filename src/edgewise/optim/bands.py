r"""How well the data fix every curve: pointwise standard deviations from the Gauss-Newton covariance.

Around the minimum the parameters have the covariance $\sigma^2 (J^T J)^+$ for the squared loss, with
$\sigma^2 = \mathrm{RSS} / (N - \operatorname{rank} J)$, and $H^+ / N$ for a log likelihood. A constant may move from
one edge to another of a node without changing the network; a band is that of the curve minus its mean over the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import KAN, KANLinear
from edgewise.optim.flat import Edges, Network, design
from edgewise.optim.jacobian import NetworkLeastSquares
from edgewise.optim.losses import Loss, get_loss

NULL = 1e-10  # eigenvalues below this share of the greatest are directions that no sample sees


@dataclass(frozen=True)
class Band:
    """The curves of one layer at points across its grid, each with its standard deviation."""

    points: Float[Tensor, "samples features"]
    values: Float[Tensor, "samples features out"]
    std: Float[Tensor, "samples features out"]


@torch.no_grad()
def edge_bands(
    model: KAN,
    x: Float[Tensor, "n features"],
    y: Tensor,
    *,
    weights: Tensor | None = None,
    loss: str | Loss = "mse",
    points: int = 101,
) -> dict[str, Band]:
    """One `Band` per layer by its name; curves are centred over the data, absent edges and symbols have none (0)."""
    criterion = get_loss(loss)
    network, parameters = Network.of(model)
    inner, target = x.double(), y if criterion.labels else y.double().reshape(len(y), -1)
    if model.input_affine is not None:
        inner = inner * model.input_affine.scale + model.input_affine.shift
    if model.output_affine is not None:
        if not criterion.units:
            raise ValueError(f"a model with an output_affine has no bands for the loss {criterion.name!r}")
        target = (target - model.output_affine.shift) / model.output_affine.scale
    equations = NetworkLeastSquares(network, parameters.grids, inner, target, weights, criterion).normal_equations(
        parameters.theta
    )
    covariance = _covariance(equations.gram[0], float(equations.loss), target.numel(), len(x), criterion)
    steps = network.forward(parameters, inner.T, None, slopes=False)
    names = [f"layers.{n}" for n, layer in enumerate(model.layers) if isinstance(layer, KANLinear)]
    bands, start = {}, 0
    for name, step, grid in zip(names, (s for s in steps if isinstance(s.layer, Edges)), parameters.grids, strict=True):
        edges = step.layer
        assert isinstance(edges, Edges)
        assert step.design is not None
        assert step.part is not None
        low, high = edges.basis.span(grid[0])
        at = low + (high - low) * torch.linspace(0, 1, points, dtype=grid.dtype)[:, None]
        phi = design(edges, at.T[None], grid, slopes=False).values[0] - step.design.values[0].mean(-1, keepdim=True)
        bands[name] = Band(at, *_band(edges, phi, step.part[0][0], covariance, start))
        start += sum(edges.sizes)
    return bands


def _covariance(gram: Tensor, loss: float, values: int, samples: int, criterion: Loss) -> Tensor:
    eigenvalues, vectors = torch.linalg.eigh(gram)
    seen = eigenvalues > NULL * eigenvalues[-1]
    inverse = (vectors[:, seen] / eigenvalues[seen]) @ vectors[:, seen].T
    if not criterion.units:
        return inverse / samples
    free = max(values - int(seen.sum()), 1)
    return inverse * (2 * loss / free)


def _band(edges: Edges, phi: Tensor, coef: Tensor, covariance: Tensor, start: int) -> tuple[Tensor, Tensor]:
    """Values and standard deviations of the centred curves: (points, in, out) each."""
    fan_in, rows, fan_out = coef.shape
    values = torch.einsum("jkb,jki->bji", phi, coef)
    place = torch.arange(fan_in * rows * fan_out)
    if edges.curves is not None:
        place = torch.full((fan_in * rows * fan_out,), -1).index_put((edges.curves,), torch.arange(len(edges.curves)))
    place = place.reshape(fan_in, rows, fan_out)
    std = torch.zeros_like(values)
    for j, i in edges.mask.nonzero().tolist():
        own = start + place[j, :, i]
        block = covariance[own][:, own]
        std[:, j, i] = ((phi[j].T @ block) * phi[j].T).sum(-1).clamp(min=0).sqrt()
    return torch.where(edges.mask, values, 0), std
