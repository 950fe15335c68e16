"""Replaces every curve of a network that a function of the library explains by that function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from edgewise._shown import shown
from edgewise.display import shows_progress
from edgewise.nn import DEFAULT_LIBRARY, Library
from edgewise.nn.layers import EdgeKey
from edgewise.progress import Budget, Listener, Pulse, TimeIsOver
from edgewise.symbolic.beam import EdgeChoice, Scored, put_symbols, search_network
from edgewise.symbolic.edges import Candidate, sample_edges, search_layer
from edgewise.symbolic.refit import refit_
from edgewise.tracing import Trace, trace

WINDOW_BITS = 50.0
"""A function is not tried on an edge that it describes in this many bits more than the best one."""

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class EdgeReport:
    """The decision for one edge: the chosen candidate (None where it stays a curve) and the next best ones."""

    edge: EdgeKey
    chosen: Candidate | None
    alternatives: tuple[Candidate, ...]

    def to_json(self) -> dict[str, Any]:
        """The decision as a JSON object."""
        return {
            "edge": str(self.edge),
            "chosen": None if self.chosen is None else self.chosen.to_json(),
            "alternatives": [c.to_json() for c in self.alternatives],
        }


@dataclass(frozen=True)
class Alternative:
    """A choice of functions for the whole network that no simpler choice beats on held-out data."""

    functions: tuple[str, ...]
    complexity: float
    rmse: float

    def to_json(self) -> dict[str, Any]:
        """The alternative as a JSON object."""
        return {"functions": list(self.functions), "complexity": self.complexity, "rmse": self.rmse}


@shown
@dataclass(frozen=True)
class SymbolifyReport:
    """What `symbolify` did.

    Attributes:
        edges: the decision for every edge that was a curve.
        pareto: the front of error against complexity over the choices tried, functions in the order of `edges`.
        r2_before: share of the target's variance that the given model explains.
        r2_after: the same for the returned model.
        rmse: root mean square difference of the returned model from the target.
        fidelity: root mean square difference of the returned model from the given one.
        warnings: sentences for the reader.
    """

    edges: tuple[EdgeReport, ...]
    pareto: tuple[Alternative, ...]
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
            "pareto": [a.to_json() for a in self.pareto],
            "r2_before": self.r2_before,
            "r2_after": self.r2_after,
            "rmse": self.rmse,
            "fidelity": self.fidelity,
            "complete": self.complete,
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines = [f"{e.edge}: {e.chosen if e.chosen else 'stays a curve; best ' + str(_first(e))}" for e in self.edges]
        return "\n".join([*lines, f"r2 {self.r2_before:.8g} -> {self.r2_after:.8g}", *self.warnings])


@shows_progress
def symbolify(
    model: Model,
    x: Tensor,
    *,
    y: Tensor | None = None,
    library: Library = DEFAULT_LIBRARY,
    min_r2: float = 0.99,
    margin: float = 0.0,
    beam: int = 3,
    max_refits: int = 30,
    seconds: float = math.inf,
    progress: bool | Listener | None = None,
) -> tuple[Model, SymbolifyReport]:
    """Replace every curve that a function explains by that function, then refit all parameters jointly.

    Args:
        model: any module with KAN layers; it is not changed.
        x: inputs that show where the edges are used, shape (samples, in).
        y: targets of the refit; by default the model's own outputs at x.
        library: functions to try.
        min_r2: an edge of which no function explains this share stays a curve, and the report says so.
        margin: share of the range of an edge, on both sides, on which a function must also be defined.
        beam: where several functions fit an edge about equally well, the number of choices for the whole network that
            the search keeps; 1 is greedy, 0 takes the best function of every edge.
        max_refits: stop the search after this many joint refits.
        seconds: time limit in seconds: the best choice so far is returned soon after it; an edge that was not searched
            stays a curve.
        progress: True to show it; or called with an `Event` every second or so and after every joint refit; what it
            raises stops the call.

    Returns:
        The new model and a report of every decision.
    """
    assert not isinstance(progress, bool)  # made a listener by `shows_progress`
    pulse = Pulse(Budget(seconds), progress)
    with torch.no_grad():
        before = trace(model, x)
    if "" in before:
        raise ValueError("symbolify takes a network that contains KAN layers, not a bare KANLinear; wrap it in KAN")
    y = before.output.detach() if y is None else _matching(y, before.output)
    found = _candidates(before, library, margin, pulse)
    options = {edge: _plausible(candidates, min_r2) for edge, candidates in found.items()}
    options = {edge: candidates for edge, candidates in options.items() if candidates}
    choice: EdgeChoice = {edge: candidates[0] for edge, candidates in options.items()}
    front: list[Scored] = []
    late = sum(not candidates for candidates in found.values())
    notes = (f"{late} edges were not searched: the time was over",) if late else ()
    result = put_symbols(model, choice)
    try:
        if beam and any(len(c) > 1 for c in options.values()):
            best, front = search_network(model, options, x, y, beam=beam, max_refits=max_refits, pulse=pulse)
            choice, result = best.choice, best.model
        if choice:
            refit_(result, x, y, tick=partial(pulse, "the last refit"))
    except TimeIsOver:
        notes = (*notes, "the time was over before the last refit")
    edges = tuple(_decision(edge, choice.get(edge), candidates) for edge, candidates in found.items())
    with torch.no_grad():
        after = result(x)
    return cast(Model, result), SymbolifyReport(
        edges=edges,
        pareto=tuple(
            Alternative(tuple(s.choice[e].fn.name for e in found if e in s.choice), s.complexity, s.rmse) for s in front
        ),
        r2_before=_r2(before.output, y),
        r2_after=_r2(after, y),
        rmse=(after - y).square().mean().sqrt().item(),
        fidelity=(after - before.output).square().mean().sqrt().item(),
        warnings=(*_warnings(edges, before, min_r2), *notes),
    )


def _candidates(before: Trace, library: Library, margin: float, pulse: Pulse) -> dict[EdgeKey, tuple[Candidate, ...]]:
    """The functions for every edge that is a curve, best first; none for those that there was no time for."""
    found: dict[EdgeKey, tuple[Candidate, ...]] = {}
    for name, seen in before.items():
        if not seen.layer.mask.any():
            continue
        points, values = sample_edges(seen.layer, seen.inputs, name)
        for j in range(len(seen.layer.mask)):
            edges = torch.zeros_like(seen.layer.mask)
            edges[j] = seen.layer.mask[j]
            keys = {EdgeKey(name, j, i): (j, i) for i in edges[j].nonzero()[:, 0].tolist()}
            try:
                ranked = search_layer(points, values, library=library, margin=margin, edges=edges, tick=pulse)
            except TimeIsOver:
                ranked = {}
            found |= {key: ranked.get(edge, ()) for key, edge in keys.items()}
    return found


def _plausible(candidates: tuple[Candidate, ...], min_r2: float) -> tuple[Candidate, ...]:
    """Candidates that explain enough, differ, and describe the edge in few bits more than the best; at most four."""
    different: list[Candidate] = []
    for c in candidates:
        same = any(abs(c.rmse - other.rmse) <= 1e-6 * other.rmse for other in different)  # a cosine is a sine
        if c.r2 >= min_r2 and not same and (not different or c.score <= different[0].score + WINDOW_BITS):
            different.append(c)
    return tuple(different[:4])


def _warnings(edges: tuple[EdgeReport, ...], before: Trace, min_r2: float) -> tuple[str, ...]:
    return tuple(
        f"layer {e.edge.layer!r}: edge (in={e.edge.source}, out={e.edge.target}) stays a curve; the best function, "
        f"{_first(e)}, is below min_r2 = {min_r2}{_spike(e.edge, before)}"
        for e in edges
        if e.chosen is None and e.alternatives
    )


def _spike(edge: EdgeKey, before: Trace) -> str:
    """A hint where the curve is far larger somewhere than elsewhere: no function is fitted across a pole."""
    seen = before[str(edge.layer)]
    values = sample_edges(seen.layer, seen.inputs)[1][:, edge.source, edge.target]
    size = (values - values.median()).abs()
    times = (size.amax() / torch.quantile(size, 0.9).clamp_min(1e-300)).item()
    return f"; it reaches {times:.3g} times its usual size: is a pole inside its range?" if times > 100 else ""


def _decision(edge: EdgeKey, chosen: Candidate | None, candidates: tuple[Candidate, ...]) -> EdgeReport:
    return EdgeReport(edge, chosen, tuple(c for c in candidates if c is not chosen)[:5])


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
