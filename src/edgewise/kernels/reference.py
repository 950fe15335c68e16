r"""The specification: the three contractions of a sum over edges, in plain torch.

With the design $B_k^{(\nu)}(x_{bj})$ (the residual function, where there is one, is its last column $k = K$) all three
are partial derivatives of one scalar, linear in each of $g$, $h$ and $c$:

$$ L_\nu(x; h, c, g) = \sum_{b,i,j,k} g_{bi}\, h_{bj}\, c_{jki}\, B_k^{(\nu)}(x_{bj}) $$

Shapes: x, h (*b, in); c (in, size, out); g (*b, out). `h=None` means ones. Every other kernel must agree with
these in value and in three derivative orders. float16 is computed in float32, under autocast too: outside the grid the
functions overflow it long before their sum does.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, cast

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import Basis, nan_of, residual_derivative
from edgewise.kernels.devices import autocast_dtype, without_autocast

P = ParamSpec("P")


class EdgeSpec(NamedTuple):
    """The functions on the edges: a basis, a residual function or None, and the derivative order."""

    basis: Basis
    residual: str | None = None
    order: int = 0

    def differentiated(self) -> EdgeSpec:
        """The same functions, one derivative order higher."""
        return self._replace(order=self.order + 1)

    @property
    def size(self) -> int:
        """Coefficients per edge: those of the basis and one for the residual function."""
        return self.basis.size + (self.residual is not None)


class CurveLayer(NamedTuple):
    """A layer of curves as plain tensors: coef (in, size, out), bias (out) or None, grid (in, points)."""

    coef: Tensor
    bias: Tensor | None
    grid: Tensor
    spec: EdgeSpec


def design(x: Float[Tensor, "*b in"], grid: Float[Tensor, "in points"], spec: EdgeSpec) -> Float[Tensor, "*b in size"]:
    r"""The functions at the inputs, $B_k^{(\nu)}(x_{bj})$, the residual function last."""
    x = _finite(x)
    values = spec.basis.derivative(x, grid, spec.order)
    if spec.residual is None:
        return values
    residual = residual_derivative(spec.residual, x, spec.order)
    residual = residual if spec.order == 0 else residual + nan_of(x)
    return torch.cat([values, residual[..., None]], dim=-1)


def design_maps(x: Tensor, grid: Float[Tensor, "in points"], spec: EdgeSpec) -> Tensor:
    """`design` of maps, (batch, in, *size) to (batch, in, size, *size), values alone."""
    x = _finite(x)
    values = spec.basis.evaluate_maps(x, grid)
    if spec.residual is not None:
        values.append(residual_derivative(spec.residual, x, 0))
    return torch.stack(values, dim=2)


def _finite(x: Tensor) -> Tensor:
    """The input, but where it is not finite NaN, with NaN as its slope: no clamp of a function may hide it."""
    return x * (1 + nan_of(x))


def _in_single(contraction: Callable[P, Tensor]) -> Callable[P, Tensor]:
    @functools.wraps(contraction)
    def computed(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        first = cast(Tensor, args[0])
        mixed = first.dtype is not torch.float64 and autocast_dtype(first) is torch.float16
        if first.dtype is not torch.float16 and not mixed:
            return contraction(*args, **kwargs)
        wide, named = tuple(map(_widened, args)), {name: _widened(t) for name, t in kwargs.items()}
        with without_autocast(first) if mixed else contextlib.nullcontext():
            return cast(Callable[..., Tensor], contraction)(*wide, **named).half()

    return computed


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) else value


@_in_single
def edge_sum(
    x: Float[Tensor, "*b in"],
    coef: Float[Tensor, "in size out"],
    grid: Float[Tensor, "in points"],
    spec: EdgeSpec,
    h: Float[Tensor, "*b in"] | None = None,
    bias: Float[Tensor, " out"] | None = None,
) -> Float[Tensor, "*b out"]:
    r"""$\partial L/\partial g$: $y_{bi} = \sum_{jk} h_{bj}\, c_{jki}\, B_k^{(\nu)}(x_{bj})$, plus $b_i$ if given."""
    phi = _weighted(design(x, grid, spec), h)
    y = phi.flatten(-2) @ coef.flatten(0, 1)
    return y if bias is None else y + bias.to(y.dtype)  # autocast leaves y in its low precision


@_in_single
def edge_pull(
    g: Float[Tensor, "*b out"],
    x: Float[Tensor, "*b in"],
    coef: Float[Tensor, "in size out"],
    grid: Float[Tensor, "in points"],
    spec: EdgeSpec,
) -> Float[Tensor, "*b in"]:
    r"""$\partial L/\partial h$: $v_{bj} = \sum_{ik} g_{bi}\, c_{jki}\, B_k^{(\nu)}(x_{bj})$."""
    pulled = (g @ coef.flatten(0, 1).T).unflatten(-1, coef.shape[:2])
    return (pulled * design(x, grid, spec)).sum(-1)


@_in_single
def edge_outer(
    g: Float[Tensor, "*b out"],
    x: Float[Tensor, "*b in"],
    grid: Float[Tensor, "in points"],
    spec: EdgeSpec,
    h: Float[Tensor, "*b in"] | None = None,
) -> Float[Tensor, "in size out"]:
    r"""$\partial L/\partial c$: $o_{jki} = \sum_b g_{bi}\, h_{bj}\, B_k^{(\nu)}(x_{bj})$."""
    phi = _weighted(design(x, grid, spec), h)
    flat = phi.reshape(-1, phi.shape[-2] * phi.shape[-1])
    return (flat.T @ g.reshape(-1, g.shape[-1])).unflatten(0, phi.shape[-2:])


def _weighted(phi: Tensor, h: Tensor | None) -> Tensor:
    return phi if h is None else phi * h[..., None]
