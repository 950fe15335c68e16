"""Hidden nodes one by one: remove one with its edges, split one in two, or give one a further factor.

The two that add keep the function. They number nodes anew: sums first, then products, as `ProductNodes` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edgewise.nn import KAN, KANLinear, ProductNodes, SymbolicEdges
from edgewise.nn.layers import blocks, owned, reassembled, replaced, require_plain, symbols_where

SHARE = 0.25
"""Of a split node, what the new one carries: halves would be one node forever, for they would learn the same."""

Block = tuple[KANLinear, ProductNodes]


def remove_node(model: KAN, layer: int, node: int) -> KAN:
    """The network without the edges into and out of a hidden node; nothing is numbered anew, see `compact`.

    Args:
        model: the network.
        layer: the index of the KAN layer that feeds the node; the last layer feeds the outputs, which stay.
        node: its index among the nodes of the layer.
    """
    pairs = blocks(model)
    _require_hidden(pairs, layer, node)
    (feeding, products), (reading, later) = pairs[layer], pairs[layer + 1]
    factors = list(products.groups()[node])
    into, out_of = torch.zeros_like(feeding.mask), torch.zeros_like(reading.mask)
    into[:, factors], out_of[node] = True, True
    pairs[layer], pairs[layer + 1] = (_without(feeding, into), products), (_without(reading, out_of), later)
    return reassembled(model, pairs)


@torch.no_grad()
def split_node(model: KAN, layer: int, node: int) -> KAN:
    r"""The same function with a hidden sum twice, $\phi(h) = \frac34\phi(h) + \frac14\phi(h)$; the new sum is the last.

    A fit makes the two differ. Arguments as of `remove_node`.
    """
    pairs = blocks(model)
    _require_hidden(pairs, layer, node, sums_only="a product has factors; split one of the sums")
    (feeding, products), (reading, later) = pairs[layer], pairs[layer + 1]
    _require_no_adapter(feeding, reading)
    targets = [*range(products.sums), node, *range(products.sums, products.in_features)]
    nodes = [*range(products.sums), node, *range(products.sums, products.out_features)]
    share = torch.ones(len(nodes), dtype=reading.coef.dtype, device=reading.coef.device)
    share[node], share[products.sums] = 1 - SHARE, SHARE
    pairs[layer] = (_arranged(feeding, range(feeding.in_features), targets), _more_sums(products))
    reader = _arranged(reading, nodes, range(reading.out_features))
    symbolic = reader.symbolic
    if symbolic.affine is not None:
        affine = symbolic.affine.detach().clone()
        affine[:, 2:] *= share[symbolic.sources, None]
        symbolic = SymbolicEdges(symbolic.functions, symbolic.sources, symbolic.targets, affine)
    scaled = replaced(reader, coef=reader.coef.detach() * share[:, None, None], symbolic=symbolic)
    pairs[layer + 1] = (scaled, later)
    return reassembled(model, pairs)


@torch.no_grad()
def multiply_node(model: KAN, layer: int, node: int) -> KAN:
    r"""The same function with a further factor $g = 1$ of a hidden node: $h \to h\,g$, so that a fit can learn g.

    The factor reads, through curves that are zero, every node that the layer reads. A sum becomes the last of the
    products; a product gets one factor more. Arguments as of `remove_node`.
    """
    pairs = blocks(model)
    _require_hidden(pairs, layer, node)
    (feeding, products), (reading, later) = pairs[layer], pairs[layer + 1]
    _require_no_adapter(feeding, reading)
    if feeding.bias is None:
        raise ValueError(f"layer {layer} has no biases, and a new factor is a bias of 1 at first")
    targets, nodes, after = _with_factor(products, node)
    wider = _arranged(feeding, range(feeding.in_features), targets)
    new = targets.index(None)
    mask, bias = wider.mask.clone(), wider.bias
    assert bias is not None
    mask[:, new] = owned(feeding).any(1)
    bias[new] = 1
    pairs[layer] = (replaced(wider, mask=mask), after)
    pairs[layer + 1] = (_arranged(reading, nodes, range(reading.out_features)), later)
    return reassembled(model, pairs)


def nodes_after_split(products: ProductNodes) -> tuple[list[int], list[int]]:
    """Where the targets of the feeding layer, and where the nodes, are after `split_node`."""
    targets = [i + (i >= products.sums) for i in range(products.in_features)]
    return targets, [i + (i >= products.sums) for i in range(products.out_features)]


def nodes_after_factor(products: ProductNodes, node: int) -> tuple[list[int], list[int]]:
    """The same after `multiply_node`."""
    targets, nodes, _ = _with_factor(products, node)
    return [targets.index(i) for i in range(products.in_features)], [nodes.index(n) for n in range(len(nodes))]


def _with_factor(products: ProductNodes, node: int) -> tuple[list[int | None], list[int], ProductNodes]:
    """Old targets in their new order, None for the new factor; old nodes in theirs; and the new product nodes."""
    every = list(range(products.in_features))
    if node < products.sums:
        targets = [*every[:node], *every[node + 1 :], node, None]
        nodes = [n for n in range(products.out_features) if n != node]
        return targets, [*nodes, node], ProductNodes(products.sums - 1, (*products.arities, 2))
    end = products.groups()[node].stop
    place = node - products.sums
    arities = tuple(arity + (m == place) for m, arity in enumerate(products.arities))
    return [*every[:end], None, *every[end:]], list(range(products.out_features)), ProductNodes(products.sums, arities)


def _more_sums(products: ProductNodes) -> ProductNodes:
    return ProductNodes(products.sums + 1, products.arities)


def _arranged(layer: KANLinear, sources: Sequence[int], targets: Sequence[int | None]) -> KANLinear:
    """The layer with its inputs and outputs in a new order, some of them twice; None is an output without edges."""
    j = torch.tensor(list(sources), device=layer.coef.device)
    i = torch.tensor([0 if t is None else t for t in targets], device=layer.coef.device)
    kept = torch.tensor([t is not None for t in targets], device=layer.coef.device)
    parts: dict[str, Any] = {
        "coef": layer.coef[j][..., i] * kept,
        "grid": layer.grid[j],
        "mask": layer.mask[j][:, i] & kept,
        "bias": None if layer.bias is None else layer.bias[i] * kept,
        "symbolic": _copied_symbols(layer.symbolic, j.tolist(), [t if t is not None else -1 for t in targets]),
    }
    return replaced(layer, **parts)


def _copied_symbols(symbolic: SymbolicEdges, sources: list[int], targets: list[int]) -> SymbolicEdges:
    """The symbols at all the new places of their ends."""
    if symbolic.affine is None:
        return symbolic
    old = zip(symbolic.sources.tolist(), symbolic.targets.tolist(), strict=True)
    places = [
        (n, j, i)
        for n, (source, target) in enumerate(old)
        for j, s in enumerate(sources)
        for i, t in enumerate(targets)
        if (s, t) == (source, target)
    ]
    index = torch.tensor(places, device=symbolic.sources.device).T
    return SymbolicEdges([symbolic.functions[n] for n, _, _ in places], index[1], index[2], symbolic.affine[index[0]])


def _without(layer: KANLinear, gone: Tensor) -> KANLinear:
    return replaced(layer, mask=layer.mask & ~gone, symbolic=symbols_where(layer.symbolic, ~gone))


def _require_no_adapter(*layers: KANLinear) -> None:
    for layer in layers:
        require_plain("of the node", layer)


def _require_hidden(pairs: Sequence[Block], layer: int, node: int, sums_only: str = "") -> None:
    if not 0 <= layer < len(pairs) - 1:
        raise ValueError(f"layer {layer} feeds no hidden nodes; those of this network are fed by {_hidden(pairs)}")
    products = pairs[layer][1]
    if not 0 <= node < products.out_features:
        raise ValueError(f"layer {layer} feeds the nodes 0 to {products.out_features - 1}; there is no node {node}")
    if sums_only and node >= products.sums:
        raise ValueError(f"node {node} is a product: {sums_only}")


def _hidden(pairs: Sequence[Block]) -> str:
    return "none, for it has one layer" if len(pairs) == 1 else f"the layers 0 to {len(pairs) - 2}"
