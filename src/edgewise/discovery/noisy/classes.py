"""The formula of a classification: the log-odds, or one score per class, of a small network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import sympy
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.noisy.curves import formulas_of_networks
from edgewise.discovery.noisy.front import Finding, Front
from edgewise.optim import get_loss

log = logging.getLogger(__name__)

MOST_INPUTS = 5


def search_class_formula(
    train: tuple[Float[Tensor, "rows features"], Tensor],
    held: tuple[Float[Tensor, "held features"], Tensor],
    names: Sequence[str],
    outputs: Sequence[str],
    *,
    loss: str,
    importance: Sequence[float],
    seconds: float = 60.0,
    seed: int = 0,
    tell: Callable[[str], None] = log.info,
) -> Front | None:
    """Search short formulas of the (at most five) inputs that matter most; None where no function fits the curves.

    Args:
        train: inputs, and (n, 1) zeros and ones for two classes or labels for more.
        held: rows to choose by.
        names: names of the inputs.
        outputs: names of the log-odds or scores.
        loss: "bce" or "cross_entropy".
        importance: how much every input matters to some model.
        seconds: time for the search.
        seed: source of all randomness.
        tell: called with a line on every stage.
    """
    ranked = np.argsort(-np.asarray(importance), kind="stable")
    least = 0.01 * float(max(importance))
    chosen = sorted(int(j) for j in ranked[:MOST_INPUTS] if importance[j] > least) or [int(ranked[0])]
    tell(f"small networks on {', '.join(names[j] for j in chosen)}")
    some, kept = (train[0][:, chosen], train[1]), (held[0][:, chosen], held[1])
    symbols = tuple(sympy.Symbol(str(name), real=True) for name in names)
    criterion = get_loss(loss)
    findings = []
    networks = formulas_of_networks(some, kept, [names[j] for j in chosen], loss=loss, seconds=seconds, seed=seed)
    for network, formula in networks:
        whole = replace(formula, inputs=symbols, names=tuple(outputs))
        error = float(criterion(whole(held[0]), held[1]))
        findings.append(Finding(whole, f"network {network.widths}", error if np.isfinite(error) else np.inf))
    return Front.of(findings, names) if findings else None
