r"""Causal weights: an equation in time counts late only as far as it holds early.

After Wang, Sankaran & Perdikaris (arXiv 2203.07404, section 4). Time is cut into slices with mean squares $L_k$ of the
residual; the squared residual in slice i counts

$$ w_i = \exp\Big(-\varepsilon \sum_{k<i} L_k \Big/ \sum_k L_k\Big). $$

They leave out the division and wait until every $L_k$ is small. A Gauss-Newton solve has a handful of rounds, in each
of which the weights stay as they are; with the division they lie between 1 and $e^{-\varepsilon}$ from the first on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import torch
from torch import nn

from edgewise.pde.errors import ProblemError
from edgewise.pde.operators import TIME
from edgewise.pde.problem import Problem, Term

SLICES = 16


def check_causal(problem: Problem, strength: float) -> None:
    """Causal weights need time."""
    if not 0 <= strength < math.inf:
        raise ProblemError(f"causal must be at least 0 and finite, got {strength}")
    if strength > 0 and TIME not in problem.domain.coordinates:
        raise ProblemError("causal weights need a coordinate `t`; leave causal at 0 here")


@torch.no_grad()
def causal_term(problem: Problem, model: nn.Module, unknowns: Mapping[str, float], term: Term, strength: float) -> Term:
    r"""The term with its residuals scaled by $\sqrt{w_i}$; as it is where the residual is zero or not finite."""
    axis = problem.domain.coordinates.index(TIME)
    low, high = problem.domain.bounds[axis]
    place = ((term.points[0, :, axis] - low) / (high - low) * SLICES).long().clamp(0, SLICES - 1)
    r = problem.residuals(model, term, {name: torch.tensor(v) for name, v in unknowns.items()})
    count = torch.bincount(place, minlength=SLICES).clamp(min=1)
    means = torch.bincount(place, r.square().sum(0), minlength=SLICES) / count
    total = means.sum()
    if not bool(torch.isfinite(total)) or not bool(total > 0):
        return term
    root = torch.exp(-0.5 * strength * (means.cumsum(0) - means) / total)[place]
    return dataclasses.replace(term, scale=root if term.scale is None else root * term.scale)
