"""Steps of a session that change which nodes and inputs there are; each is the name of the step and what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sympy
import torch

from edgewise.expressions import DimensionError, Unit
from edgewise.expressions.units import dimension
from edgewise.nn import KAN
from edgewise.nn.layers import EdgeKey, blocks, owned
from edgewise.surgery import add_input, multiply_node, remove_edge, remove_node, split_node
from edgewise.surgery.nodes import nodes_after_factor, nodes_after_split
from edgewise.symbolic.combined_inputs import CombinedInput
from edgewise.symbolic.session_edges import edges_of, key_of, layers_of, shapes_without
from edgewise.symbolic.write import from_formula

if TYPE_CHECKING:
    from edgewise.symbolic.session import Session

Step = tuple[str, dict[str, Any]]


def node_removed(session: Session, layer: int, node: int) -> Step:
    """The edges of a node are gone, and their shapes."""
    model = remove_node(session.model, layer, node)
    left = [owned(part) for part in layers_of(model)]
    if not all(edges.any() for edges in left):
        raise ValueError(f"node {node} is the only one with edges after layer {layer}; the network needs it")
    gone = [edge for edge in edges_of(session.model) if not left[int(edge.layer)][edge.source, edge.target]]
    for edge in gone:
        key_of(session, edge, changes=True)
    return f"remove node {layer}, {node}", {"model": model, "shapes": shapes_without(session, gone)}


def node_split(session: Session, layer: int, node: int) -> Step:
    """Edges of the copy have the shapes of those that they were made from."""
    model = split_node(session.model, layer, node)
    for edge in edges_of(session.model):
        if edge[:2] == (layer + 1, node):
            key_of(session, edge, changes=True)
    products = blocks(session.model)[layer][1]
    changes = _renumbered(session, model, layer, nodes_after_split(products))
    copies = {_at(edge, layer, node, products.sums): shape for edge, shape in changes["shapes"].items()}
    return f"split node {layer}, {node}", {**changes, "shapes": {**changes["shapes"], **copies}}


def node_multiplied(session: Session, layer: int, node: int) -> Step:
    """Shapes and locks go with their edges."""
    model = multiply_node(session.model, layer, node)
    places = nodes_after_factor(blocks(session.model)[layer][1], node)
    return f"multiply node {layer}, {node}", _renumbered(session, model, layer, places)


def inputs_excluded(session: Session, inputs: Sequence[int]) -> Step:
    """The edges of these inputs are gone."""
    edges = [edge for edge in edges_of(session.model) if edge.layer == 0]
    for j in inputs:
        if not any(edge.source == j for edge in edges):
            raise ValueError(f"input {j} has no edges; the function does not depend on it")
    for p, q in session.symmetries:
        if (p in inputs) != (q in inputs):
            raise ValueError(f"inputs {p} and {q} can be exchanged; exclude both or none")
    if all(edge.source in inputs for edge in edges):
        raise ValueError("a function of no inputs is a constant; keep one of them")
    gone = [edge for edge in edges if edge.source in inputs]
    model = session.model
    for edge in gone:
        model = remove_edge(model, key_of(session, edge, changes=True))
    left = tuple(pair for pair in session.symmetries if pair[0] not in inputs)
    changes = {"model": model, "shapes": shapes_without(session, gone), "symmetries": left}
    return f"exclude {', '.join(map(str, inputs))}", changes


def input_combined(session: Session, formula: str, name: str | None) -> Step:
    """The data have one column more."""
    more = CombinedInput.read(formula, input_names(session.model), name)
    for p, q in session.symmetries:
        if more.changes_with(p, q):
            raise ValueError(f"inputs {p} and {q} can be exchanged, and {formula!r} changes where they are")
    values = more.values(session.x)
    model = add_input(session.model, values[:, 0], more.name)
    x, combined = torch.cat([session.x, values], 1), (*session.combined, more)
    return f"combine {more.name}", {"model": model, "x": x, "combined": combined}


def formulas_adopted(session: Session, expressions: Sequence[str]) -> Step:
    """Nothing of the old network is left but its names."""
    columns = session.x.shape[1] - len(session.combined)
    names, outputs = input_names(session.model)[:columns], output_names(session.model)
    if len(expressions) != len(outputs):
        raise ValueError(f"the network has the outputs {', '.join(outputs)}; give one formula each")
    symbols = [sympy.Symbol(name, real=True) for name in names]
    model = from_formula(expressions, symbols, library=session.library, output_names=session.model.output_names)
    model = model.to(session.x)
    fresh: dict[str, Any] = {"locked": frozenset(), "shapes": {}, "shared": (), "symmetries": (), "combined": ()}
    changes = {"model": model, "x": session.x[:, :columns].contiguous(), **fresh}
    return f"adopt {'; '.join(expressions)}", changes


def units_given(session: Session, units: Mapping[str, str]) -> Step:
    """Known units stay where no other is given."""
    for unit in units.values():
        Unit.parse(unit)
    columns = session.x.shape[1] - len(session.combined)
    known = [*input_names(session.model)[:columns], *output_names(session.model)]
    strange = sorted(set(units) - set(known))
    if strange:
        raise ValueError(f"there is no quantity {', '.join(strange)}; the quantities are {', '.join(known)}")
    told = ", ".join(f"{name} in {unit}" for name, unit in units.items())
    return f"measure {told}", {"units": {**session.units, **units}}


def unit_fault(session: Session) -> str:
    """Where the dimensions of the formula do not fit together; empty where they do, or where units are missing."""
    found = session.formula()
    units = {name: Unit.parse(text) for name, text in session.units.items()}
    for name, expression in zip(found.names, found.expressions, strict=True):
        if name not in units or {str(symbol) for symbol in expression.free_symbols} - set(units):
            continue
        try:
            got = dimension(expression, units)
        except DimensionError as error:
            return str(error)
        if got != units[name]:
            return f"{name} is in {units[name]}, and its formula in {got}"
    return ""


def input_names(model: KAN) -> list[str]:
    """The names of the inputs, x1, x2, ... where the model has none."""
    return list(model.input_names or [f"x{j + 1}" for j in range(model.in_features)])


def output_names(model: KAN) -> list[str]:
    """The names of the outputs, y or y1, y2, ... where the model has none."""
    count = model.out_features
    return list(model.output_names or (["y"] if count == 1 else [f"y{i + 1}" for i in range(count)]))


def _renumbered(session: Session, model: KAN, layer: int, places: tuple[list[int], list[int]]) -> dict[str, Any]:
    """A model whose nodes after a layer have new numbers, with the locks, shapes and groups of its edges."""
    targets, nodes = places

    def moved(edge: EdgeKey) -> EdgeKey:
        if edge.layer == layer:
            return edge._replace(target=targets[edge.target])
        return edge._replace(source=nodes[edge.source]) if edge.layer == layer + 1 else edge

    return {
        "model": model,
        "locked": frozenset(map(moved, session.locked)),
        "shapes": {moved(edge): shape for edge, shape in session.shapes.items()},
        "shared": tuple(frozenset(map(moved, group)) for group in session.shared),
    }


def _at(edge: EdgeKey, layer: int, node: int, new: int) -> EdgeKey:
    """The edge with its end at a hidden sum moved to a new one."""
    if edge.layer == layer and edge.target == node:
        return edge._replace(target=new)
    return edge._replace(source=new) if edge.layer == layer + 1 and edge.source == node else edge
