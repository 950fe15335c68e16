r"""Apply a layer of curves to jets: $y_{abi} = \sum_j \sum_n (h^n / n!)_{abj}\, \varphi_{ji}^{(n)}(x_{bj})$."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise import functional
from edgewise.jets.jet import Jet
from edgewise.kernels import EdgeSpec, design, find
from edgewise.nn import KANLinear


@dataclass(frozen=True)
class Record:
    r"""Parameters p and the coefficients y of the jets that they enter: what the Jacobian in p needs.

    Attributes:
        parameters: p; only those that are trained.
        output: y, or a copy of p for every sample.
        rows: from $G_{ab\cdot} = \partial r_b / \partial y_{ab\cdot}$ to $\partial r_b / \partial p$, (b, size of p).
    """

    parameters: tuple[Tensor, ...]
    output: Tensor
    rows: Callable[[Tensor], Float[Tensor, "b p"]]


Tape = list[Record]


def curves(layer: KANLinear, u: Jet, tape: Tape | None) -> Tensor:
    """The coefficients $y_{abi}$ of the sums over the curves of a layer, without its symbols, (size, *b, out)."""
    layer._check(u.value)
    spec = EdgeSpec(layer.basis, layer.residual)
    if tape is not None:
        y = _taped(layer, u, spec, tape)
    elif find("layer", spec, u.value) is not None:
        y = _by_kernels(layer, u)
    elif torch.is_grad_enabled():
        y = _by_design(layer, u, spec)
    else:
        y = _summed(u, _values(layer, _designs(layer, u, spec, u.algebra.order)))
    return y if layer.bias is None else torch.cat([y[:1] + layer.bias, y[1:]])


def _taped(layer: KANLinear, u: Jet, spec: EdgeSpec, tape: Tape) -> Tensor:
    """The sums from the values of every curve, whose slopes are known: no graph goes through the basis."""
    order = u.algebra.order
    B = _designs(layer, u, spec, order + u.coef.requires_grad)
    values = _values(layer, B)
    if u.coef.requires_grad:
        values = [_Value.apply(u.value, a, b) for a, b in itertools.pairwise(values)]
    y = _summed(u, values)
    rows = partial(_rows, layer, B, [power.detach() for power in u.powers()])
    trained = [] if layer.adapter is None else [(n, p) for n, p in layer.adapter.named_parameters() if p.requires_grad]
    if layer.coef.requires_grad:
        record(tape, (layer.coef,), y, rows)
    if trained:
        record(tape, tuple(p for _, p in trained), y, partial(_adapter_rows, layer, dict(trained), rows))
    if layer.bias is not None and layer.bias.requires_grad:
        record(tape, (layer.bias,), y, lambda G: G[0])
    return y


def record(tape: Tape, parameters: tuple[Tensor, ...], y: Tensor, rows: Callable[[Tensor], Tensor]) -> None:
    """Record parameters of which y may be the first function that is differentiated."""
    tape.append(Record(parameters, y if y.requires_grad else y.requires_grad_(), rows))


def _adapter_rows(
    layer: KANLinear, trained: dict[str, Tensor], rows: Callable[[Tensor], Tensor], G: Tensor
) -> Float[Tensor, "b p"]:
    r"""$\partial r_b / \partial p$ of the factors of an update, from the rows of the coefficients that it adds to."""
    assert layer.adapter is not None
    shape, adapter = layer.coef.shape, layer.adapter
    pullback = torch.func.vjp(lambda p: torch.func.functional_call(adapter, p, ()).expand(shape), trained)[1]
    (slopes,) = torch.func.vmap(pullback)(rows(G).unflatten(1, shape))
    return torch.cat([slopes[name].flatten(1) for name in trained], dim=1)


def _rows(layer: KANLinear, B: list[Tensor], h: list[Tensor], G: Float[Tensor, "size b out"]) -> Float[Tensor, "b p"]:
    r"""$\partial r_b / \partial c_{jki} = \sum_a W_{abjk} G_{abi}$ with the W of `_by_design`."""
    J = B[0][..., None] * G[0][:, None, None]
    for power, functions in zip(h, B[1:], strict=False):
        slope = torch.einsum("abj,abi->bji", power, G[-len(power) :])
        J.addcmul_(functions[..., None], slope[:, :, None])
    return (J if bool(layer.mask.all()) else J * layer.mask[:, None]).flatten(1)


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
    r"""$B_k^{(n)}(x_{bj})$ for n = 0..`order`."""
    x = u.value.detach()
    return [design(x, layer.grid, spec._replace(order=n)) for n in range(order + 1)]


@torch.no_grad()
def _values(layer: KANLinear, B: list[Tensor]) -> list[Float[Tensor, "*b in out"]]:
    r"""$\varphi_{ji}^{(n)}(x_{bj})$ for every n."""
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
