r"""A network as data: where its nodes stand, and the curve on every edge. Drawing comes after.

With the first node column at x = 0 and y pointing down, the numbers are those of a picture; a node's value is

$$ v = b + \sum_{e \to v} \phi_e(x_e) \ \text{(sum, factor)}, \qquad v = b + s\prod_{f \to v} f \ \text{(product)}, $$

with $\phi_e$ sampled in `Edge.x`, `Edge.y` and $b$, $s$ in `Node`: a `Diagram` holds all of the network that it draws.
Where an edge touches an input or an output it is in the user's units, as the model's own affine maps define them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import KAN, Affine, KANLinear, ProductNodes
from edgewise.trace import Trace, trace

BOX_WIDTH, BOX_HEIGHT = 1.25, 0.8
_PITCH = 1.2  # from one box to the next below it
_LANE = 1.0  # room for the wires on either side of the boxes; more in a high picture, where they run steeply
_ROWS = 18  # more boxes than these in a column stand side by side
_MAX_VALUES = 20_000_000  # edge values computed at once for the scores


@dataclass(frozen=True)
class Node:
    """A node at (x, y).

    Attributes:
        layer: 0 for the inputs, n for what the n-th layer of curves computes.
        index: its number in that layer; factors count as the layer's sums do.
        kind: "input", "sum", "product", or "factor", a sum that only feeds a product.
        name: of an input or output; empty between them.
        bias: what is added to the sum or product.
        scale: what a product is multiplied by: the unit of an output.
        product: the index of the product that a factor feeds.
    """

    layer: int
    index: int
    kind: Literal["input", "sum", "product", "factor"]
    x: float
    y: float
    name: str = ""
    bias: float = 0.0
    scale: float = 1.0
    product: int | None = None


@dataclass(frozen=True)
class Edge:
    r"""An edge that is a curve or a symbol, with its box centred at (left + width / 2, top + height / 2).

    Attributes:
        layer: number of the layer of curves, from 0.
        source: index of its node in node layer `layer`.
        target: index of its sum or factor in node layer `layer + 1`.
        kind: who owns the edge; absent edges are not listed.
        score: importance as given to `diagram`.
        importance: score over the largest of its layer, 0 to 1.
        x: where the curve is sampled, rising.
        y: its values there; None where it is not finite.
        center: the middle of its box.
        symbol: name of the function $f$ of a symbol.
        affine: $(\alpha, \beta, \gamma, \delta)$ with $y = \gamma f(\alpha x + \beta) + \delta$ for a symbol.
        band: lower and upper values of a confidence band.
    """

    layer: int
    source: int
    target: int
    kind: Literal["curve", "symbol"]
    score: float
    importance: float
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    center: tuple[float, float]
    symbol: str | None = None
    affine: tuple[float, float, float, float] | None = None
    band: tuple[tuple[float, ...], tuple[float, ...]] | None = None


@dataclass(frozen=True)
class Diagram:
    """A drawable network.

    Attributes:
        nodes: every node that is drawn.
        edges: every edge that is drawn.
        layers: the module names of the layers of curves.
        widths: nodes per layer of the network, drawn or not.
        width: x of the last node column.
        height: y of the lower end; everything stands between 0 and there.
        omitted: edges that exist but were left out because there are too many.
        absent: edges that the network does not have.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    layers: tuple[str, ...]
    widths: tuple[int, ...]
    width: float
    height: float
    omitted: int = 0
    absent: int = 0

    def source(self, edge: Edge) -> Node:
        """The node where an edge begins."""
        return self._lookup[edge.layer, edge.source, False]

    def target(self, edge: Edge) -> Node:
        """The sum or factor where an edge ends."""
        return self._lookup[edge.layer + 1, edge.target, True]

    def product(self, factor: Node) -> Node:
        """The product that a factor feeds."""
        assert factor.product is not None
        return self._lookup[factor.layer, factor.product, False]

    def edge(self, layer: int, source: int, target: int) -> Edge:
        """One edge; `KeyError` where it is absent or omitted."""
        for edge in self.edges:
            if (edge.layer, edge.source, edge.target) == (layer, source, target):
                return edge
        raise KeyError(f"the diagram has no edge (layer={layer}, source={source}, target={target})")

    def with_band(self, edge: Edge, lower: Sequence[float], upper: Sequence[float]) -> Diagram:
        """The diagram with a confidence band at the samples of one of its edges."""
        if not len(lower) == len(upper) == len(edge.x):
            raise ValueError(f"the band needs {len(edge.x)} values, one per sample of the edge; got {len(lower)}")
        band = tuple(map(float, lower)), tuple(map(float, upper))
        edges = tuple(dataclasses.replace(e, band=band) if e == edge else e for e in self.edges)
        return dataclasses.replace(self, edges=edges)

    def note(self) -> str:
        """What is not in the picture, in words; empty where all of it is."""
        if not self.omitted:
            return ""
        drawn = len(self.edges)
        return f"the {drawn} most important of {drawn + self.omitted} edges are drawn"

    def to_json(self) -> dict[str, Any]:
        """A JSON object, read back by `from_json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Diagram:
        """The diagram that `to_json` described."""
        fields = dict(data)
        fields["nodes"] = tuple(Node(**node) for node in data["nodes"])
        fields["edges"] = tuple(Edge(**{k: _tuples(v) for k, v in edge.items()}) for edge in data["edges"])
        fields["layers"], fields["widths"] = tuple(data["layers"]), tuple(data["widths"])
        return cls(**fields)

    def _repr_svg_(self) -> str:
        from edgewise.viz.svg import svg

        return svg(self)

    @property
    def _lookup(self) -> dict[tuple[int, int, bool], Node]:
        """Nodes by (layer, index, takes edges): a sum both takes and gives, a factor takes, the others give."""
        takes = {(n.layer, n.index, True): n for n in self.nodes if n.kind in ("sum", "factor")}
        gives = {(n.layer, n.index, False): n for n in self.nodes if n.kind != "factor"}
        return takes | gives


@torch.no_grad()
def diagram(
    model: nn.Module,
    x: Any = None,
    *,
    scores: Mapping[str, Tensor] | None = None,
    input_names: Iterable[str] | None = None,
    output_names: Iterable[str] | None = None,
    samples: int = 101,
    max_edges: int = 150,
) -> Diagram:
    """The picture of a network as data.

    Args:
        model: a `KAN`, a `KANLinear`, or an `nn.Sequential` of `KANLinear` and `ProductNodes`.
        x: inputs (samples, in), whose range the curves show; by default points spread over the grid.
        scores: importance (in, out) per layer name, as `edge_scores` returns it; computed from x by default.
        input_names: by default the model's, else x1, x2, ...
        output_names: by default the model's, else y1, y2, ...
        samples: points per curve.
        max_edges: draw at most so many edges, the most important ones of every layer.
    """
    parts = _parts(model)
    curves = [part.layer for part in parts]
    x = _inputs(model, curves, x)
    seen = trace(model, x)
    scores = _local_scores(seen) if scores is None else scores
    layers = tuple(_layer_names(model, curves, seen))
    score = [_score(scores, name, layer) for name, layer in zip(layers, curves, strict=True)]
    exists = [layer.mask | layer.symbolic.mask(layer.mask.shape) for layer in curves]
    drawn = _most_important(score, exists, max_edges)
    total = sum(int(e.sum()) for e in exists)
    names = (
        _names(input_names, getattr(model, "input_names", None), "x", curves[0].in_features),
        _names(output_names, getattr(model, "output_names", None), "y", parts[-1].out_features),
    )
    nodes, centers, width, height = _place(parts, drawn, names, everything=sum(map(len, drawn)) == total)
    edges = []
    for n, part in enumerate(parts):
        top = max((float(score[n][j, i]) for j, i in drawn[n]), default=0.0) or 1.0
        for (j, i), sampled in zip(drawn[n], _sample(part, seen[layers[n]].inputs, drawn[n], samples), strict=True):
            s = float(score[n][j, i])
            edges.append(Edge(n, j, i, score=s, importance=s / top, center=centers[n, j, i], **sampled))
    return Diagram(
        nodes=tuple(nodes),
        edges=tuple(edges),
        layers=layers,
        widths=(curves[0].in_features, *(part.out_features for part in parts)),
        width=width,
        height=height,
        omitted=total - len(edges),
        absent=sum(e.numel() for e in exists) - total,
    )


@dataclass(frozen=True)
class _Part:
    """A layer of curves, the products behind it, and the affine maps at its ends."""

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
        return 0.0 if self.layer.bias is None else float(self.layer.bias[i])

    def output_unit(self, node: int) -> tuple[float, float]:
        """The scale and shift of a node."""
        return (1.0, 0.0) if self.after is None else (float(self.after.scale[node]), float(self.after.shift[node]))


def _parts(model: nn.Module) -> list[_Part]:
    if isinstance(model, KANLinear):
        return [_Part(model)]
    modules = list(model.layers) if isinstance(model, KAN) else list(model) if isinstance(model, nn.Sequential) else []
    parts: list[_Part] = []
    for module in modules:
        if isinstance(module, KANLinear):
            parts.append(_Part(module))
        elif isinstance(module, ProductNodes) and parts and parts[-1].products is None:
            parts[-1] = dataclasses.replace(parts[-1], products=module)
        else:
            parts = []
            break
    if not parts:
        raise ValueError(
            f"a diagram shows a KAN, a KANLinear or an nn.Sequential of KANLinear, not {type(model).__name__}; "
            "give one of its layers: diagram(model.get_submodule(name), x)"
        )
    if isinstance(model, KAN):
        parts[0] = dataclasses.replace(parts[0], before=model.input_affine)
        parts[-1] = dataclasses.replace(parts[-1], after=model.output_affine)
    return parts


def _inputs(model: nn.Module, layers: list[KANLinear], x: Any) -> Float[Tensor, "samples in"]:
    """The given inputs, thinned out where the network is large, or points spread over the grid."""
    first = layers[0]
    rows = max(16, min(1000, _MAX_VALUES // max(layer.mask.numel() for layer in layers)))
    like = {"dtype": first.grid.dtype, "device": first.grid.device}
    if x is None:
        low, high = first.basis.span(first.grid)
        u = torch.quasirandom.SobolEngine(first.in_features).draw(rows).to(**like)
        x = low + (high - low) * u
        affine = getattr(model, "input_affine", None)
        return x if affine is None else (x - affine.shift) / affine.scale
    x = torch.as_tensor(x if isinstance(x, Tensor) else getattr(x, "values", x)).to(**like)
    if x.ndim < 2 or x.shape[-1] != first.in_features or x.numel() == 0:
        raise ValueError(f"x must have the shape (samples, {first.in_features}), got {tuple(x.shape)}")
    x = x.reshape(-1, first.in_features)
    return x[:: math.ceil(len(x) / rows)]


def _layer_names(model: nn.Module, layers: list[KANLinear], seen: Trace) -> Iterable[str]:
    names = {item.layer: name for name, item in seen.items()}
    return (names[layer] for layer in layers)


def _local_scores(seen: Trace) -> dict[str, Tensor]:
    """The standard deviation of every edge over the samples."""
    return {name: layer.edges().std(0, correction=0) for name, layer in seen.items()}


def _score(scores: Mapping[str, Tensor], name: str, layer: KANLinear) -> Tensor:
    """The scores of one layer; what is not a finite number counts as zero."""
    if name not in scores:
        raise ValueError(f"scores has no entry for layer {name!r}; it has {', '.join(scores)}")
    score = scores[name]
    if score.shape != layer.mask.shape:
        raise ValueError(f"scores[{name!r}] must have the shape {tuple(layer.mask.shape)}, got {tuple(score.shape)}")
    return score.detach().double().cpu().nan_to_num(0.0, 0.0, 0.0).clamp(min=0)


def _most_important(score: list[Tensor], exists: list[Tensor], max_edges: int) -> list[list[tuple[int, int]]]:
    """The (source, target) pairs to draw, by target, then source: small layers whole, large ones their best."""
    left, drawn = max_edges, {}
    order = sorted(range(len(exists)), key=lambda n: int(exists[n].sum()))
    for rank, n in enumerate(order):
        budget = max(1, left // (len(order) - rank))
        pairs = exists[n].cpu().nonzero()
        best = score[n][pairs[:, 0], pairs[:, 1]].argsort(descending=True, stable=True)[:budget]
        drawn[n] = sorted(((j, i) for j, i in pairs[best].tolist()), key=lambda pair: pair[::-1])
        left -= len(drawn[n])
    return [drawn[n] for n in range(len(exists))]


def _names(given: Iterable[str] | None, own: Iterable[str] | None, letter: str, n: int) -> list[str]:
    names = given if given is not None else own
    if names is None:
        return [f"{letter}{k + 1}" for k in range(n)] if n > 1 or letter == "x" else [letter]
    names = [str(name) for name in names]
    if len(names) != n:
        raise ValueError(f"{n} names are needed for {'inputs' if letter == 'x' else 'outputs'}, got {names}")
    return names


def _sample(
    part: _Part, inputs: Float[Tensor, "n in"], pairs: list[tuple[int, int]], samples: int
) -> list[dict[str, Any]]:
    """The curve of every pair over the range of its inputs, in the user's units."""
    layer = part.layer
    finite = torch.where(inputs.isfinite(), inputs, inputs.nanmean(0))
    low, high = finite.amin(0), finite.amax(0)
    span = layer.basis.span(layer.grid)
    flat = ~(high > low)
    low, high = torch.where(flat, span[0], low), torch.where(flat, span[1], high)
    u = low + (high - low) * torch.linspace(0, 1, samples, dtype=low.dtype, device=low.device)[:, None]
    values = layer.edge_values(u).double()
    u = u.double()
    symbols = _symbols(layer)
    sampled = []
    for j, i in pairs:
        scale, shift = (1.0, 0.0) if part.before is None else (float(part.before.scale[j]), float(part.before.shift[j]))
        times = part.output_unit(i)[0] if i < part.sums else 1.0
        xs, ys = (u[:, j] - shift) / scale, values[:, j, i] * times
        if scale < 0:
            xs, ys = xs.flip(0), ys.flip(0)
        name, affine = symbols.get((j, i), (None, None))
        if affine is not None:
            a, b, c, d = affine
            affine = (a * scale, a * shift + b, c * times, d * times)
        sampled.append(
            {
                "kind": "curve" if name is None else "symbol",
                "x": tuple(_rounded(v) for v in xs.tolist()),
                "y": tuple(_rounded(v) if math.isfinite(v) else None for v in ys.tolist()),
                "symbol": name,
                "affine": affine,
            }
        )
    return sampled


def _symbols(layer: KANLinear) -> dict[tuple[int, int], tuple[str, tuple[float, float, float, float]]]:
    """Name and affine numbers of every symbol by (source, target)."""
    symbolic = layer.symbolic
    if symbolic.affine is None:
        return {}
    edges = zip(symbolic.sources.tolist(), symbolic.targets.tolist(), strict=True)
    names = (fn.name for fn in symbolic.functions)
    return {e: (name, tuple(row)) for e, name, row in zip(edges, names, symbolic.affine.tolist(), strict=True)}


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def _place(
    parts: list[_Part], drawn: list[list[tuple[int, int]]], names: tuple[list[str], list[str]], everything: bool
) -> tuple[list[Node], dict[tuple[int, int, int], tuple[float, float]], float, float]:
    """The nodes, the middle of every edge's box, and the size of the picture.

    Boxes stand in the order of their targets, so that the curves which add up to a node are neighbours; the node stands
    beside the middle of them.
    """
    fed = [
        _features(part, pairs, n, drawn, everything) for n, (part, pairs) in enumerate(zip(parts, drawn, strict=True))
    ]
    inputs = list(range(parts[0].layer.in_features)) if everything else sorted({j for j, _ in drawn[0]})
    slots = [_slots(pairs, features) for pairs, features in zip(drawn, fed, strict=True)]
    columns = [math.ceil(len(s) / _ROWS) for s in slots]
    rows = [math.ceil(len(s) / c) for s, c in zip(slots, columns, strict=True)]
    height = _PITCH * max(*rows, 0.75 * len(inputs), 1)
    nodes = [Node(0, j, "input", 0.0, _at(k, len(inputs), height), names[0][j]) for k, j in enumerate(inputs)]
    centers: dict[tuple[int, int, int], tuple[float, float]] = {}
    x, step = 0.0, BOX_WIDTH + 0.35
    for n, part in enumerate(parts):
        lane = _LANE + 0.25 * math.sqrt(height) if len(slots[n]) > 1 else _LANE
        rail = x + lane - (step - BOX_WIDTH) / 2 + step / 2
        level: dict[int, list[float]] = {}
        for k, (j, i) in enumerate(slots[n]):
            y = _at(k, len(slots[n]), height)
            level.setdefault(i, []).append(y)
            if j >= 0:
                centers[n, j, i] = (round(rail + step * (k % columns[n]), 6), y)
        x = round(x + 2 * lane + BOX_WIDTH + step * (columns[n] - 1), 6)
        feature_y = {i: sum(ys) / len(ys) for i, ys in level.items()}
        titles = names[1] if n == len(parts) - 1 else [""] * part.out_features
        nodes += _column(part, n + 1, x, feature_y, titles)
        x += 0.0 if part.products is None else _LANE
    return nodes, centers, x, height


def _features(
    part: _Part, pairs: list[tuple[int, int]], n: int, drawn: list[list[tuple[int, int]]], everything: bool
) -> list[int]:
    """The outputs of a layer that are drawn: all of them, or those that touch a drawn edge and their fellow factors."""
    used = {i for _, i in pairs}
    gives = {j for j, _ in drawn[n + 1]} if n + 1 < len(drawn) else set()
    groups = [g for k, g in enumerate(part.groups()) if everything or k in gives or used.intersection(g)]
    return [i for group in groups for i in group]


def _slots(pairs: list[tuple[int, int]], features: list[int]) -> list[tuple[int, int]]:
    """The places in a column of boxes: one per edge, and an empty one (-1, i) for a node without edges."""
    by_target: dict[int, list[tuple[int, int]]] = {i: [] for i in features}
    for j, i in pairs:
        by_target[i].append((j, i))
    return [pair for i, own in by_target.items() for pair in own or [(-1, i)]]


def _at(k: int, n: int, height: float) -> float:
    return round((k + 0.5) / n * height, 6)


def _column(part: _Part, level: int, x: float, y: dict[int, float], names: list[str]) -> list[Node]:
    """The nodes behind a layer; products stand to the right of their factors, in line with the sums."""
    right = x if part.products is None else x + _LANE
    nodes = []
    for k, group in enumerate(part.groups()):
        if group[0] not in y:
            continue
        scale, shift = part.output_unit(k)
        if k < part.sums:
            nodes.append(Node(level, k, "sum", right, y[k], names[k], bias=part.bias(k) * scale + shift))
            continue
        nodes += [Node(level, i, "factor", x, y[i], bias=part.bias(i), product=k) for i in group]
        middle = sum(y[i] for i in group) / len(group)
        nodes.append(Node(level, k, "product", right, middle, names[k], bias=shift, scale=scale))
    return nodes


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
