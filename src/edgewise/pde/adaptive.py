"""Points of the equation where its residual is large."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import nn

from edgewise.pde.grading import graded_terms
from edgewise.pde.problem import Problem, Term

POOL = 5  # candidates for every point
QUIET = 0.1  # of the mean: keeps quiet places in the draw


@torch.no_grad()
def adapted_term(
    problem: Problem,
    model: nn.Module,
    unknowns: Mapping[str, float],
    term: Term,
    share: float,
    generator: torch.Generator,
    *,
    graded: bool = False,
) -> Term:
    """The term with a share of its points replaced by points drawn in proportion to the squared residual."""
    n = round(share * term.points.shape[1])
    x = problem.domain.sample(POOL * term.points.shape[1], generator, "uniform")[None]
    pool = dataclasses.replace(term, points=x, scale=None)
    if graded:
        pool = graded_terms(model, problem, [pool])[0]
    r = problem.residuals(model, pool, {name: torch.tensor(v) for name, v in unknowns.items()})
    size = r.square().sum(0)
    if n == 0 or not bool(torch.isfinite(size).all()) or not bool((size > 0).any()):
        return term
    drawn = torch.multinomial(size + QUIET * size.mean(), n, generator=generator)
    scale = None if term.scale is None or pool.scale is None else torch.cat([term.scale[n:], pool.scale[drawn]])
    return dataclasses.replace(term, points=torch.cat([term.points[:, n:], pool.points[:, drawn]], 1), scale=scale)
