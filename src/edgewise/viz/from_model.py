"""Make the diagram of a model: layout, curves and scores as a `Diagram`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.tracing import Trace, edge_scores, trace
from edgewise.viz._bands import add_bands
from edgewise.viz._curves import Part, inputs_of, parts_of, sample_edges
from edgewise.viz._layout import place
from edgewise.viz.diagram_data import Diagram, Edge


@torch.no_grad()
def diagram(
    model: nn.Module,
    x: Any = None,
    *,
    y: Any = None,
    scores: Mapping[str, Tensor] | None = None,
    input_names: Iterable[str] | None = None,
    output_names: Iterable[str] | None = None,
    samples: int = 101,
    max_edges: int = 100,
) -> Diagram:
    """The diagram of a network, as data.

    >>> import edgewise as ew
    >>> drawing = ew.diagram(ew.KAN([2, 5, 1]))
    >>> drawing.widths, len(drawing.edges), drawing.edges[0].kind
    ((2, 5, 1), 15, 'curve')

    Args:
        model: a `KAN`, a `KANLinear`, or an `nn.Sequential` of `KANLinear` and `ProductNodes`.
        x: inputs (samples, in), whose range the curves show; by default points spread over the grid.
        y: targets of x, as in training; every curve of a `KAN` then has a band of two standard deviations, see
            `edgewise.optim.edge_bands`.
        scores: importance (in, out) per layer name, as `edge_scores` returns it; computed from x by default.
        input_names: by default the model's, else x1, x2, ...
        output_names: by default the model's, else y1, y2, ...
        samples: points per curve.
        max_edges: draw at most so many edges (at least one per layer), the most important ones of every layer.
    """
    parts, given = parts_of(model), x
    x = inputs_of(parts, x)
    seen = trace(model, x)
    layers = _layer_names(parts, seen)
    scores = _scores(model, seen, x) if scores is None else scores
    score = [layer_score(scores, name, part) for name, part in zip(layers, parts, strict=True)]
    drawn = _most_important(score, [part.exists() for part in parts], max_edges)
    total = sum(int(part.exists().sum()) for part in parts)
    names = (
        names_of(input_names, getattr(model, "input_names", None), "x", parts[0].layer.in_features),
        names_of(output_names, getattr(model, "output_names", None), "y", parts[-1].out_features),
    )
    nodes, centers, width, height = place(parts, drawn, names, complete=sum(map(len, drawn)) == total)
    edges: list[Edge] = []
    for n, (part, name) in enumerate(zip(parts, layers, strict=True)):
        if drawn[n]:
            edges += sample_edges(part, n, seen[name].inputs, score[n], drawn[n], centers[n], samples)
    drawing = Diagram(
        nodes=tuple(nodes),
        edges=tuple(edges),
        layers=layers,
        widths=(parts[0].layer.in_features, *(part.out_features for part in parts)),
        width=width,
        height=height,
        omitted=total - len(edges),
        absent=sum(part.layer.mask.numel() for part in parts) - total,
    )
    return drawing if y is None else add_bands(drawing, model, parts, given, y)


@torch.no_grad()
def input_importance(
    model: nn.Module, x: Any, scores: Mapping[str, Tensor] | None, input_names: Iterable[str] | None
) -> list[tuple[str, float]]:
    """Name and importance of every input, the sum of the scores of its edges, largest first."""
    parts = parts_of(model)
    x = inputs_of(parts, x)
    seen = trace(model, x)
    score = layer_score(_scores(model, seen, x) if scores is None else scores, _layer_names(parts, seen)[0], parts[0])
    names = names_of(input_names, getattr(model, "input_names", None), "x", parts[0].layer.in_features)
    return sorted(zip(names, score.sum(1).tolist(), strict=True), key=lambda named: -named[1])


@dataclass(frozen=True)
class LayerView:
    """Edges of one layer, the inputs that it saw in the units of the edges, and the names of both sides."""

    edges: list[Edge]
    inputs: Float[Tensor, "samples in"]
    sources: list[str]
    targets: list[str]


@torch.no_grad()
def layer_view(
    model: nn.Module, x: Any, layer: int | str, pair: tuple[int, int] | None = None, *, limit: int = 24
) -> LayerView:
    """One edge of a layer, or its `limit` most important ones. The layer may be anywhere in any module."""
    try:
        parts = parts_of(model)
    except ValueError:
        parts = []
    x = inputs_of(parts, x) if parts else x
    seen = trace(model, x)
    names = list(seen)
    numbers = range(-len(names), len(names))
    name = names[layer] if isinstance(layer, int) and layer in numbers else str(layer)
    if name not in names:
        raise ValueError(f"the model has no KAN layer {layer!r}; it has {', '.join(map(repr, names))}")
    number, module = names.index(name), seen[name].layer
    part = next((part for part in parts if part.layer is module), Part(module))
    score = layer_score(_scores(model, seen, x), name, part)
    if pair is None:
        (pairs,) = _most_important([score], [part.exists()], limit)
        pairs.sort(key=lambda p: -float(score[p]))
    elif not (0 <= pair[0] < module.in_features and 0 <= pair[1] < module.out_features):
        raise ValueError(
            f"layer {name!r} has {module.in_features} inputs and {module.out_features} outputs, no edge {pair}"
        )
    elif not part.exists()[pair]:
        raise ValueError(f"layer {name!r}: the edge (source={pair[0]}, target={pair[1]}) is absent; nothing to draw")
    else:
        pairs = [pair]
    units = [part.input_unit(j) for j in range(module.in_features)]
    scale, shift = (torch.tensor(column).to(seen[name].inputs) for column in zip(*units, strict=True))
    first, last = parts and part is parts[0], parts and part is parts[-1] and part.products is None
    return LayerView(
        edges=sample_edges(part, number, seen[name].inputs, score, pairs, {}, 301) if pairs else [],
        inputs=(seen[name].inputs - shift) / scale,
        sources=_titles(model, "input_names", "x", module.in_features, bool(first)),
        targets=_titles(model, "output_names", "y", module.out_features, bool(last)),
    )


def _titles(model: nn.Module, attribute: str, letter: str, n: int, named: bool) -> list[str]:
    """The model's names at its ends, node indices between them."""
    if named:
        return names_of(None, getattr(model, attribute, None), letter, n)
    return [f"node {k}" for k in range(n)]


def layer_score(scores: Mapping[str, Tensor], name: str, part: Part) -> Tensor:
    """The scores of one layer; what is not a finite number counts as zero."""
    if name not in scores:
        raise ValueError(f"scores has no entry for layer {name!r}; it has {', '.join(scores)}")
    score, shape = scores[name], part.layer.mask.shape
    if score.shape != shape:
        raise ValueError(f"scores[{name!r}] must have the shape {tuple(shape)}, got {tuple(score.shape)}")
    return score.detach().double().cpu().nan_to_num(0.0, 0.0, 0.0).clamp(min=0)


def names_of(given: Iterable[str] | None, own: Iterable[str] | None, letter: str, n: int) -> list[str]:
    """The names of the inputs (letter x) or outputs (letter y)."""
    names = given if given is not None else own
    if names is None:
        return [letter] if letter == "y" and n == 1 else [f"{letter}{k + 1}" for k in range(n)]
    names = [str(name) for name in names]
    if len(names) != n:
        raise ValueError(f"{n} names are needed for the {'inputs' if letter == 'x' else 'outputs'}, got {names}")
    return names


def _scores(model: nn.Module, seen: Trace, x: Tensor) -> dict[str, Tensor]:
    """The scores over the samples whose outputs are finite: a symbol outside its domain must not hide all others."""
    fine = seen.output.reshape(len(x), -1).isfinite().all(-1)
    return edge_scores(seen if fine.all() or fine.sum() < 2 else trace(model, x[fine]))


def _layer_names(parts: list[Part], seen: Trace) -> tuple[str, ...]:
    names = {item.layer: name for name, item in seen.items()}
    return tuple(names[part.layer] for part in parts)


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
