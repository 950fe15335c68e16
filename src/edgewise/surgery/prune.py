"""Removes edges, and nodes with all their edges."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import EdgeLike, blocks, find_edge, find_layer, kan_layers, replaced, symbols_where, with_layers

M = TypeVar("M", bound=nn.Module)


def prune(model: M, scores: Mapping[str, Float[Tensor, "_in _out"]], *, edge: float = 0.03, node: float = 0.01) -> M:
    """The model without the edges and nodes that score no more than the thresholds.

    Args:
        model: any module with KAN layers. Nodes are pruned in a `KAN`; elsewhere `edge` alone counts.
        scores: importance of every edge by layer name, such as `edge_scores(trace(model, x))`; layers without an entry
            stay as they are.
        edge: an edge is removed when its score is at most this.
        node: a hidden node is removed, with all its edges, when the scores of its outgoing edges sum to at most this.

    The shapes stay; `compact` removes the nodes that no edge reaches any more. The mean contribution of a
    removed edge is lost: fit again afterwards.

    >>> import torch, edgewise as ew
    >>> model = ew.KAN([2, 5, 1], generator=torch.Generator().manual_seed(0))
    >>> x = torch.linspace(-1, 1, 200).reshape(100, 2)
    >>> small = ew.compact(ew.prune(model, ew.edge_scores(ew.trace(model, x)), node=0.3))
    >>> small.widths
    [2, 2, 1]
    """
    layers = kan_layers(model)
    keep: dict[str, Tensor] = {}
    for name, score in scores.items():
        _, layer = find_layer(model, name)
        if score.shape != layer.mask.shape:
            raise ValueError(
                f"layer {name!r}: scores have shape {tuple(score.shape)}, its edges {tuple(layer.mask.shape)} (in, out)"
            )
        if not torch.isfinite(score).all():
            raise ValueError(f"layer {name!r}: a score is not finite; does the model return NaN on the traced samples?")
        keep[name] = (score > edge).to(layer.mask.device)
    if isinstance(model, KAN):
        _drop_nodes(model, scores, keep, node)
    return with_layers(model, {name: _without(layers[name], ~kept) for name, kept in keep.items()})


def remove_edge(model: M, edge: EdgeLike) -> M:
    """The model without one edge, an `EdgeKey` or a tuple (layer, source, target)."""
    name, old = find_edge(model, edge)
    _, source, target = edge
    gone = torch.zeros_like(old.mask)
    gone[source, target] = True
    return with_layers(model, {name: _without(old, gone)})


def _without(layer: KANLinear, gone: Tensor) -> KANLinear:
    return replaced(layer, mask=layer.mask & ~gone, symbolic=symbols_where(layer.symbolic, ~gone))


def _drop_nodes(model: KAN, scores: Mapping[str, Tensor], keep: dict[str, Tensor], threshold: float) -> None:
    """Clear the edges into and out of every hidden node whose outgoing scores sum to at most the threshold."""
    names = {id(layer): name for name, layer in kan_layers(model).items()}
    pairs = blocks(model)
    for (layer, products), (following, _) in itertools.pairwise(pairs):
        before, after = names[id(layer)], names[id(following)]
        if after not in scores:
            continue
        for n in (scores[after].sum(1) <= threshold).nonzero()[:, 0].tolist():
            keep[after][n] = False
            if before in keep:
                group = products.groups()[n]
                keep[before][:, group.start : group.stop] = False
