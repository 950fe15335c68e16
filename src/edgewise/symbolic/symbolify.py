"""From curves to symbols: every edge of a network that a function of the library explains becomes that function."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from edgewise.nn import DEFAULT_LIBRARY, KANLinear, Library, SymbolicEdges
from edgewise.symbolic.refit import refit_
from edgewise.symbolic.search import Candidate, sample_edges, search_layer
from edgewise.trace import trace

log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class EdgeReport:
    """What was decided for one edge: the chosen candidate, or None where it stays a curve, and the runners-up."""

    layer: str
    source: int
    target: int
    chosen: Candidate | None
    alternatives: tuple[Candidate, ...]

    def to_json(self) -> dict[str, Any]:
        """The decision as a JSON object."""
        return {
            "layer": self.layer,
            "source": self.source,
            "target": self.target,
            "chosen": None if self.chosen is None else self.chosen.to_json(),
            "alternatives": [c.to_json() for c in self.alternatives],
        }


@dataclass(frozen=True)
class Report:
    """What `symbolify` did.

    Attributes:
        edges: the decision for every edge that was a curve.
        r2_before: share of the target's variance that the given model explains.
        r2_after: the same for the returned model.
        rmse: root mean square difference of the returned model from the target.
        fidelity: root mean square difference of the returned model from the given one.
        warnings: sentences for the reader.
    """

    edges: tuple[EdgeReport, ...]
    r2_before: float
    r2_after: float
    rmse: float
    fidelity: float
    warnings: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """True where no edge is left as a curve, so that `formula` will work."""
        return all(edge.chosen is not None for edge in self.edges)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "edges": [edge.to_json() for edge in self.edges],
            "r2_before": self.r2_before,
            "r2_after": self.r2_after,
            "rmse": self.rmse,
            "fidelity": self.fidelity,
            "complete": self.complete,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines = [
            f"{e.layer} {e.source}->{e.target}: {e.chosen if e.chosen else 'stays a curve; best ' + str(_first(e))}"
            for e in self.edges
        ]
        return "\n".join([*lines, f"r2 {self.r2_before:.8g} -> {self.r2_after:.8g}", *self.warnings])


def symbolify(
    model: Model,
    x: Tensor,
    *,
    y: Tensor | None = None,
    library: Library = DEFAULT_LIBRARY,
    min_r2: float = 0.99,
    margin: float = 0.0,
    refit: bool = True,
) -> tuple[Model, Report]:
    """Turn every curve that a function explains into that function; the numbers are then refitted jointly.

    Args:
        model: any module with KAN layers; it is left as it was.
        x: inputs that show where the edges are used.
        y: targets of the refit; by default the model's own outputs at x.
        library: functions to try.
        min_r2: an edge of which no function explains this share stays a curve, and the report says so.
        margin: share of its range, on both sides, on which a function must also be defined.
        refit: refit the numbers of all symbols and biases together.

    Returns:
        The new model and a report of every decision.
    """
    with torch.no_grad():
        before = trace(model, x)
    y = before.output if y is None else _matching(y, before.output)
    result = copy.deepcopy(model)
    decisions: list[EdgeReport] = []
    for name, seen in before.items():
        if not seen.layer.mask.any():
            continue
        points, values = sample_edges(seen.layer, seen.inputs, name)
        found = search_layer(points, values, library=library, margin=margin, edges=seen.layer.mask)
        reports = [_decide(name, j, i, candidates, min_r2) for (j, i), candidates in found.items()]
        chosen = {(e.source, e.target): e.chosen for e in reports if e.chosen is not None}
        _replace(result, name, with_symbols(seen.layer, chosen))
        decisions += reports
    if refit and any(len(layer.symbolic) for layer in result.modules() if isinstance(layer, KANLinear)):
        refit_(result, x, y)
    with torch.no_grad():
        after = result(x)
    warnings = [
        f"layer {e.layer!r}: edge (in={e.source}, out={e.target}) stays a curve; the best function, "
        f"{_first(e)}, is below min_r2 = {min_r2}"
        for e in decisions
        if e.chosen is None
    ]
    return result, Report(
        edges=tuple(decisions),
        r2_before=_r2(before.output, y),
        r2_after=_r2(after, y),
        rmse=(after - y).square().mean().sqrt().item(),
        fidelity=(after - before.output).square().mean().sqrt().item(),
        warnings=tuple(warnings),
    )


def with_symbols(layer: KANLinear, chosen: Mapping[tuple[int, int], Candidate]) -> KANLinear:
    """The layer with the chosen candidates in place of curves (or of other symbols)."""
    old = layer.symbolic
    kept = [
        (edge, old.functions[n], old.affine[n].tolist())
        for n, edge in enumerate(zip(old.sources.tolist(), old.targets.tolist(), strict=True))
        if edge not in chosen and old.affine is not None
    ]
    parts = [*kept, *((edge, c.fn, list(c.affine)) for edge, c in chosen.items())]
    mask = layer.mask.clone()
    for j, i in chosen:
        mask[j, i] = False
    symbols = SymbolicEdges.empty()
    if parts:
        symbols = SymbolicEdges(
            [fn for _, fn, _ in parts],
            torch.tensor([edge[0] for edge, _, _ in parts], device=mask.device),
            torch.tensor([edge[1] for edge, _, _ in parts], device=mask.device),
            torch.tensor([affine for _, _, affine in parts], dtype=torch.float64).to(layer.coef),
        )
    new = KANLinear.assemble(
        layer.basis, layer.residual, coef=layer.coef, grid=layer.grid, mask=mask, bias=layer.bias, symbolic=symbols
    )
    new.adapter = copy.deepcopy(layer.adapter)
    return new.train(layer.training)


def _decide(name: str, j: int, i: int, candidates: tuple[Candidate, ...], min_r2: float) -> EdgeReport:
    """The candidate of least score among those that explain enough."""
    chosen = next((c for c in candidates if c.r2 >= min_r2), None)
    others = tuple(c for c in candidates if c is not chosen)
    return EdgeReport(name, j, i, chosen, others[:5])


def _replace(model: nn.Module, name: str, layer: KANLinear) -> None:
    owner, _, last = name.rpartition(".")
    if not name:
        raise ValueError("symbolify takes a network that contains KAN layers, not a bare KANLinear; wrap it in KAN")
    setattr(model.get_submodule(owner), last, layer)


def _matching(y: Tensor, output: Tensor) -> Tensor:
    if y.ndim == 1 and output.ndim == 2 and output.shape[1] == 1:
        y = y[:, None]
    if y.shape != output.shape:
        raise ValueError(f"y has shape {tuple(y.shape)} and the model returns {tuple(output.shape)}; they must agree")
    return y.to(output)


def _first(edge: EdgeReport) -> Candidate | str:
    return edge.alternatives[0] if edge.alternatives else "none is defined there"


def _r2(output: Tensor, y: Tensor) -> float:
    variance = y.var(0, correction=0).mean().item()
    missing = (output - y).square().mean().item()
    return 1 - missing / variance if variance > 0 else float(missing == 0)
