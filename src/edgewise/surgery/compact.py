"""Removes hidden nodes without edges, and inputs that no edge reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgewise.nn import KAN, Affine, KANLinear, ProductNodes
from edgewise.nn.layers import blocks, copied_kan, owned, reassembled, replaced, sliced_symbols, symbols_where

Block = tuple[KANLinear, ProductNodes]


@torch.no_grad()
def compact(model: nn.Module) -> KAN:
    r"""The same function with fewer hidden nodes; inputs and outputs stay.

    A node that no edge reads is removed. A node that reads nothing is a constant $v$: the contribution of its outgoing
    edges, $\phi_{ij}(v)$, moves into the biases of the next layer. It stays where that layer has no bias. A product
    node is constant when all its factors are, or one of them is zero. Each hidden layer keeps at least one node.
    """
    model = copied_kan(model, "compact")
    pairs = _fold_constants(blocks(model))
    for n in range(len(pairs) - 2, -1, -1):
        pairs[n], pairs[n + 1] = _drop_unread(pairs[n], pairs[n + 1])
    return reassembled(model, pairs)


@torch.no_grad()
def select_inputs(model: nn.Module) -> tuple[KAN, list[int]]:
    """The network of the inputs that an edge reads, and their indices; call it on `x[..., kept]`.

    The first input stays where nothing reads any.
    """
    model = copied_kan(model, "select_inputs")
    pairs = blocks(model)
    layer, products = pairs[0]
    kept = owned(layer).any(1).nonzero()[:, 0]
    kept = kept if len(kept) else kept.new_zeros(1)
    every = torch.arange(layer.out_features, device=kept.device)
    pairs[0] = (_sliced(layer, kept, every), products)
    affine, names = model.input_affine, model.input_names
    indices: list[int] = kept.tolist()
    smaller = reassembled(
        model,
        pairs,
        input_affine=None if affine is None else Affine(affine.scale[kept], affine.shift[kept]),
        input_names=None if names is None else [names[j] for j in indices],
    )
    return smaller, indices


def _fold_constants(pairs: list[Block]) -> list[Block]:
    """Move the contributions of constant nodes into the biases behind them, from the inputs on."""
    pairs = list(pairs)
    for n in range(len(pairs) - 1):
        values = _constants(*pairs[n])
        layer, products = pairs[n + 1]
        constant = ~values.isnan()
        contribution = layer.edge_values(torch.where(constant, values, 0)).where(constant[:, None] & owned(layer), 0)
        foldable = contribution.isfinite().all(1) & ((layer.bias is not None) | (contribution == 0).all(1))
        gone = (constant & foldable)[:, None] & owned(layer)
        if not gone.any():
            continue
        parts = {"mask": layer.mask & ~gone, "symbolic": symbols_where(layer.symbolic, ~gone)}
        if layer.bias is not None:
            parts["bias"] = layer.bias + contribution.where(gone, 0).sum(0)
        pairs[n + 1] = (replaced(layer, **parts), products)
    return pairs


def _constants(layer: KANLinear, products: ProductNodes) -> Tensor:
    """The value of every node that is constant, NaN for the others."""
    factors = torch.zeros_like(layer.coef[0, 0]) if layer.bias is None else layer.bias.detach().clone()
    varies = owned(layer).any(0)
    factors[varies] = torch.nan
    vanishing = products(torch.where(factors == 0, factors, 1)) == 0  # zero times NaN would be NaN
    return torch.where(vanishing, 0, products(factors))


def _drop_unread(block: Block, following: Block) -> tuple[Block, Block]:
    """Two blocks without the nodes between them that no edge of the second reads."""
    (layer, products), (reader, later) = block, following
    read = owned(reader).any(1)
    if read.all():
        return block, following
    read[0] |= ~read.any()
    nodes = read.nonzero()[:, 0]
    groups = products.groups()
    factors = [factor for n in nodes.tolist() for factor in groups[n]]
    kept = torch.tensor(factors, device=read.device)
    arities = tuple(len(groups[n]) for n in nodes.tolist() if n >= products.sums)
    smaller = ProductNodes(int(read[: products.sums].sum()), arities)
    inputs = torch.arange(layer.in_features, device=read.device)
    outputs = torch.arange(reader.out_features, device=read.device)
    return (_sliced(layer, inputs, kept), smaller), (_sliced(reader, nodes, outputs), later)


def _sliced(layer: KANLinear, sources: Tensor, targets: Tensor) -> KANLinear:
    """The layer between some of its inputs and some of its outputs."""
    return replaced(
        layer,
        coef=layer.coef[sources][..., targets],
        grid=layer.grid[sources],
        mask=layer.mask[sources][:, targets],
        bias=None if layer.bias is None else layer.bias[targets],
        symbolic=sliced_symbols(layer.symbolic, sources, targets),
    )
