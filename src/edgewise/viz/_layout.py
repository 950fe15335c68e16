"""The layout of a diagram: nodes in columns, and between two columns the boxes of the edges."""

from __future__ import annotations

import math

from edgewise.viz._curves import Part
from edgewise.viz.diagram_data import BOX_WIDTH, Node

_PITCH = 1.2  # from one box to the next below it
_LANE = 1.0  # room for the wires on either side of the boxes; more in a high diagram, where they run steeply
_PRODUCT = 1.1  # from the factors to their product
_IDLE = 32  # in a layer of more nodes than these, those without a drawn edge are left out
_ROWS = 18  # more boxes than these in a column are placed side by side


def place(
    parts: list[Part], drawn: list[list[tuple[int, int]]], names: tuple[list[str], list[str]], *, complete: bool
) -> tuple[list[Node], list[dict[tuple[int, int], tuple[float, float]]], float, float]:
    """The nodes, the middle of every edge's box by layer and (source, target), and the size of the diagram.

    Boxes are in the order of their targets, so that the curves which add up to a node are neighbours; the node is
    beside the middle of them. Where the drawn edges are not all (`complete`), hidden nodes and inputs that have none
    of them are left out, since they need not be idle.
    """
    leaving = [{j for j, _ in pairs} for pairs in drawn] + [set()]
    last = len(parts) - 1
    fed = [
        _features(part, {i for _, i in pairs}, leaving[n + 1], idle=complete or n == last)
        for n, (part, pairs) in enumerate(zip(parts, drawn, strict=True))
    ]
    count = parts[0].layer.in_features
    inputs = [j for j in range(count) if j in leaving[0] or (complete and count <= _IDLE)]
    slots = [_slots(pairs, features) for pairs, features in zip(drawn, fed, strict=True)]
    columns = [max(1, math.ceil(len(s) / _ROWS)) for s in slots]
    rows = [math.ceil(len(s) / c) for s, c in zip(slots, columns, strict=True)]
    height = _PITCH * max(*rows, 0.75 * len(inputs), 1)
    nodes = [Node(0, j, "input", 0.0, _at(k, len(inputs), height), names[0][j]) for k, j in enumerate(inputs)]
    centers: list[dict[tuple[int, int], tuple[float, float]]] = [{} for _ in parts]
    x, step = 0.0, BOX_WIDTH + 0.35
    for n, part in enumerate(parts):
        lane = _LANE + 0.25 * math.sqrt(height) if len(slots[n]) > 1 else _LANE
        rail = x + lane - (step - BOX_WIDTH) / 2 + step / 2
        level: dict[int, list[float]] = {}
        for k, (j, i) in enumerate(slots[n]):
            y = _at(k, len(slots[n]), height)
            level.setdefault(i, []).append(y)
            if j >= 0:
                centers[n][j, i] = (round(rail + step * (k % columns[n]), 6), y)
        x = round(x + 2 * lane + BOX_WIDTH + step * (columns[n] - 1), 6)
        feature_y = {i: sum(ys) / len(ys) for i, ys in level.items()}
        titles = names[1] if n == last else [""] * part.out_features
        nodes += _column(part, n + 1, x, feature_y, titles)
        x += 0.0 if part.products is None else _PRODUCT
    return nodes, centers, x, height


def _features(part: Part, entered: set[int], left: set[int], *, idle: bool) -> list[int]:
    """The outputs of a layer that are drawn; those of nodes without a drawn edge only if `idle`, in no wide layer."""
    idle = idle and part.out_features <= _IDLE
    groups = [g for k, g in enumerate(part.groups()) if idle or k in left or entered.intersection(g)]
    return [i for group in groups for i in group]


def _slots(pairs: list[tuple[int, int]], features: list[int]) -> list[tuple[int, int]]:
    """The places in a column of boxes: one per edge, and an empty one (-1, i) for a node without edges."""
    by_target: dict[int, list[tuple[int, int]]] = {i: [] for i in features}
    for j, i in pairs:
        by_target[i].append((j, i))
    return [pair for i, own in by_target.items() for pair in own or [(-1, i)]]


def _at(k: int, n: int, height: float) -> float:
    return round((k + 0.5) / n * height, 6)


def _column(part: Part, level: int, x: float, y: dict[int, float], names: list[str]) -> list[Node]:
    """The nodes behind a layer; products are to the right of their factors, in line with the sums."""
    right = x if part.products is None else x + _PRODUCT
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
