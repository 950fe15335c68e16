r"""A radiance field and its volume rendering (Mildenhall et al., arXiv 2003.08934, eq. 3).

A field gives density $\sigma$ and colour $c$ at every point. Along a ray with samples at distances $t_i$,

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
    r"""A field made of curves over the coordinates: points (*b, 3) in [-1, 1]^3 -> (*b, 4), density and colour.

    The first layer makes `sums` sums of curves in x, y and z, and `products` products of two or three such sums, which
    is how one-dimensional functions make things that have a place; the second mixes them. No positional encoding is
    needed: the grid of the first layer holds the detail.

    Args:
        sums: features that are sums of curves.
        products: features that are products.
        arity: factors per product.
        hidden: nodes of the hidden layer; 0 is none.
        basis: functions of the first layer.
        mixing: functions of the others.
        generator: source of randomness of the initial values.
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
    """The usual field: a perceptron on sines and cosines of the coordinates.

    Args:
        width: nodes of the three hidden layers.
        octaves: frequencies of the encoding.
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
    """Density, not negative, and colours in [0, 1], from four numbers of any size."""
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
        origins: where the rays begin.
        directions: unit vectors.
        near: distance of the first sample.
        far: distance of the end.
        samples: per ray.
        generator: draws every sample inside its part of the ray; the middle of the part without it.
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
