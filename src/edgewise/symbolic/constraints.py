"""What is known of a whole function, as shapes of its edges: sufficient for a network of sums, not necessary.

A sum of increasing functions of increasing ones is increasing; one of increasing convex functions of convex ones is
convex. A function is symmetric in two inputs where their edges carry the same curves.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import find_layer, owned, replaced, with_layers

AFTER = {
    "increasing": "increasing",
    "decreasing": "increasing",
    "convex": "increasing convex",
    "concave": "increasing concave",
}
"""The shape that all edges beyond the first layer need, by the shape of the first layer and of the function."""


def edge_shapes(model: KAN, shape: str, inputs: Sequence[int]) -> dict[tuple[int, int, int], str]:
    """Shapes of edges that make the function of these inputs (of all, where none is given) have a shape."""
    if shape not in AFTER:
        raise ValueError(f"a function can be {', '.join(AFTER)}, not {shape!r}")
    layers: list[nn.Module] = list(model.layers)
    if not all(isinstance(layer, KANLinear) for layer in layers):
        raise ValueError("products of nodes have no shape of their own; only networks of sums can be given one")
    _check_inputs(model, inputs)
    found: dict[tuple[int, int, int], str] = {}
    for l, layer in enumerate(layers):
        assert isinstance(layer, KANLinear)
        for j, i in owned(layer).nonzero().tolist():
            if l == 0 and inputs and j not in inputs:
                continue
            if not layer.mask[j, i]:
                raise ValueError(f"edge {(l, j, i)} carries a symbol, whose shape is its own; `release` it first")
            found[l, j, i] = shape if l == 0 else AFTER[shape]
    return found


def symmetric(model: KAN, p: int, q: int) -> KAN:
    """The model with the curves of two inputs replaced by their means, so that the inputs can be exchanged."""
    _check_inputs(model, (p, q))
    name, layer = find_layer(model, 0)
    if layer.symbolic.mask(layer.mask.shape)[[p, q]].any():
        raise ValueError(
            f"layer {name!r}: edges of inputs {p} and {q} carry symbols; `share` one function between them"
        )
    scaled = model.input_affine
    same = torch.equal(layer.grid[p], layer.grid[q]) and torch.equal(layer.mask[p], layer.mask[q])
    if scaled is not None:
        same = same and bool(scaled.scale[p] == scaled.scale[q]) and bool(scaled.shift[p] == scaled.shift[q])
    if not same:
        raise ValueError(f"inputs {p} and {q} have different grids, edges or scales; they cannot be exchanged")
    coef = layer.coef.detach().clone()
    coef[[p, q]] = coef[[p, q]].mean(0)
    return with_layers(model, {name: replaced(layer, coef=coef)})


def _check_inputs(model: KAN, inputs: Sequence[int]) -> None:
    for j in inputs:
        if not 0 <= j < model.in_features:
            raise ValueError(f"there is no input {j}; the model has 0 to {model.in_features - 1}")
