"""Searches a short formula for the classes of a noisy table, with small networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.noisy.beside_constant import beside_constant, constant_scores
from edgewise.discovery.noisy.short_formula import Finding, Front, important, symbols_of, tell
from edgewise.discovery.noisy.small_networks import formulas_of_networks
from edgewise.expressions import Formula
from edgewise.optim import get_loss
from edgewise.progress import Listener


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
    progress: Listener | None = None,
) -> Front | None:
    """Search a short formula of the log-odds, or of one score per class; None where no function fits the curves.

    Args:
        train: inputs, and (n, 1) zeros and ones for two classes or labels for more.
        held: rows to choose by.
        names: names of the inputs, of which the five that matter most are used.
        outputs: names of the log-odds or scores.
        loss: "bce" or "cross_entropy".
        importance: how much every input matters to some model.
        seconds: time limit in seconds.
        seed: source of all randomness.
        progress: called with an `Event` at every stage.
    """
    weight = np.asarray(importance)
    chosen = important(weight, [int(j) for j in np.argsort(-weight, kind="stable")])
    some = [names[j] for j in chosen]
    tell(progress, f"small networks on {', '.join(some)}", 0.0)
    data, kept = (train[0][:, chosen], train[1]), (held[0][:, chosen], held[1])
    criterion = get_loss(loss)

    def losses(formula: Formula) -> Tensor:
        return criterion.values(formula(held[0]), held[1])

    def finding(formula: Formula, origin: str) -> Finding:
        error = float(losses(formula).mean())
        return Finding(formula, origin, error if np.isfinite(error) else np.inf)

    findings = []
    for network, formula in formulas_of_networks(data, kept, some, loss=loss, seconds=seconds, seed=seed):
        whole = replace(formula, inputs=symbols_of(names), names=tuple(outputs))
        findings.append(finding(whole, f"network {network.widths}"))
    constant = finding(constant_scores(train[1], symbols_of(names), tuple(outputs)), "constant")
    return beside_constant(Front.of(findings, names), constant, losses) if findings else None
