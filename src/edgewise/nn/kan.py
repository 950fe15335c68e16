"""The network: layers of curves, with product nodes between them where the widths ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise._arguments import told
from edgewise._shown import brief
from edgewise.bases import Basis
from edgewise.kernels import CurveLayer
from edgewise.nn._fast import children, plain_call, whole_network
from edgewise.nn.affine import Affine
from edgewise.nn.linear import KANLinear
from edgewise.nn.products import ProductNodes

Width = int | Sequence[int | Sequence[int]]


class KAN(nn.Module):
    """A Kolmogorov-Arnold network (Liu et al., arXiv 2404.19756, eq. 2.7), shapes (*batch, in) -> (*batch, out).

    `KAN([2, 5, 1])` has five hidden sums; `KAN([2, (3, 2), 1])` three hidden sums and two products of two factors;
    `KAN([2, (3, [2, 3]), 1])` a product of two and one of three.

    Args:
        widths: nodes per layer, at least two entries; an entry is a number of sums or a pair (sums, products), where
            products is their number or the list of their arities.
        basis: the functions on the edges, for every layer; `BSpline(5, 3)` by default.
        residual: the fixed function beside every curve, "silu", "identity" or None.
        bias: learn a bias per sum.
        grid_range: the interval that the grids cover at the start.
        generator: source of randomness of the initial values.
        input_names: names of the inputs, for plots and formulas.
        output_names: names of the outputs.
    """

    def __init__(
        self,
        widths: Sequence[Width],
        basis: Basis | None = None,
        *,
        residual: str | None = "silu",
        bias: bool = True,
        grid_range: Sequence[float] = (-1.0, 1.0),
        generator: torch.Generator | None = None,
        input_names: Iterable[str] | None = None,
        output_names: Iterable[str] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        nodes = [_nodes(n, w) for n, w in enumerate(widths)]
        if len(nodes) < 2:
            raise ValueError(f"widths needs an input and an output layer, such as [2, 5, 1]; got {list(widths)}")
        if nodes[0][1]:
            raise ValueError(f"widths[0] = {widths[0]!r}: inputs cannot be products; put them in a later layer")
        settings: dict[str, Any] = {"grid_range": grid_range, "generator": generator, "device": device, "dtype": dtype}
        layers = _built(nodes, basis, residual=residual, bias=bias, **settings)
        self._set(layers, (None, None), (input_names, output_names))

    @classmethod
    def assemble(
        cls,
        layers: Iterable[KANLinear | ProductNodes],
        *,
        input_affine: Affine | None = None,
        output_affine: Affine | None = None,
        input_names: Iterable[str] | None = None,
        output_names: Iterable[str] | None = None,
    ) -> KAN:
        """A network from its layers, which are used without a copy: the constructor of structural operations."""
        model = cls.__new__(cls)
        nn.Module.__init__(model)
        model._set(list(layers), (input_affine, output_affine), (input_names, output_names))
        return model

    def forward(self, x: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        if self.input_affine is not None:
            x = self.input_affine(x)
        y = whole_network(self, x)
        if y is None:
            y = x
            for layer in children(self):
                y = layer(y)
        return y if self.output_affine is None else self.output_affine(y)

    @property
    def widths(self) -> list[int | tuple[int, tuple[int, ...]]]:
        """Nodes per layer, as the constructor takes them."""
        widths: list[int | tuple[int, tuple[int, ...]]] = [self.in_features]
        for layer in self.layers:
            if isinstance(layer, ProductNodes):
                widths[-1] = (layer.sums, layer.arities)
            elif isinstance(layer, KANLinear):
                widths.append(layer.out_features)
        return widths

    @property
    def in_features(self) -> int:
        return cast(KANLinear, self.layers[0]).in_features

    @property
    def out_features(self) -> int:
        return cast(KANLinear | ProductNodes, self.layers[-1]).out_features

    def __repr__(self) -> str:
        lines = [f"KAN({self.widths}, {sum(p.numel() for p in self.parameters()):,} parameters"]
        lines += [f"  ({n}): {type(layer).__name__}({layer.extra_repr()})" for n, layer in enumerate(self.layers)]
        return brief("\n".join(lines) + ")")

    def plain_call(self) -> list[CurveLayer] | None:
        """The layers as plain tensors, where a call of the network computes these and nothing else; otherwise None."""
        return plain_call(self) if type(self).forward is KAN.forward else None

    def _set(
        self, layers: list[nn.Module], affines: Sequence[Affine | None], names: Sequence[Iterable[str] | None]
    ) -> None:
        self.layers = nn.ModuleList(layers)
        self._widest = max(width for m in layers if isinstance(m, KANLinear) for width in m.mask.shape)
        self.input_affine, self.output_affine = affines
        self.input_names = _names("input_names", names[0], self.in_features)
        self.output_names = _names("output_names", names[1], self.out_features)


def _built(nodes: list[tuple[int, tuple[int, ...]]], basis: Basis | None, **settings: Any) -> list[nn.Module]:
    """A layer of curves per entry of widths after the first, with the product nodes behind it."""
    layers: list[nn.Module] = []
    features = nodes[0][0]
    for sums, arities in nodes[1:]:
        layers.append(KANLinear(features, sums + sum(arities), basis, **settings))
        if arities:
            layers.append(ProductNodes(sums, arities))
        features = sums + len(arities)
    return layers


def _nodes(n: int, width: Width) -> tuple[int, tuple[int, ...]]:
    """The number of sums and the arities of the products of one entry of widths."""
    try:
        sums, products = (width, 0) if not isinstance(width, Sequence) else width
        arities = products if isinstance(products, Sequence) else (2,) * index(products)
        nodes = index(cast(int, sums)), tuple(index(a) for a in arities)
    except (TypeError, ValueError):
        nodes = 0, ()
    if nodes[0] < 0 or any(a < 2 for a in nodes[1]) or nodes[0] + len(nodes[1]) == 0:
        raise ValueError(
            f"widths[{n}] = {told(width)}: give a positive number of sums, or a pair (sums, products) such as (3, 2), "
            "where products is their number or a list of arities of at least 2"
        )
    return nodes


def _names(what: str, names: Iterable[str] | None, features: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    names = tuple(str(name) for name in names)
    if len(names) != features or len(set(names)) != features:
        raise ValueError(f"{what} must be {features} different names, got {list(names)}")
    return names
