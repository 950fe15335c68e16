"""Finds the KAN layers and edges of any module, and builds copies of the module with new layers.

An edge is addressed by an `EdgeKey` or any tuple (layer, source, target).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from edgewise.nn.kan import KAN
from edgewise.nn.linear import KANLinear
from edgewise.nn.products import ProductNodes
from edgewise.nn.symbolic import SymbolicEdges

M = TypeVar("M", bound=nn.Module)
_KEY = re.compile(r"(?:#(?P<place>-?\d+)|(?P<name>.*)):(?P<source>\d+)->(?P<target>\d+)")


class EdgeKey(NamedTuple):
    """The address of one edge: a layer, one of its inputs and one of its outputs.

    The layer is its module name, or its index among the KAN layers of the model (negative ones count from the last).

    >>> str(EdgeKey("layers.0", 1, 4)), str(EdgeKey(0, 1, 4))
    ('layers.0:1->4', '#0:1->4')
    >>> EdgeKey.parse("#0:1->4") == (0, 1, 4)
    True
    """

    layer: int | str
    source: int
    target: int

    def __str__(self) -> str:
        layer = self.layer if isinstance(self.layer, str) else f"#{self.layer}"
        return f"{layer}:{self.source}->{self.target}"

    @classmethod
    def parse(cls, text: str) -> EdgeKey:
        """The key that `str` wrote. Raises `ValueError` for any other text."""
        found = _KEY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not an edge; write 'name:source->target' or '#index:source->target'")
        layer = found["name"] if found["place"] is None else int(found["place"])
        return cls(layer, int(found["source"]), int(found["target"]))


EdgeLike = EdgeKey | tuple[int | str, int, int]


def kan_layers(model: nn.Module) -> dict[str, KANLinear]:
    """Every KAN layer by module name. Raises `ValueError` where there is none."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, KANLinear)}
    if not layers:
        raise ValueError(f"{type(model).__name__} has no KANLinear layer; nothing to do")
    return layers


def count_parameters(model: nn.Module) -> int:
    """The number of trainable parameters; frozen ones do not count."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def find_layer(model: nn.Module, layer: str | int) -> tuple[str, KANLinear]:
    """The name and the module of one KAN layer, addressed by its name or by its index among the KAN layers."""
    layers = kan_layers(model)
    if isinstance(layer, str):
        if layer not in layers:
            raise ValueError(f"no KANLinear is named {layer!r}; there are {', '.join(map(repr, layers))}")
        return layer, layers[layer]
    if not -len(layers) <= layer < len(layers):
        raise ValueError(
            f"layer {layer} does not exist; the model has {len(layers)} KAN layers, 0 to {len(layers) - 1}"
        )
    name = list(layers)[layer]
    return name, layers[name]


def edge_key(edge: EdgeLike) -> EdgeKey:
    """The tuple as an `EdgeKey`. Raises `TypeError` for what is not (layer, source, target)."""
    try:
        return EdgeKey(*edge)
    except TypeError:
        raise TypeError(f"an edge is (layer, source, target), such as (0, 1, 0), got {edge!r}") from None


def find_edge(model: nn.Module, edge: EdgeLike) -> tuple[str, KANLinear]:
    """The name and the module of the layer that has this edge. Raises `ValueError` where no layer has it."""
    layer, source, target = edge_key(edge)
    name, found = find_layer(model, layer)
    if not (0 <= source < found.in_features and 0 <= target < found.out_features):
        raise ValueError(
            f"layer {name!r} has {found.in_features} inputs and {found.out_features} outputs; "
            f"there is no edge (in={source}, out={target})"
        )
    return name, found


def require_plain(name: str, layer: KANLinear) -> None:
    """Raise `ValueError` where the layer has an adapter, before its coefficients get another meaning."""
    if layer.adapter is not None:
        raise ValueError(
            f"layer {name!r} has an adapter, whose update belongs to the old coefficients; "
            "call `edgewise.adapters.merge(model)` first"
        )


def owned(layer: KANLinear) -> Tensor:
    """True where an edge is a curve or a symbol: shape (in, out)."""
    return layer.mask | layer.symbolic.mask(layer.mask.shape)


def replaced(layer: KANLinear, **parts: Any) -> KANLinear:
    """A copy of the layer with some parts replaced; all other settings are kept.

    `parts` are arguments of `KANLinear.assemble`, and `adapter`. Without it an adapter is copied where it still fits;
    one that lives in the coordinates of a basis or a shape that changes raises `ValueError`.
    """
    adapter = parts.pop("adapter", None)
    if adapter is None and layer.adapter is not None and parts.keys() & {"basis", "coef", "grid", "residual"}:
        raise ValueError(
            "a layer has an adapter, whose update belongs to the old coefficients; "
            "call `edgewise.adapters.merge(model)` first, then change its grid, basis or shape"
        )
    old = {
        "basis": layer.basis,
        "residual": layer.residual,
        "coef": layer.coef,
        "grid": layer.grid,
        "mask": layer.mask,
        "bias": layer.bias,
        "symbolic": layer.symbolic,
        "inputs_per_grid": layer.inputs_per_grid,
    }
    new = KANLinear.assemble(**(old | parts))
    new.adapter = copy.deepcopy(layer.adapter) if adapter is None else adapter
    new.train(layer.training)
    new.coef.requires_grad_(layer.coef.requires_grad)
    if new.bias is not None and layer.bias is not None:
        new.bias.requires_grad_(layer.bias.requires_grad)
    if new.symbolic.affine is not None and layer.symbolic.affine is not None:
        new.symbolic.affine.requires_grad_(layer.symbolic.affine.requires_grad)
    return new


def with_layers(model: M, layers: Mapping[str, KANLinear]) -> M:
    """A copy of the model with the layers of those names replaced; a layer used twice is replaced by one layer."""
    old = {id(model.get_submodule(name)): new for name, new in layers.items()}
    if id(model) in old:
        return old[id(model)]  # pyright: ignore[reportReturnType]
    # The new layers enter the copy through the memo, so that the old ones are not copied.
    return copy.deepcopy(model, dict(old))


def copied_kan(model: nn.Module, what: str) -> KAN:
    """A copy of the model, whose layers a new network may take; `TypeError` unless it is a KAN."""
    if not isinstance(model, KAN):
        raise TypeError(
            f"{what} removes or adds whole nodes, which is defined for a KAN alone, not for {type(model).__name__}; "
            "call it on the KAN inside your model"
        )
    return copy.deepcopy(model)


def blocks(model: KAN) -> list[tuple[KANLinear, ProductNodes]]:
    """The layers of a network, each with its product nodes (with no products where it has none)."""
    pairs: list[tuple[KANLinear, ProductNodes]] = []
    for layer in model.layers:
        if isinstance(layer, KANLinear):
            pairs.append((layer, ProductNodes(layer.out_features, ())))
        elif isinstance(layer, ProductNodes):
            pairs[-1] = (pairs[-1][0], layer)
    return pairs


def reassembled(model: KAN, pairs: list[tuple[KANLinear, ProductNodes]], **changes: Any) -> KAN:
    """A network of these blocks, used without a copy, with the names, units and mode of the given one."""
    layers = [part for layer, products in pairs for part in (layer, products) if part is layer or products.arities]
    settings = {
        "input_affine": model.input_affine,
        "output_affine": model.output_affine,
        "input_names": model.input_names,
        "output_names": model.output_names,
    }
    new = KAN.assemble(layers, **(settings | changes))
    new.training = model.training  # `train` would overwrite the mode of the layers
    return new


def sliced_symbols(symbolic: SymbolicEdges, sources: Tensor, targets: Tensor) -> SymbolicEdges:
    """The symbols between the kept `sources` and `targets` (indices), renumbered; the others are dropped."""
    if symbolic.affine is None:
        return symbolic
    at_source = {int(j): n for n, j in enumerate(sources)}
    at_target = {int(i): n for n, i in enumerate(targets)}
    edges = list(zip(symbolic.sources.tolist(), symbolic.targets.tolist(), strict=True))
    kept = [n for n, (j, i) in enumerate(edges) if j in at_source and i in at_target]
    return SymbolicEdges(
        [symbolic.functions[n] for n in kept],
        torch.tensor([at_source[edges[n][0]] for n in kept], dtype=torch.long, device=symbolic.sources.device),
        torch.tensor([at_target[edges[n][1]] for n in kept], dtype=torch.long, device=symbolic.sources.device),
        symbolic.affine[kept] if kept else None,
    )


def symbols_where(symbolic: SymbolicEdges, keep: Tensor) -> SymbolicEdges:
    """The symbols on the edges where `keep` (in, out) is True."""
    if symbolic.affine is None:
        return symbolic
    kept = keep[symbolic.sources, symbolic.targets].nonzero()[:, 0]
    return SymbolicEdges(
        [symbolic.functions[n] for n in kept.tolist()],
        symbolic.sources[kept],
        symbolic.targets[kept],
        symbolic.affine[kept] if len(kept) else None,
    )
