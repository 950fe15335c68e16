"""Derivatives of networks, each in one forward sweep of jets (see `edgewise.jets.jet`)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.jets.algebra import Algebra, Index, laplace, plus, taylor, unit
from edgewise.jets.jet import Jet, seed
from edgewise.jets.rules import Sine, push
from edgewise.jets.sweep import native_jet

__all__ = [
    "Algebra",
    "Index",
    "Jet",
    "Sine",
    "along_axes",
    "bilaplacian",
    "directional",
    "gradient",
    "hessian_vector",
    "laplace",
    "laplacian",
    "partial",
    "plus",
    "push",
    "seed",
    "taylor",
    "unit",
]


def gradient(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out d"]:
    r"""$\partial u_i / \partial x_j$."""
    d = x.shape[-1]
    u = along_axes(model, x, taylor([unit(d, j) for j in range(d)]))
    return torch.stack([u.derivative(unit(d, j)) for j in range(d)], dim=-1)


def directional(
    model: nn.Module, x: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"], order: int = 1
) -> Float[Tensor, "*b out"]:
    r"""$\frac{d^n}{ds^n} u(x + s v)$ at $s = 0$."""
    return push(model, seed(x, taylor([(order,)]), v[None])).derivative((order,))


def hessian_vector(model: nn.Module, x: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out d"]:
    r"""$\sum_k v_k\, \partial_k \partial_j u_i$, without the Hessian."""
    d = x.shape[-1]
    axes = torch.eye(d, dtype=x.dtype, device=x.device).reshape(d, *(1,) * (x.ndim - 1), d).expand(d, *x.shape)
    mixed = [(1, *unit(d, j)) for j in range(d)]
    u = push(model, seed(x, taylor(mixed), torch.cat([v[None], axes])))
    return torch.stack([u.derivative(a) for a in mixed], dim=-1)


def laplacian(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out"]:
    r"""$\sum_j \partial_j^2 u_i$."""
    return along_axes(model, x, laplace(x.shape[-1])).laplacian()


def bilaplacian(model: nn.Module, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b out"]:
    r"""$\sum_{jk} \partial_j^2 \partial_k^2 u_i$."""
    terms = [plus(unit(x.shape[-1], j, 2), unit(x.shape[-1], k, 2)) for j in range(x.shape[-1]) for k in range(j + 1)]
    u = along_axes(model, x, taylor(terms))
    return sum((u.derivative(a) * (1 if 4 in a else 2) for a in terms[1:]), u.derivative(terms[0]))


def partial(model: nn.Module, x: Float[Tensor, "*b d"], *indices: Index) -> tuple[Tensor, ...]:
    r"""The mixed derivatives $D^\alpha u$ of every multi-index $\alpha$, each (*b, out), in one sweep.

    `partial(model, x, (0, 0), (2, 1))` is $u$ and $\partial_1^2 \partial_2 u$.
    """
    u = along_axes(model, x, taylor(indices))
    return tuple(u.derivative(a) for a in indices)


def along_axes(model: nn.Module, x: Float[Tensor, "*b d"], algebra: Algebra) -> Jet:
    """The model at x with a direction along every axis: in one native call where there is one, else by `push`."""
    native = native_jet(model, x, algebra)
    return push(model, seed(x, algebra)) if native is None else native
