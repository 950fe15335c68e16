"""Apply modules to jets: one rule for every kind of module that a network may consist of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor, nn

from edgewise.jets.curve_rules import Tape, curves, record
from edgewise.jets.jet import Jet, derivatives
from edgewise.jets.surface_rules import surface
from edgewise.nn import KAN, Affine, KANLinear, ProductNodes, Surface, SymbolicEdges


def push(module: nn.Module, u: Jet, tape: Tape | None = None) -> Jet:
    """The jet of outputs of a module for a jet of inputs; a tape, if given, records what the Jacobian needs.

    Raises:
        TypeError: there is no rule for the type of the module.
    """
    for kind in type(module).__mro__:
        if kind in _RULES:
            return _RULES[kind](module, u, tape)
    raise TypeError(
        f"there is no Taylor rule for a {type(module).__name__}; there are rules for "
        f"{', '.join(sorted(kind.__name__ for kind in _RULES))}"
    )


class Sine(nn.Module):
    """The activation sin(x) of sine networks."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


def _kan(model: KAN, u: Jet, tape: Tape | None) -> Jet:
    ends = [[m] if m is not None else [] for m in (model.input_affine, model.output_affine)]
    return _chain([*ends[0], *model.layers, *ends[1]], u, tape)


def _chain(modules: Iterable[nn.Module], u: Jet, tape: Tape | None) -> Jet:
    for module in modules:
        u = push(module, u, tape)
    return u


def _edges(layer: KANLinear, u: Jet, tape: Tape | None) -> Jet:
    y = curves(layer, u, tape)
    return u.map(y) if len(layer.symbolic) == 0 else _add_symbols(layer.symbolic, u, y, tape)


def _add_symbols(symbols: SymbolicEdges, u: Jet, y: Tensor, tape: Tape | None) -> Jet:
    parameter = cast(nn.Parameter, symbols.affine)
    copies = parameter if tape is None else parameter.expand(*u.value.shape[:-1], *parameter.shape).clone()
    if tape is not None and parameter.requires_grad:
        record(tape, (parameter,), copies, lambda slope: slope.flatten(1))
    a, b, c, d = copies.unbind(-1)
    inner = u[..., symbols.sources] * a + b
    for fn, members in symbols.groups().items():
        part = inner[..., members]
        value = part.compose(derivatives(fn, part.value, part.algebra.order)) * c[..., members] + d[..., members]
        y = y.index_add(-1, symbols.targets[members], value.coef)
    return u.map(y)


def _products(nodes: ProductNodes, u: Jet, tape: Tape | None) -> Jet:
    parts = [u[..., : nodes.sums].coef]
    for group in nodes.groups()[nodes.sums :]:
        product = u[..., group.start]
        for j in group[1:]:
            product = product * u[..., j]
        parts.append(product.coef[..., None])
    return u.map(torch.cat(parts, dim=-1))


def _affine(module: Affine, u: Jet, tape: Tape | None) -> Jet:
    return u * module.scale + module.shift


def _linear(layer: nn.Linear, u: Jet, tape: Tape | None) -> Jet:
    y = u.coef @ layer.weight.T
    if tape is not None and layer.weight.requires_grad:
        W = u.coef.detach()
        record(tape, (layer.weight,), y, lambda G: torch.einsum("abp,abi->bip", W, G).flatten(1))
    if tape is not None and layer.bias is not None and layer.bias.requires_grad:
        record(tape, (layer.bias,), y, lambda G: G[0])
    return u.map(y) if layer.bias is None else u.map(y) + layer.bias


def _elementwise(func: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Jet, Tape | None], Jet]:
    return lambda module, u, tape: u.compose(derivatives(func, u.value, u.algebra.order))


_RULES: dict[type[nn.Module], Callable[..., Jet]] = {
    KAN: _kan,
    KANLinear: _edges,
    ProductNodes: _products,
    Affine: _affine,
    Surface: surface,
    nn.Sequential: _chain,
    nn.ModuleList: _chain,
    nn.Linear: _linear,
    nn.Identity: lambda module, u, tape: u,
    nn.Tanh: _elementwise(torch.tanh),
    nn.Sigmoid: _elementwise(torch.sigmoid),
    nn.SiLU: _elementwise(torch.nn.functional.silu),
    nn.Softplus: _elementwise(torch.nn.functional.softplus),
    Sine: _elementwise(torch.sin),
}
