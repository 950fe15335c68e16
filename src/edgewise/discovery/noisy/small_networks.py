"""Finds formulas with small networks: train curves, prune, replace curves by functions, name the constants."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.expressions import Formula
from edgewise.expressions.constants import snap
from edgewise.nn import KAN, KANLinear
from edgewise.nn.kan import Width
from edgewise.progress import Budget, Pulse, TimeIsOver
from edgewise.surgery import compact, prune
from edgewise.symbolic import formula, symbolify
from edgewise.tracing import edge_scores, trace
from edgewise.training import Auto, FirstOrder, fit
from edgewise.training.methods import Method
from edgewise.training.search_starts import Units
from edgewise.training.second_order import least_parameters

log = logging.getLogger(__name__)

SHAPES: tuple[tuple[Width, ...], ...] = ((), ((0, 1),), (1,), (2,))
"""Hidden layers to try, the simplest first."""

SYMBOL_ROWS = 1000
"""Rows that functions are searched and refitted on."""

MIN_R2 = 0.5
"""A curve is replaced by a function that explains this share of it; the joint refit judges the result."""

WORK = 5e9
"""Multiplications in a second of the time limit that the search may plan for; others do ten times as many."""


def formulas_of_networks(
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    names: Sequence[str],
    *,
    loss: str = "mse",
    shapes: Sequence[Sequence[Width]] = SHAPES,
    seconds: float = 60.0,
    seed: int = 0,
) -> Iterator[tuple[KAN, Formula]]:
    """The symbolic network and its formula for every shape of hidden layers that has one, within the time limit."""
    budget = Budget(max(seconds, 0.0))  # every shape may take half of what is left
    outputs = data[1].shape[1] if data[1].ndim > 1 else int(data[1].max()) + 1
    for hidden in shapes:
        if budget.over:
            log.info("no time left for the shape %s", hidden)
            return
        widths, part = [len(names), *hidden, outputs], budget.share(0.5)
        model = train_network(widths, data, held, loss=loss, seconds=part.share(0.5).seconds, seed=seed)
        model = prune_network(model, data, held, loss=loss, seed=seed, seconds=part.share(0.5).seconds)
        found = _formula(model, data, names, loss, part.left)
        if found is not None:
            yield found


def train_network(
    widths: Sequence[Width],
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    *,
    loss: str = "mse",
    seconds: float | None = None,
    seed: int = 0,
    progress: bool = False,
) -> KAN:
    """Train a network of these widths by the standard recipe, with grids that noisy tables support."""
    model = KAN(
        widths,
        BSpline(5, 3),
        residual=None,
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed),
    )
    units = Units.of_data(*data, model.out_features, scale_outputs=loss == "mse")
    layers = cast(list[Any], list(model.layers))
    model = KAN.assemble(layers, input_affine=units.input_affine(), output_affine=units.output_affine())
    return _fitted(model, data, held, loss, seconds, seed, progress)


def _fitted(
    model: KAN,
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    loss: str,
    seconds: float | None,
    seed: int,
    progress: bool = False,
) -> KAN:
    """The network trained by the search of `Auto`, or by Adam in batches where its steps take too long for the time."""
    method: Method = Auto(extend=False, seconds=seconds)
    rows, parameters = len(data[0]), least_parameters(model)
    work = 30 * max(600, 3 * parameters) * parameters**2 + 15 * rows * parameters**2
    if seconds is not None and work > WORK * seconds:
        method = FirstOrder("adam", steps=10**6, batch_size=256, early_stopping=20, seconds=seconds)
    result = fit(model, data, method, validation=held, loss=loss, seed=seed, progress=progress)
    if result.report.stopped == "interrupted":  # the best network so far is no complete stage
        raise KeyboardInterrupt
    assert isinstance(result.model, KAN)
    return result.model


def prune_network(
    model: KAN,
    data: tuple[Tensor, Tensor],
    held: tuple[Tensor, Tensor],
    *,
    loss: str = "mse",
    edge: float = 0.02,
    seed: int = 0,
    seconds: float | None = None,
) -> KAN:
    """Prune the weak edges and nodes of a network and train the rest further."""
    rows = slice(0, 4096)
    smaller = compact(prune(model, edge_scores(trace(model, data[0][rows])), edge=edge, node=edge))
    if not all(bool(layer.mask.any()) for layer in smaller.layers if isinstance(layer, KANLinear)):
        return model  # every edge is weak
    return _fitted(smaller, data, held, loss, seconds, seed)


def _formula(
    model: KAN, data: tuple[Tensor, Tensor], names: Sequence[str], loss: str, seconds: float
) -> tuple[KAN, Formula] | None:
    x, y, pulse = data[0][:SYMBOL_ROWS], data[1][:SYMBOL_ROWS], Pulse(Budget(seconds))
    with torch.no_grad():
        target: Float[Tensor, "rows out"] = y if loss == "mse" else model(x)  # labels cannot be refitted to
    symbolic, report = symbolify(model, x, y=target, min_r2=MIN_R2, beam=2, max_refits=12, seconds=seconds)
    if not report.complete:
        log.info("the network %s keeps curves: %s", model.widths, "; ".join(report.warnings))
        return None
    found = formula(symbolic, names)
    try:
        named = snap(found.expressions, found.inputs, x, target, found.functions, tick=partial(pulse, "constants"))
    except TimeIsOver:  # hundreds of constants, as of many classes, keep their numbers
        named = found.expressions
    return symbolic, replace(found, expressions=named)
