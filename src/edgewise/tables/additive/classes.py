r"""Many classes: softmax scores, one class after the other.

Given the scores of the other classes, the softmax likelihood in $\eta_k$ is that of a binomial outcome "class k" with
the offset $-\log\sum_{l\neq k}e^{\eta_l}$. So every class takes Newton steps of its own, with its own strengths, in
turn until the probabilities stay (block coordinate ascent of a concave function).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp, softmax

from edgewise.tables.additive.blocks import Block
from edgewise.tables.additive.families import Family
from edgewise.tables.additive.penalised_fit import FamilyObjective, OutputFit, fit_output
from edgewise.tables.additive.stacked_blocks import Stack

SWEEPS = 25
SWEEPS_OF_STRENGTHS = 6
TOLERANCE = 1e-4
"""The largest change of a probability in the last sweep."""


def fit_classes(
    blocks: Sequence[Block],
    labels: np.ndarray,
    weights: np.ndarray,
    offset: np.ndarray,
    fixed: np.ndarray | None = None,
) -> list[OutputFit]:
    """The fits of the scores of all classes.

    Args:
        blocks: the terms, the same for every class.
        labels: 1 for the class of a row, else 0: (rows, classes).
        weights: of the rows.
        offset: what is added to the scores, (rows, classes).
        fixed: the logarithms of the strengths, if they are given.
    """
    rows, count = labels.shape
    stack = Stack(blocks, True, rows)
    shares = np.maximum(weights @ labels / weights.sum(), 1e-9)
    eta = np.log(shares) + offset
    fits: list[OutputFit | None] = [None] * count
    before = softmax(eta, axis=1)
    for sweep in range(SWEEPS):
        for k in range(count):
            others = logsumexp(np.delete(eta, k, axis=1), axis=1)
            objective = FamilyObjective(Family("binomial"), labels[:, k], weights, offset[:, k] - others)
            start = fits[k]
            keep = fixed if start is None or sweep < SWEEPS_OF_STRENGTHS else start.log_strengths
            fits[k] = fit = fit_output(blocks, objective, rows, start=start, fixed=keep, steps=2)
            eta[:, k] = stack.eta(fit.theta) + offset[:, k]
        p = softmax(eta, axis=1)
        if sweep > 0 and abs(p - before)[weights > 0].max() < TOLERANCE:
            break
        before = p
    return [fit for fit in fits if fit is not None]
