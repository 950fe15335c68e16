r"""Implements a radiance field and its volume rendering (Mildenhall et al., arXiv 2003.08934, eq. 3).

A field has a density $\sigma$ and a colour $c$ at every point. Along a ray with samples at distances $t_i$,

$$ C = \sum_i T_i\,(1 - e^{-\sigma_i \delta_i})\,c_i, \qquad T_i = e^{-\sum_{j<i} \sigma_j \delta_j},
   \qquad \delta_i = t_{i+1} - t_i. $$
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import Basis, BSpline
from edgewise.io import Pretrained
from edgewise.nn import KANLinear, ProductNodes


class KANNeRF(Pretrained):
    r"""A field of curves of the coordinates: points (*b, 3) in [-1, 1]^3 -> (*b, 4), density and colour.

    The features of the first layer are `sums` sums of curves of x, y and z, and `products` products of `arity` such
    sums: products of one-dimensional functions can represent something local. The other layers mix the features. The
    grid of the first layer resolves the detail, so no positional encoding is needed.

    Args:
        sums: features that are sums of curves.
        products: features that are products.
        arity: factors per product.
        hidden: nodes of the hidden layer; 0 is no hidden layer.
        basis: of the first layer.
        mixing: basis of the other layers.
        generator: random generator of the initial values.
    """

    def __init__(
        self,
        sums: int = 0,
        products: int = 30,
        arity: int = 2,
        hidden: int = 24,
        *,
        basis: Basis | None = None,
        mixing: Basis | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        basis, mixing = basis or BSpline(28, 2), mixing or BSpline(3, 2)
        last = [sums + products, *([hidden] if hidden else []), 4]
        self.features = KANLinear(3, sums + arity * products, basis, residual="identity", generator=generator)
        self.product = ProductNodes(sums, (arity,) * products)
        self.mix = nn.Sequential(
            *(KANLinear(i, o, mixing, grid_range=(-2, 2), generator=generator) for i, o in itertools.pairwise(last))
        )

    def forward(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4"]:
        return as_field(self.mix(self.product(self.features(points))))


class MLPNeRF(Pretrained):
    """The usual field: an MLP on sines and cosines of the coordinates.

    Args:
        width: nodes of the three hidden layers.
        octaves: number of frequencies of the encoding.
    """

    def __init__(self, width: int = 64, octaves: int = 5) -> None:
        super().__init__()
        self.octaves = octaves
        inputs = 3 + 6 * octaves
        widths = [inputs, width, width, width]
        hidden = [m for i, o in itertools.pairwise(widths) for m in (nn.Linear(i, o), nn.ReLU())]
        self.network = nn.Sequential(*hidden, nn.Linear(width, 4))

    def forward(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 4"]:
        return as_field(self.network(positional_encoding(points, self.octaves)))


def positional_encoding(x: Float[Tensor, "*b 3"], octaves: int) -> Float[Tensor, "*b features"]:
    r"""x itself, and $\sin 2^l \pi x$ and $\cos 2^l \pi x$ for $l < $ octaves."""
    angles = x[..., None] * (torch.pi * 2 ** torch.arange(octaves, dtype=x.dtype, device=x.device))
    return torch.cat([x, angles.sin().flatten(-2), angles.cos().flatten(-2)], dim=-1)


def as_field(raw: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b 4"]:
    """A density of at least 0 and colours in [0, 1], from four unbounded values."""
    return torch.cat([nn.functional.softplus(10 * raw[..., :1] - 1), raw[..., 1:].sigmoid()], dim=-1)


def render(
    field: nn.Module,
    origins: Float[Tensor, "rays 3"],
    directions: Float[Tensor, "rays 3"],
    *,
    near: float,
    far: float,
    samples: int = 32,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "rays 3"]:
    """The colour of every ray over a white background.

    Args:
        field: points (*b, 3) to density and colour (*b, 4).
        origins: the start points of the rays.
        directions: unit vectors.
        near: distance at which the first interval starts.
        far: distance at which the last interval ends.
        samples: intervals per ray, with one sample each.
        generator: draws every sample uniformly from its interval; None takes the midpoints.
    """
    part = (far - near) / samples
    shape = (len(origins), samples)
    within = torch.full(shape, 0.5) if generator is None else torch.rand(shape, generator=generator)
    t = near + part * (torch.arange(samples) + within).to(origins)
    found = field(origins[:, None] + t[..., None] * directions[:, None])
    sigma, colour = found[..., 0], found[..., 1:]
    delta = torch.diff(t, append=t.new_full((len(t), 1), far))
    alpha = -torch.expm1(-sigma * delta)
    seen = torch.exp(-torch.cumsum(sigma * delta, -1))
    weight = torch.cat([torch.ones_like(seen[:, :1]), seen[:, :-1]], -1) * alpha
    return (weight[..., None] * colour).sum(1) + seen[:, -1:]
