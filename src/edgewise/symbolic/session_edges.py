"""The edges of a session: which there are, which carry the same, and which entries of parameters may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import EdgeKey, EdgeLike, find_edge, kan_layers, owned

if TYPE_CHECKING:
    from edgewise.symbolic.session import Session


def layers_of(model: KAN) -> list[KANLinear]:
    """The layers of curves, from the inputs on."""
    return [cast(KANLinear, layer) for layer in model.layers if isinstance(layer, KANLinear)]


def edges_of(model: KAN) -> list[EdgeKey]:
    """All edges that are curves or symbols."""
    return [EdgeKey(l, j, i) for l, layer in enumerate(layers_of(model)) for j, i in owned(layer).nonzero().tolist()]


def shown(*edges: EdgeKey) -> str:
    """Edges as the history writes them."""
    return ", ".join(str(tuple(edge)) for edge in edges)


def key_of(session: Session, edge: EdgeLike, *, changes: bool = False) -> EdgeKey:
    """The key of an edge, its layer by index. Raises `ValueError` where there is none, or a change is locked."""
    name, _ = find_edge(session.model, edge)
    key = EdgeKey(list(kan_layers(session.model)).index(name), edge[1], edge[2])
    if changes and key in session.locked:
        raise ValueError(f"edge {shown(key)} is locked; `unlock` it first")
    return key


def sharing(session: Session, edge: EdgeKey) -> frozenset[EdgeKey]:
    """The edges that carry one function with this one, itself among them."""
    return next((group for group in session.shared if edge in group), frozenset([edge]))


def twins(session: Session, edge: EdgeKey) -> frozenset[EdgeKey]:
    """The edge and all that are equal to it by a symmetry."""
    found = {edge}
    exchanged = [pair for p, q in session.symmetries for pair in ((p, q), (q, p))] if edge[0] == 0 else []
    while True:
        more = {EdgeKey(0, b, e.target) for e in found for a, b in exchanged if e.source == a}
        if more <= found:
            return frozenset(found)
        found |= more


def each(session: Session, edge: EdgeKey, change: Callable[[KAN, EdgeKey], KAN]) -> KAN:
    """The model with an edge and its twins changed."""
    model = session.model
    for twin in sorted(twins(session, edge)):
        model = change(model, key_of(session, twin, changes=True))
    return model


def shapes_without(session: Session, edges: Iterable[EdgeKey]) -> dict[EdgeKey, str]:
    """The shapes without those of edges that are no longer curves."""
    gone = set(edges)
    return {edge: shape for edge, shape in session.shapes.items() if edge not in gone}


def free_entries(model: KAN, held: Iterable[EdgeKey]) -> dict[str, Tensor]:
    """The entries of parameters that may change: of present edges that are not held, and every bias."""
    free: dict[str, Tensor] = {}
    held = set(held)
    modules = {module: name for name, module in model.named_modules()}
    for l, layer in enumerate(layers_of(model)):
        name = modules[layer]
        fixed = torch.zeros_like(layer.mask)
        for _, j, i in (edge for edge in held if edge[0] == l):
            fixed[j, i] = True
        free[f"{name}.coef"] = (layer.mask & ~fixed)[:, None].expand(layer.coef.shape)
        if layer.bias is not None:
            free[f"{name}.bias"] = torch.ones_like(layer.bias, dtype=torch.bool)
        symbols = layer.symbolic
        if symbols.affine is not None:
            rows = ~fixed[symbols.sources, symbols.targets]
            free[f"{name}.symbolic.affine"] = rows[:, None].expand(symbols.affine.shape)
    return free
