"""A model becomes a `Diagram`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.trace import Trace, trace
from edgewise.viz._curves import Part, inputs_of, parts_of, sample_edges
from edgewise.viz._layout import place
from edgewise.viz.diagram import Diagram, Edge


@torch.no_grad()
def diagram(
    model: nn.Module,
    x: Any = None,
    *,
    scores: Mapping[str, Tensor] | None = None,
    input_names: Iterable[str] | None = None,
    output_names: Iterable[str] | None = None,
    samples: int = 101,
    max_edges: int = 100,
) -> Diagram:
    """The picture of a network as data.

    Args:
        model: a `KAN`, a `KANLinear`, or an `nn.Sequential` of `KANLinear` and `ProductNodes`.
        x: inputs (samples, in), whose range the curves show; by default points spread over the grid.
        scores: importance (in, out) per layer name, as `edge_scores` returns it; computed from x by default.
        input_names: by default the model's, else x1, x2, ...
        output_names: by default the model's, else y1, y2, ...
        samples: points per curve.
        max_edges: draw at most so many edges (at least one per layer), the most important ones of every layer.
    """
    parts = parts_of(model)
    seen = trace(model, inputs_of(parts, x))
    layers = _layer_names(parts, seen)
    scores = _local_scores(seen) if scores is None else scores
    score = [layer_score(scores, name, part) for name, part in zip(layers, parts, strict=True)]
    drawn = _most_important(score, [part.exists() for part in parts], max_edges)
    total = sum(int(part.exists().sum()) for part in parts)
    names = (
        names_of(input_names, getattr(model, "input_names", None), "x", parts[0].layer.in_features),
        names_of(output_names, getattr(model, "output_names", None), "y", parts[-1].out_features),
    )
    nodes, centers, width, height = place(parts, drawn, names)
    edges: list[Edge] = []
    for n, (part, name) in enumerate(zip(parts, layers, strict=True)):
        if drawn[n]:
            edges += sample_edges(part, n, seen[name].inputs, score[n], drawn[n], centers[n], samples)
    return Diagram(
        nodes=tuple(nodes),
        edges=tuple(edges),
        layers=layers,
        widths=(parts[0].layer.in_features, *(part.out_features for part in parts)),
        width=width,
        height=height,
        omitted=total - len(edges),
        absent=sum(part.layer.mask.numel() for part in parts) - total,
    )


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


def _layer_names(parts: list[Part], seen: Trace) -> tuple[str, ...]:
    names = {item.layer: name for name, item in seen.items()}
    return tuple(names[part.layer] for part in parts)


def _local_scores(seen: Trace) -> dict[str, Tensor]:
    """The standard deviation of every edge over the samples."""
    return {name: layer.edges().std(0, correction=0) for name, layer in seen.items()}


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
