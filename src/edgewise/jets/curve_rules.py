r"""A layer of curves on jets: $y_{abi} = \sum_j \sum_n (h^n / n!)_{abj}\, \varphi_{ji}^{(n)}(x_{bj})$."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise import functional
from edgewise.jets.jet import Jet
from edgewise.jets.tape import Record, Tape
from edgewise.kernels import EdgeSpec, design, find
from edgewise.nn import KANLinear


def curves(layer: KANLinear, u: Jet, tape: Tape | None) -> Tensor:
    """The coefficients of the sums over the curves of a layer, without its symbols, (size, *b, out)."""
    layer._check(u.value)
    spec = EdgeSpec(layer.basis, layer.residual)
    if tape is not None:
        if layer.adapter is not None:
            raise ValueError("a layer has an adapter; merge it into the layer before you solve")
        y = _taped(layer, u, spec, tape)
    elif find("layer", spec, u.value) is not None:
        y = _by_kernels(layer, u)
    elif torch.is_grad_enabled():
        y = _by_design(layer, u, spec)
    else:
        y = _summed(u, _values(layer, _designs(layer, u, spec, u.algebra.order)))
    return y if layer.bias is None else torch.cat([y[:1] + layer.bias, y[1:]])


def _taped(layer: KANLinear, u: Jet, spec: EdgeSpec, tape: Tape) -> Tensor:
    """The sum from the values of every curve, whose slopes are known, and no graph through the basis."""
    order = u.algebra.order
    B = _designs(layer, u, spec, order + u.coef.requires_grad)
    values = _values(layer, B)
    if u.coef.requires_grad:
        values = [_Value.apply(u.value, a, b) for a, b in itertools.pairwise(values)]
    y = _summed(u, values)
    if not y.requires_grad:
        y.requires_grad_()
    h = [power.detach() for power in u.powers()]
    absent = None if bool(layer.mask.all()) else layer.mask[:, None]

    def rows(G: Float[Tensor, "size b out"]) -> Float[Tensor, "b p"]:
        J = B[0][..., None] * G[0][:, None, None]
        for power, functions in zip(h, B[1:], strict=False):
            slope = torch.einsum("abj,abi->bji", power, G[-len(power) :])
            J.addcmul_(functions[..., None], slope[:, :, None])
        return (J if absent is None else J * absent).flatten(1)

    tape.append(Record(layer.coef, y, rows))
    if layer.bias is not None:
        tape.append(Record(layer.bias, y, lambda G: G[0]))
    return y


class _Value(torch.autograd.Function):
    r"""$\varphi_{ji}^{(n)}(x_{bj})$, whose slope $\varphi_{ji}^{(n+1)}$ is known."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, slopes: Tensor) -> Tensor:
        ctx.save_for_backward(slopes)
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return (gradients[0] * slopes).sum(-1), None, None


@torch.no_grad()
def _designs(layer: KANLinear, u: Jet, spec: EdgeSpec, order: int) -> list[Float[Tensor, "*b in size"]]:
    """The functions of the basis and their derivatives up to an order."""
    x = u.value.detach()
    return [design(x, layer.grid, spec._replace(order=n)) for n in range(order + 1)]


@torch.no_grad()
def _values(layer: KANLinear, B: list[Tensor]) -> list[Float[Tensor, "*b in out"]]:
    """Every curve and its derivatives at every sample."""
    return [torch.einsum("...jk,jki->...ji", functions, layer.curves()) for functions in B]


def _summed(u: Jet, values: list[Tensor]) -> Float[Tensor, "size *b out"]:
    rows = [values[0].sum(-2)[None]]
    for h, value in zip(u.powers(), values[1:], strict=True):
        term = torch.einsum("a...j,...ji->a...i", h, value)
        if len(rows) > 1:
            rows[-1], term = rows[-1][: -len(h)], rows[-1][-len(h) :] + term
        rows.append(term)
    return torch.cat(rows)


def _by_kernels(layer: KANLinear, u: Jet) -> Tensor:
    r"""$y_a = \sum_n \text{edge\_sum}(x_0, (h^n / n!)_a, n)$: one call per order, all rows together."""
    x, coef, grid = u.value, layer.curves(), layer.grid
    rows = [functional.edge_sum(x, coef, grid, layer.basis, layer.residual)[None]]
    for n, h in enumerate(u.powers(), 1):
        term = functional.edge_sum(x.expand_as(h), coef, grid, layer.basis, layer.residual, h=h, order=n)
        if n > 1:
            rows[-1], term = rows[-1][: -len(h)], rows[-1][-len(h) :] + term
        rows.append(term)
    return torch.cat(rows)


def _by_design(layer: KANLinear, u: Jet, spec: EdgeSpec) -> Tensor:
    r"""$W_{abjk} = \sum_n (h^n / n!)_{abj}\, B_k^{(n)}(x_{bj})$, flat in (j, k), times the coefficients."""
    B = [design(u.value, layer.grid, spec._replace(order=n)) for n in range(u.algebra.order + 1)]
    rows = [B[0][None]]
    for n, h in enumerate(u.powers(), 1):
        term = h[..., None] * B[n]
        if n > 1:
            rows[-1], term = rows[-1][: -len(h)], rows[-1][-len(h) :] + term
        rows.append(term)
    return torch.cat(rows).flatten(-2) @ layer.curves().flatten(0, 1)
