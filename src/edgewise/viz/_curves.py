"""The layers of a model that can be drawn, and the curves on their edges in the user's units."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import KAN, Affine, KANLinear, ProductNodes
from edgewise.viz.diagram_data import Edge

_MAX_VALUES = 20_000_000  # edge values computed at once


@dataclass(frozen=True)
class Part:
    """A layer of curves, the products behind it, and the affine maps at the ends of the network."""

    layer: KANLinear
    products: ProductNodes | None = None
    before: Affine | None = None
    after: Affine | None = None

    @property
    def out_features(self) -> int:
        return self.layer.out_features if self.products is None else self.products.out_features

    @property
    def sums(self) -> int:
        return self.layer.out_features if self.products is None else self.products.sums

    def groups(self) -> list[range]:
        """The features of the layer behind every node."""
        if self.products is None:
            return [range(i, i + 1) for i in range(self.layer.out_features)]
        return self.products.groups()

    def bias(self, i: int) -> float:
        """What the layer adds to its output i."""
        return 0.0 if self.layer.bias is None else float(self.layer.bias[i])

    def input_unit(self, j: int) -> tuple[float, float]:
        """Scale and shift from the user's input j to the layer's."""
        return (1.0, 0.0) if self.before is None else (float(self.before.scale[j]), float(self.before.shift[j]))

    def output_unit(self, node: int) -> tuple[float, float]:
        """Scale and shift from a node to the user's output."""
        return (1.0, 0.0) if self.after is None else (float(self.after.scale[node]), float(self.after.shift[node]))

    def edge_unit(self, target: int) -> float:
        """The factor from the values of an edge to the user's output; 1 for the edges of a factor node."""
        return self.output_unit(target)[0] if target < self.sums else 1.0

    def exists(self) -> Tensor:
        """(in, out), True where the edge is a curve or a symbol."""
        return self.layer.mask | self.layer.symbolic.mask(tuple(self.layer.mask.shape))


def parts_of(model: nn.Module) -> list[Part]:
    """The layers from the inputs to the outputs; `ValueError` where the model is no plain chain of KAN layers."""
    if isinstance(model, KANLinear):
        return [Part(model)]
    modules = list(model.layers) if isinstance(model, KAN) else list(model) if isinstance(model, nn.Sequential) else []
    parts: list[Part] = []
    for module in modules:
        if isinstance(module, KANLinear):
            parts.append(Part(module))
        elif isinstance(module, ProductNodes) and parts and parts[-1].products is None:
            parts[-1] = dataclasses.replace(parts[-1], products=module)
        else:
            parts = []
            break
    if not parts:
        raise ValueError(
            f"a diagram shows a KAN, a KANLinear or an nn.Sequential of KANLinear, not this {type(model).__name__}; "
            "give one of its layers: diagram(model.get_submodule(name), x)"
        )
    if isinstance(model, KAN):
        parts[0] = dataclasses.replace(parts[0], before=model.input_affine)
        parts[-1] = dataclasses.replace(parts[-1], after=model.output_affine)
    return parts


def inputs_of(parts: list[Part], x: Any) -> Float[Tensor, "samples in"]:
    """The given inputs, thinned out where there are many, or points spread over the grid in the user's units."""
    first = parts[0].layer
    rows = max(16, min(1000, _MAX_VALUES // max(part.layer.mask.numel() for part in parts)))
    if x is None:
        low, high = first.basis.span(first.grid)
        u = low + (high - low) * torch.quasirandom.SobolEngine(first.in_features).draw(rows).to(first.grid)
        return u if parts[0].before is None else (u - parts[0].before.shift) / parts[0].before.scale
    x = (x if isinstance(x, Tensor) else torch.from_numpy(np.array(x, dtype=float, order="C"))).to(first.grid)
    if x.ndim < 2 or x.shape[-1] != first.in_features or x.numel() == 0:
        raise ValueError(f"x must have the shape (samples, {first.in_features}), got {tuple(x.shape)}")
    x = x.reshape(-1, first.in_features)
    return x[:: math.ceil(len(x) / rows)]


def sample_edges(
    part: Part,
    number: int,
    inputs: Float[Tensor, "n in"],
    score: Float[Tensor, "in out"],
    pairs: list[tuple[int, int]],
    centers: dict[tuple[int, int], tuple[float, float]],
    samples: int,
) -> list[Edge]:
    """The edges (source, target) of one layer, their curves over the range of the inputs, in the user's units."""
    layer = part.layer
    j, i = (torch.tensor(index, dtype=torch.long, device=layer.grid.device) for index in zip(*pairs, strict=True))
    low, high = _range(layer, inputs)
    u = low + (high - low) * torch.linspace(0, 1, samples, dtype=low.dtype, device=low.device)[:, None]
    chunks = u.split(max(1, _MAX_VALUES // layer.mask.numel()))
    values = torch.cat([layer.edge_values(chunk)[:, j, i] for chunk in chunks]).double()
    top = float(score[j.cpu(), i.cpu()].max()) or 1.0
    symbols = _symbols(layer)
    edges = []
    for n, pair in enumerate(pairs):
        scale, shift = part.input_unit(pair[0])
        times = part.edge_unit(pair[1])
        xs, ys = (u[:, pair[0]].double() - shift) / scale, values[:, n] * times
        if scale < 0:
            xs, ys = xs.flip(0), ys.flip(0)
        name, affine = symbols.get(pair, (None, None))
        if affine is not None:
            a, b, c, d = affine
            affine = (a * scale, a * shift + b, c * times, d * times)
        edges.append(
            Edge(
                number,
                *pair,
                kind="curve" if name is None else "symbol",
                score=float(score[pair]),
                importance=float(score[pair]) / top,
                x=tuple(_rounded(v) for v in xs.tolist()),
                y=tuple(_rounded(v) if math.isfinite(v) else None for v in ys.tolist()),
                center=centers.get(pair, (0.0, 0.0)),
                symbol=name,
                affine=affine,
            )
        )
    return edges


def _range(layer: KANLinear, inputs: Float[Tensor, "n in"]) -> tuple[Tensor, Tensor]:
    """The range of the finite inputs; that of the grid where they do not vary."""
    low = torch.where(inputs.isfinite(), inputs, torch.inf).amin(0)
    high = torch.where(inputs.isfinite(), inputs, -torch.inf).amax(0)
    varies = high > low
    grid_low, grid_high = layer.basis.span(layer.grid)
    return torch.where(varies, low, grid_low), torch.where(varies, high, grid_high)


def _symbols(layer: KANLinear) -> dict[tuple[int, int], tuple[str, tuple[float, float, float, float]]]:
    """Name and affine parameters of every symbol by (source, target)."""
    symbolic = layer.symbolic
    if symbolic.affine is None:
        return {}
    edges = zip(symbolic.sources.tolist(), symbolic.targets.tolist(), strict=True)
    names = (fn.name for fn in symbolic.functions)
    return {e: (name, tuple(row)) for e, name, row in zip(edges, names, symbolic.affine.tolist(), strict=True)}


def _rounded(value: float) -> float:
    """Nine digits: more than any plot shows, and half the JSON."""
    return float(f"{value:.9g}")
