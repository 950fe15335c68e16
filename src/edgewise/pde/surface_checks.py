r"""How far a surface is from the solution: one linear correction, one degree higher.

Let u be the surface, of degree p, and $u^+$ what a Gauss-Newton step makes of it among the splines of degree p + 1 on
the same grid, which hold smooth functions better by a power of the width of intervals. If the correction takes the
residual down to the share $\beta$ of what it was, and errors fall like residuals, then

$$ \|u - u^*\| \le \|u - u^+\| + \|u^+ - u^*\| \approx \|u - u^+\| + \beta \|u - u^*\|, \qquad
   \|u - u^*\| \approx \frac{\|u - u^+\|}{1 - \beta}, $$

the hierarchical estimate with its saturation factor (Bank & Smith, SIAM J. Numer. Anal. 30, 1993), in which the inverse
of the linearised equation acts on the residual: no constant of stability is guessed. Windows of time are corrected one
after the other, so that the difference carries what earlier windows have handed on, with its growth or decay. It is an
estimate, no bound: it cannot see what neither space can hold, nor another solution of a nonlinear problem. Where
initial values have a kink, it was too small by a factor of up to 10 while it was developed.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgewise.nn import Surface
from edgewise.optim.banded import BandedEquations
from edgewise.pde.surface_equations import SurfaceEquations
from edgewise.pde.surface_points import CellTerm, gauss_axis
from edgewise.pde.surface_run import Sums, SurfaceRun

SATURATION = 0.9  # the largest beta: rounding may leave it at one, where an estimate would have no end
SAFETY = 1.5  # the estimate is this much larger, as residuals fall somewhat faster than errors

Terms = Callable[[Surface, Surface | None], list[CellTerm]]
"""The terms of a surface, which continues another one or not."""


@dataclass(frozen=True)
class Before:
    """The window that one continues: its surface, its correction, which knows better, and the factor of its error."""

    surface: Surface
    better: Surface
    factor: float


@dataclass(frozen=True)
class Checked:
    """A surface and its correction.

    Attributes:
        sums: of the error of this surface, which continues the surface before as if that were exact.
        better: the correction.
        unknowns: its values of the unknowns.
        factor: of the distance between both, for what the correction leaves.
        equations: of the correction.
        system: its normal equations, with their factor.
    """

    sums: Sums
    better: Surface
    unknowns: dict[str, float]
    factor: float
    equations: SurfaceEquations
    system: BandedEquations


def checked(run: SurfaceRun, surface: Surface, before: Before | None, terms: Terms, loss: float) -> Checked:
    """The correction of a surface whose loss is known.

    Raises:
        TimeIsOver: the budget of the run is over long since.
    """
    better, unknowns = surface.on(surface.grids, degree=surface.degree + 1), dict(run.unknowns)
    equations = run.equations(better, terms(better, None if before is None else before.surface), unknowns)
    system = equations.system()
    equations.moved(*system.solution())
    left = math.sqrt(equations.loss() / loss) if loss > 0 else SATURATION
    factor = SAFETY / (1 - (min(left, SATURATION) if math.isfinite(left) else SATURATION))
    off, fields = distance(surface, better)
    return Checked(Sums((factor * off) ** 2, fields), better, unknowns, factor, equations, system)


def carried(
    run: SurfaceRun, surface: Surface, before: Before, found: Checked, continued: Callable[[Surface, Surface], CellTerm]
) -> Checked:
    """The correction that continues the correction before: with the error that was handed on, by its own factor."""
    gradients = []
    for start in (before.surface, before.better):
        only = run.equations(found.better, [continued(start, found.better)], dict(found.unknowns))
        gradients.append(only.system().gradient.numpy())
    alone = copy.deepcopy(found.better)
    found.equations.moved(found.system.solved(gradients[0] - gradients[1]), np.zeros(len(run.unknowns)))
    added, _ = distance(surface, alone)
    handed_on, _ = distance(alone, found.better)
    error = added * found.factor + handed_on * before.factor
    together, fields = distance(surface, found.better)
    factor = error / (added + handed_on) if added + handed_on > 0 else found.factor
    return dataclasses.replace(found, sums=Sums((factor * together) ** 2, fields), factor=factor)


def distance(surface: Surface, better: Surface) -> tuple[float, float]:
    """The root of the integral of the squared difference, and the integral of the squared fields."""
    axes = [gauss_axis(grid, size) for grid, size in zip(better.grids, better.sizes, strict=True)]
    lines = [x.flatten() for x, _ in axes]
    volume = math.prod(float(grid[-1] - grid[0]) for grid in surface.grids)

    def integral(values: Tensor) -> float:
        squares = values.square().sum(-1)
        for _, weights in axes:
            squares = torch.tensordot(weights.flatten(), squares, dims=1)
        return volume * float(squares)

    values = surface.on_grid(lines)
    return math.sqrt(integral(values - better.on_grid(lines))), integral(values)
