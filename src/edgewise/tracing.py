"""Records a forward pass: the inputs and edge values of every KAN layer inside any module.

A forward pass stores nothing on the model; pruning, penalties and plots take a `Trace` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._columns import as_tensor
from edgewise.nn import KAN, KANLinear, ProductNodes


@dataclass(frozen=True)
class LayerTrace:
    """One KAN layer and its inputs, batch dimensions flattened to samples."""

    name: str
    layer: KANLinear
    inputs: Float[Tensor, "samples in"]

    def edges(self) -> Float[Tensor, "*samples in out"]:
        r"""The value $\phi_{ij}(x_j)$ of every edge at every sample."""
        return self.layer.edge_values(self.inputs)


class Trace(Mapping[str, LayerTrace]):
    """The traced layers by module name, in the order of the forward pass, with the model and its output."""

    def __init__(self, model: nn.Module, layers: list[LayerTrace], output: Tensor) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self.model, self.output = model, output

    def __getitem__(self, name: str) -> LayerTrace:
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


def trace(model: nn.Module, x: Any) -> Trace:
    """Run the model once, on a tensor, an array or a frame, and return the inputs of every `KANLinear` inside.

    Gradients flow through the result unless the call is inside `torch.no_grad()`. A layer that runs several times
    has its inputs concatenated. Raises `ValueError` where the model has no KAN layer.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a module such as edgewise.KAN([2, 5, 1]), got {model!r}")
    names = {module: name for name, module in model.named_modules() if isinstance(module, KANLinear)}
    if not names:
        raise ValueError(f"{type(model).__name__} has no KANLinear layer to trace")
    if not isinstance(x, Tensor):
        x = as_tensor(x).to(next(iter(names)).grid)
    inputs_of: dict[KANLinear, list[Tensor]] = {}

    def note(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        assert isinstance(layer, KANLinear)
        inputs = args[0] if args else kwargs["x"]
        if inputs.shape[-1:] != (layer.in_features,):
            return  # the layer itself refuses them
        inputs_of.setdefault(layer, []).append(inputs.reshape(-1, layer.in_features))

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in names]
    try:
        output = model(x)
    finally:
        for handle in handles:
            handle.remove()
    layers = [LayerTrace(names[layer], layer, torch.cat(inputs)) for layer, inputs in inputs_of.items()]
    return Trace(model, layers, output)


@torch.no_grad()
def edge_scores(trace: Trace) -> dict[str, Float[Tensor, "in out"]]:
    r"""The share of the spread of the outputs that every edge carries, by layer name (KAN 2.0, arXiv 2408.10205).

    Inside a KAN the score is propagated from the outputs, whose nodes have $A_{Li} = 1$, back to the inputs:

    $$ B_{lji} = A_{l+1,i}\, \frac{\mathrm{std}(\phi_{lji})}{\mathrm{std}(\sum_j \phi_{lji})}, \qquad
       A_{lj} = \sum_i B_{lji} $$

    Every factor of a product node inherits the whole score of the product, which vanishes with any of them. A node
    that does not vary passes on no score. In layers outside a KAN every output has the score 1: the ratio is local.
    """
    after = _followers(trace)
    scores: dict[str, Tensor] = {}
    for name, part in reversed(trace._layers.items()):
        if len(part.inputs) < 2:
            raise ValueError(f"layer {name!r} has {len(part.inputs)} samples; scores need at least 2")
        edges = part.edges()
        spread, node = edges.std(0, correction=0), edges.sum(1).std(0, correction=0)
        rounding = 4 * torch.finfo(edges.dtype).eps * edges.abs().amax(0).sum(0)
        ratio = torch.where(node <= rounding, 0, spread / node)
        following, products = after.get(name, (None, None))
        nodes = len(node) if products is None else products.out_features
        incoming = node.new_ones(nodes) if following is None else scores[following].sum(1)
        if products is not None:
            incoming = torch.cat([a.expand(len(g)) for a, g in zip(incoming, products.groups(), strict=True)])
        scores[name] = ratio * incoming
    return {name: scores[name] for name in trace}


def input_scores(trace: Trace) -> Float[Tensor, " in"]:
    """The score of every input of the first layer: the sum over its outgoing edges."""
    first = next(iter(trace))
    return edge_scores(trace)[first].sum(1)


def node_scores(trace: Trace) -> dict[str, Float[Tensor, " in"]]:
    """The score $A_{lj}$ of every node that a layer reads, by the name of that layer: the sum over outgoing edges."""
    return {name: scores.sum(1) for name, scores in edge_scores(trace).items()}


@torch.no_grad()
def outside_grid(trace: Trace) -> dict[str, float]:
    """The share of the inputs of every layer that lie outside the span of its grid, where curves extrapolate."""
    shares = {}
    for name, part in trace.items():
        low, high = part.layer.basis.span(part.layer.grid)
        outside = (part.inputs < low) | (part.inputs > high)
        shares[name] = float(outside.double().mean()) if outside.numel() else 0.0
    return shares


def _followers(trace: Trace) -> dict[str, tuple[str | None, ProductNodes | None]]:
    """For every traced layer inside a KAN: the layer that reads it, and the product nodes between them."""
    names = {id(part.layer): name for name, part in trace.items()}
    after: dict[str, tuple[str | None, ProductNodes | None]] = {}
    for network in trace.model.modules():
        if not isinstance(network, KAN):
            continue
        following, products = None, None
        for layer in reversed(network.layers):
            if isinstance(layer, ProductNodes):
                products = layer
            elif id(layer) in names:
                after[names[id(layer)]] = following, products
                following, products = names[id(layer)], None
    return after
