r"""Chooses the functions of all edges of a network together, by a beam search with joint refits.

Several functions may explain an edge almost equally well; the error of the whole network distinguishes them. A choice
is scored by its description length on data held out from the refit,
$\tfrac n2 \log_2(\mathrm{MSE} / \mathrm{var}) + \lambda \sum \text{complexity}$.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from edgewise.expressions.simplify import pareto
from edgewise.nn import KANLinear, SymbolicEdges
from edgewise.nn.layers import EdgeKey, kan_layers, replaced, with_layers
from edgewise.progress import Event, Pulse, TimeIsOver
from edgewise.symbolic.edges import BITS_PER_COMPLEXITY, Candidate
from edgewise.symbolic.refit import refit_

EdgeChoice = Mapping[EdgeKey, Candidate]
"""A function for every edge; layers by name."""

MAX_SAMPLES = 1000
"""A choice is refitted and judged on at most this many samples; the best one is refitted on all."""

RESOLUTION = 1e-10
"""Relative errors below this are rounding and count as equal."""

UNLIMITED = Pulse()


@dataclass(frozen=True)
class Scored:
    """A choice of functions, refitted: its held-out error, complexity and description length in bits."""

    choice: EdgeChoice
    model: nn.Module
    rmse: float
    complexity: float
    bits: float


def search_network(
    model: nn.Module,
    options: Mapping[EdgeKey, tuple[Candidate, ...]],
    x: Tensor,
    y: Tensor,
    *,
    beam: int = 3,
    max_refits: int = 30,
    pulse: Pulse = UNLIMITED,
) -> tuple[Scored, list[Scored]]:
    """The best choice found, and all choices on the front of error against complexity.

    Args:
        model: the network whose edges are replaced; it is not changed.
        options: for every edge its candidates, best first; the first of each is where the search starts.
        x: inputs.
        y: targets, of the shape of the model's output.
        beam: how many choices are carried from round to round; 1 is greedy.
        max_refits: stop after this many joint refits.
        pulse: called while it works; no joint refit begins after its budget.

    Raises `TimeIsOver` where not even the first choice could be refitted.
    """
    train, held_out = _split(len(x))
    data = x[train], y[train], x[held_out], y[held_out]
    start = _score(model, {e: c[0] for e, c in options.items()}, data, pulse)
    seen = {_key(start.choice): start}
    front = [start]
    while len(seen) < max_refits and not pulse.budget.over:
        fresh: list[Scored] = []
        for parent in front:
            for edge, candidate in _moves(parent, options):
                choice = {**parent.choice, edge: candidate}
                if _key(choice) in seen or len(seen) >= max_refits or _exact(seen.values(), y):
                    continue
                try:
                    child = _score(parent.model, {edge: candidate}, data, pulse, choice)
                except TimeIsOver:
                    break
                seen[_key(choice)] = child
                fresh.append(child)
                if pulse.listener is not None:
                    error = min(s.rmse for s in seen.values())
                    pulse.listener(Event("joint refits", len(seen) / max_refits, f"error {error:.3g}"))
        best = sorted([*front, *fresh], key=lambda s: s.bits)[:beam]
        if {_key(s.choice) for s in best} == {_key(s.choice) for s in front}:
            break
        front = best
    return min(seen.values(), key=lambda s: s.bits), pareto(
        (s for s in seen.values() if math.isfinite(s.rmse)), lambda s: s.complexity, lambda s: s.rmse
    )


def with_symbols(layer: KANLinear, chosen: Mapping[tuple[int, int], Candidate]) -> KANLinear:
    """The layer with the chosen candidates in place of curves or of other symbols."""
    old = layer.symbolic
    kept: list[tuple[tuple[int, int], Any, list[float]]] = []
    if old.affine is not None:
        edges = zip(old.sources.tolist(), old.targets.tolist(), strict=True)
        parts = zip(edges, old.functions, old.affine.tolist(), strict=True)
        kept = [part for part in parts if part[0] not in chosen]
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
    return replaced(layer, mask=mask, symbolic=symbols)


def put_symbols(model: nn.Module, choice: EdgeChoice) -> nn.Module:
    """A copy of the model with the chosen functions on its edges."""
    layers: dict[str, dict[tuple[int, int], Candidate]] = {}
    for (name, j, i), candidate in choice.items():
        layers.setdefault(str(name), {})[j, i] = candidate
    old = kan_layers(model)
    return with_layers(model, {name: with_symbols(old[name], chosen) for name, chosen in layers.items()})


def _score(parent: nn.Module, change: EdgeChoice, data: tuple[Tensor, ...], pulse: Pulse, choice: Any = None) -> Scored:
    x, y, x_held_out, y_held_out = data
    model = put_symbols(parent, change)
    refit_(model, x, y, steps=25, tick=partial(pulse, "joint refits"))
    choice = dict(change) if choice is None else choice
    with torch.no_grad():
        missing = (model(x_held_out) - y_held_out).square().mean().item()
    variance = y.var(0, correction=0).mean().item()
    complexity = sum(c.complexity for c in choice.values())
    relative = max(missing / variance if variance > 0 else missing, RESOLUTION**2)
    bits = 0.5 * y_held_out.numel() * math.log2(relative) if math.isfinite(relative) else math.inf
    return Scored(choice, model, math.sqrt(missing), complexity, bits + BITS_PER_COMPLEXITY * complexity)


def _moves(parent: Scored, options: Mapping[EdgeKey, tuple[Candidate, ...]]) -> list[tuple[EdgeKey, Candidate]]:
    """Changes of one edge, in the order of what they cost the fit of the edge alone."""
    moves = [
        (c.score - candidates[0].score, edge, c)
        for edge, candidates in options.items()
        for c in candidates
        if c.fn.name != parent.choice[edge].fn.name
    ]
    return [(edge, c) for _, edge, c in sorted(moves, key=lambda m: m[0])]


def _split(n: int) -> tuple[Tensor, Tensor]:
    """A fixed shuffle into two thirds for the refit and one third held out, of at most `MAX_SAMPLES`."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:MAX_SAMPLES]
    cut = max(1, len(order) // 3)
    return (order[cut:], order[:cut]) if len(order) >= 12 else (order, order)


def _exact(scored: Iterable[Scored], y: Tensor) -> bool:
    """True once a choice fits to rounding; the search is over."""
    return any(s.rmse <= RESOLUTION * y.std(correction=0).item() for s in scored)


def _key(choice: EdgeChoice) -> tuple[tuple[EdgeKey, str], ...]:
    return tuple(sorted((edge, c.fn.name) for edge, c in choice.items()))
