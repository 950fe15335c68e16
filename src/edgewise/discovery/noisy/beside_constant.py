r"""Compares a formula with the constant, row by row: what is not surely better is not shown.

The best of many candidates on a few held-out rows is better than the constant by luck. So the constant is chosen
unless the mean of the differences of the losses of all held-out rows is above `SURE` of its standard errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions import Formula

if TYPE_CHECKING:
    from edgewise.discovery.noisy.short_formula import Finding, Front

SURE = 2.0


def beside_constant(front: Front, constant: Finding, losses: Callable[[Formula], Float[Tensor, " held"]]) -> Front:
    """The front with the constant, which is chosen where the formula is not better by more than chance.

    Args:
        front: of the formulas.
        constant: the formula without inputs.
        losses: of a formula, of every held-out row.
    """
    better = losses(constant.formula) - losses(front.chosen.formula)
    error = better.std() / len(better) ** 0.5 if len(better) > 1 else torch.inf
    if not without_inputs(front.chosen) and better.mean() > SURE * error:
        return front
    others = tuple(finding for finding in front.front if not without_inputs(finding))
    return replace(front, front=(constant, *others), chosen=constant)


def without_inputs(finding: Finding) -> bool:
    """Whether a formula is a constant."""
    return not any(e.free_symbols for e in finding.formula.expressions)


def constant_scores(labels: Tensor, inputs: tuple[sympy.Symbol, ...], outputs: tuple[str, ...]) -> Formula:
    """The log-odds, or one score per class, of the shares of the classes, half a row added to each."""
    counts = torch.bincount(labels.flatten().long(), minlength=max(len(outputs), 2)).double() + 0.5
    scores = (counts / counts.sum()).log().tolist() if len(outputs) > 1 else [(counts[1] / counts[0]).log().item()]
    return Formula(tuple(sympy.Float(score, 17) for score in scores), inputs, outputs)
