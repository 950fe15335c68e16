"""What a page shows, as JSON: the network with its curves, its formula, the history, and answers about single edges.

Numbers that are not finite are None. Curves are sampled evenly between the two ends of `x`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgewise.expressions import Formula
from edgewise.nn.layers import EdgeKey, kan_layers
from edgewise.surgery import fix
from edgewise.symbolic import Session
from edgewise.symbolic.combined_inputs import in_columns
from edgewise.symbolic.edges import Candidate
from edgewise.tables.job.report import equations
from edgewise.tracing import trace
from edgewise.viz import Edge, Node, diagram
from edgewise.viz.from_model import layer_view, names_of
from edgewise.workbench.branches import Branch, History, curves_and_symbols, rms
from edgewise.workbench.partial_formula import curve_names, partial_formula
from edgewise.workbench.steps import SessionStep

MAX_EDGES = 240
POINTS = 61
BINS = 24
ROWS = 2000
"""Rows that pictures and whole-network errors of candidates are computed on, evenly taken from all."""

BAND_WORK = 2e8
"""Rows times squared parameters up to which confidence bands are cheap."""

CANDIDATES = 12
LEVEL = 0.9
"""Of intervals of predictions."""

BY_INPUT = ("symmetric", "constrain", "exclude")
BY_EDGE = ("draw", "pull")


def thinned(session: Session) -> Session:
    """The session on at most `ROWS` rows, for what must be quick."""
    step = math.ceil(len(session.x) / ROWS)
    if step == 1:
        return session
    return replace(session, x=session.x[::step], y=session.y[::step])


def input_names(session: Session) -> list[str]:
    """The names of the inputs, x1, x2, ... where the model has none."""
    return names_of(None, session.model.input_names, "x", session.model.in_features)


def output_names(session: Session) -> list[str]:
    """The names of the outputs."""
    return names_of(None, session.model.output_names, "y", session.model.out_features)


def network_document(session: Session) -> dict[str, Any]:
    """Nodes, and edges with their curves, bands, data density, names, locks, shapes and partners."""
    few = thinned(session)
    targets = few.y if _bands_are_cheap(few) else None
    drawing = diagram(session.model, few.x, y=targets, samples=POINTS, max_edges=MAX_EDGES)
    names, density = curve_names(session.model), _density(few)
    nodes = [
        {
            **_fields(node, "layer index kind x y name bias product"),
            "title": _title(node),
        }
        for node in drawing.nodes
    ]
    edges = [
        {
            **edge_document(edge),
            "center": list(edge.center),
            "importance": edge.importance,
            "curve": names.get(EdgeKey(edge.layer, edge.source, edge.target)),
            "density": density[edge.layer][edge.source],
            **_marks(session, EdgeKey(edge.layer, edge.source, edge.target)),
        }
        for edge in drawing.edges
    ]
    return {
        "nodes": nodes,
        "edges": edges,
        "widths": list(drawing.widths),
        "width": drawing.width,
        "height": drawing.height,
        "note": drawing.note(),
        "sums": [len(layer) for layer in density],
    }


def edge_document(edge: Edge) -> dict[str, Any]:
    """The address, the curve and the symbol of an edge."""
    return {
        "key": [edge.layer, edge.source, edge.target],
        "kind": edge.kind,
        "score": short(edge.score),
        "x": [short(edge.x[0]), short(edge.x[-1])],
        "y": _shorts(edge.y),
        "band": None if edge.band is None else [_shorts(side) for side in edge.band],
        "symbol": edge.symbol,
        "affine": None if edge.affine is None else _shorts(edge.affine),
    }


def formula_document(session: Session, symbols: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The formula in all notations, with how many curves are left in it and how far its rounded constants are off."""
    curves = len(curve_names(session.model))
    found = in_columns(partial_formula(session.model, input_names(session)), session.combined)
    document = written(found, symbols)
    if not curves:
        few = thinned(session)
        document |= {"error": formula_error(found, columns(few), few.y), **_code(found), "misfit": session.misfit()}
    return {**document, "curves": curves}


def written(found: Formula, symbols: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A formula in MathML, LaTeX and text, constants rounded for reading."""
    return {"mathml": equations(found, symbols or {}), "latex": found.latex(), "text": str(found)}


def named_constants(session: Session, symbols: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The complete formula with the constants that the data single out as exact numbers."""
    few = thinned(session)
    found = session.formula(input_names(session)).snapped(columns(few), few.y)
    return {**written(found, symbols), **_code(found), "error": formula_error(found, columns(few), few.y), "curves": 0}


def columns(session: Session) -> Tensor:
    """The inputs that are columns of the data."""
    return session.x[:, : session.x.shape[1] - len(session.combined)]


def formula_error(found: Formula, x: Tensor, y: Tensor) -> float | None:
    """Root mean square error of the formula with constants rounded as it is shown."""
    shown = Formula(found.rounded(), found.inputs, found.names, found.functions)
    error = (shown(x.double()) - y.double()).square().mean().sqrt().item()
    return error if math.isfinite(error) else None


def history_document(tree: History) -> list[dict[str, Any]]:
    """Every state of the tree."""
    return [
        {
            "id": branch.id,
            "parent": branch.parent,
            "step": step_told(tree, branch),
            "name": branch.name,
            "error": short(branch.error),
            "heldError": None if branch.held_error is None else short(branch.held_error),
            "curves": branch.edges[0],
            "symbols": branch.edges[1],
        }
        for branch in tree
    ]


def step_told(tree: History, branch: Branch) -> str:
    """What made a state, in the names of the state before it."""
    if branch.step is None or branch.parent is None:
        return "start"
    return told(branch.step, tree[branch.parent].session)


def told(step: SessionStep, session: Session) -> str:
    """A step in words: edges by what they connect."""
    method, given = step.method, step.arguments
    if method in TOLD:
        return TOLD[method](step, given)
    names = input_names(session)
    words = []
    for value in given:
        if isinstance(value, tuple) and len(value) == 3 and all(isinstance(n, int) for n in value):
            words.append(edge_title(session, value))
        else:
            words.append(names[value] if method in BY_INPUT and isinstance(value, int) else f"{value}")
    if method == "fix":
        return f"{words[1]} on {words[0]}"
    return f"{method} {words[0] if method in BY_EDGE else ', '.join(words)}"


TOLD: Mapping[str, Callable[[SessionStep, tuple[Any, ...]], str]] = {
    "fit": lambda step, given: f"fit, {step.times * given[0]} steps",
    "remove_node": lambda step, given: f"remove node {given[1] + 1} of layer {given[0] + 1}",
    "split_node": lambda step, given: f"split node {given[1] + 1} of layer {given[0] + 1}",
    "multiply_node": lambda step, given: f"node {given[1] + 1} of layer {given[0] + 1} times a factor",
    "combine": lambda step, given: f"new input {given[1] or given[0]}",
    "measure": lambda step, given: ", ".join(f"{name} in {unit}" for name, unit in given[0].items()),
}


def edge_title(session: Session, edge: tuple[int, int, int]) -> str:
    """What an edge connects: inputs and outputs by their names."""
    layer, j, i = edge
    last = layer == len(kan_layers(session.model)) - 1
    outputs = output_names(session)
    source = input_names(session)[j] if layer == 0 else f"sum {j + 1}"
    target = outputs[i] if last and i < len(outputs) else f"sum {i + 1}"
    return f"{source} \u2192 {target}"


@torch.no_grad()
def suggestions_document(session: Session, edge: tuple[int, int, int]) -> list[dict[str, Any]]:
    """The functions for an edge, best first: how well each explains the curve, and the network's error with it."""
    few = thinned(session)
    return [_candidate(few, edge, candidate) for candidate in few.suggest(edge)[:CANDIDATES]]


def _candidate(few: Session, edge: tuple[int, int, int], candidate: Candidate) -> dict[str, Any]:
    model = fix(few.model, edge, candidate.fn, candidate.affine)
    return {
        "name": candidate.fn.name,
        "r2": short(candidate.r2),
        "score": short(candidate.score),
        "complexity": candidate.complexity,
        "error": short(rms(model, few.x, few.y)),
        "y": _curve(replace(few, model=model), edge)["y"],
    }


def preview_document(session: Session, after: Session, edge: tuple[int, int, int] | None) -> dict[str, Any]:
    """What a step would do: the error, how many edges would be left, and the curve of its edge."""
    layers = curves_and_symbols(after.model)
    left = edge is not None and edge in _existing(after)
    return {
        "before": short(rms(session.model, session.x, session.y)),
        "error": short(rms(after.model, after.x, after.y)),
        "curves": layers[0],
        "symbols": layers[1],
        "edge": _curve(thinned(after), edge) if left and edge is not None else None,
    }


@torch.no_grad()
def prediction_document(branch: Branch, held: tuple[Tensor, Tensor] | None, values: Sequence[float]) -> dict[str, Any]:
    """The outputs for one row with their intervals, and where on the curves of every layer the row lies.

    An interval is the prediction and the distance that `LEVEL` of the errors on other rows do not exceed (split
    conformal prediction, Vovk et al. 2005); without other rows, of the errors on the rows that steps use, which are
    smaller than those of new ones.
    """
    session = branch.session
    x = session.extended(torch.tensor([values], dtype=session.x.dtype, device=session.x.device))
    seen = trace(session.model, x)
    inside = [part.inputs[0].tolist() for part in seen.values()]
    at = [*values, *_shorts(x[0, len(values) :].tolist())]
    rows, targets = (session.x, session.y) if held is None else (session.extended(held[0]), held[1])
    wide = _conformal((session.model(rows) - targets).abs())
    return {
        "outputs": _shorts(seen.output[0].tolist()),
        "within": _shorts(wide),
        "level": LEVEL,
        "at": [at, *map(_shorts, inside[1:])],
    }


def _conformal(errors: Tensor) -> list[float]:
    """Per output, the error of rank ceil((n + 1) level); infinite where there are too few rows."""
    rank = math.ceil((len(errors) + 1) * LEVEL)
    if rank > len(errors):
        return [math.inf] * errors.shape[1]
    return errors.nan_to_num(math.inf).sort(0).values[rank - 1].tolist()


def inputs_document(session: Session) -> list[dict[str, Any]]:
    """Name, range, middle and the share of whole numbers of every input: what a slider needs."""
    found = []
    for name, column in zip(input_names(session), session.x.double().T, strict=True):
        low, high = column.min().item(), column.max().item()
        whole = bool((column == column.round()).all())
        found.append({"name": name, "low": low, "high": high, "middle": column.median().item(), "whole": whole})
    return found


def short(value: float | None) -> float | None:
    """Six digits, None where it is not finite."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _shorts(values: Iterable[float | None]) -> list[float | None]:
    return [short(value) for value in values]


def _fields(value: Any, names: str) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names.split()}


def _title(node: Node) -> str:
    return node.name or f"{node.kind} {node.index + 1}"


def _code(found: Formula) -> dict[str, Any]:
    return {"python": found.python(), "sympy": "\n".join(found.to_json()["outputs"].values())}


def _marks(session: Session, key: EdgeKey) -> dict[str, Any]:
    group = next((group for group in session.shared if key in group), ())
    return {
        "locked": key in session.locked,
        "shape": session.shapes.get(key),
        "shared": sorted(list(edge) for edge in group if edge != key),
    }


def _curve(session: Session, edge: tuple[int, int, int]) -> dict[str, Any]:
    """One edge as it is drawn, at `POINTS` points."""
    document = edge_document(layer_view(session.model, session.x, edge[0], edge[1:]).edges[0])
    document["y"] = document["y"][:: (len(document["y"]) - 1) // (POINTS - 1)]
    return document


def _existing(session: Session) -> set[tuple[Any, ...]]:
    drawn = diagram(session.model, session.x[:ROWS], samples=2, max_edges=10**6).edges
    return {(edge.layer, edge.source, edge.target) for edge in drawn}


def _density(session: Session) -> list[list[list[int]]]:
    """How many rows lie in each of `BINS` equal parts of the range of every curve, by layer and input."""
    with torch.no_grad():
        seen = trace(session.model, session.x)
    found = []
    for part in seen.values():
        columns = part.inputs.double().cpu().numpy().T
        found.append([_counts(column[np.isfinite(column)]).tolist() for column in columns])
    return found


def _counts(values: np.ndarray) -> np.ndarray:
    """Counts in equal parts of the range, however narrow or wide that is; `np.histogram` wants room between floats."""
    low, high = (values.min() / 2, values.max() / 2) if len(values) else (0.0, 0.0)
    share = (values / 2 - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return np.bincount(np.minimum(share * BINS, BINS - 1).astype(int), minlength=BINS)


def _bands_are_cheap(session: Session) -> bool:
    parameters = sum(p.numel() for p in session.model.parameters())
    return len(session.x) > parameters and len(session.x) * parameters**2 < BAND_WORK
