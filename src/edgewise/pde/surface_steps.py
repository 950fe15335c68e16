r"""Gauss-Newton for a surface, with a line search and, where that fails, Levenberg's damping.

A step d of the normal equations $J^T J d = -J^T r$ promises the decrease $\|r\|^2 - \|r + J d\|^2$. It is taken if
the loss falls by a tenth of the promise or more, else its halves are tried, which cost a sum of squares each. If these
fail too, the equations do not describe the loss that far: then $(J^T J + \mu D) d = -J^T r$ with the diagonal D, for
larger and larger $\mu$, which cost a factorisation each, but no new rows. A linear problem is solved by one step.
Unknown coefficients multiply fields: where a full step of both is not lower, the fields first follow a part of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgewise.optim.banded import BandedEquations
from edgewise.pde.surface_equations import SurfaceEquations
from edgewise.progress import TimeIsOver

SETTLED = 0.02  # relative decrease of the loss below which the steps end
DETERMINED = 1e-5  # the same with unknowns: of n data a standard error of one is a share 1 / n of the loss
LINEAR = 0.02  # so near to what a linear problem would have reached, the steps end
ROUNDING = 1e-12  # of the loss before a step: what is expected after it is not known better
FULFILLED = 0.1  # of the promised decrease that a step must bring
HALVINGS = 3  # of the undamped step
DAMPINGS = (1e-2, 1.0, 1e2, 1e4)  # tried in this order where no undamped step is taken
FOLLOWED = (1.0, 1 / 4, 1 / 16)  # parts of a step of the unknowns that the fields follow
FIELD_STEPS = 2  # of the fields alone
SLOW = 3  # damped steps in a row that hardly lower the loss: the end


@dataclass(frozen=True)
class Ended:
    """How the steps ended.

    Attributes:
        steps: that were taken.
        settled: whether another step would hardly lower the loss; False if the steps or the time were used up before.
        loss: the last one.
    """

    steps: int
    settled: bool
    loss: float


@dataclass(frozen=True)
class Taken:
    """A step that was taken: the loss before and after it, the least loss of linear equations, and the damping."""

    before: float
    after: float
    expected: float
    damping: float


def minimize(equations: SurfaceEquations, steps: int) -> Ended:
    """Change the surface and the unknowns of the equations until the loss is least, in at most so many steps.

    Raises:
        TimeIsOver: before the first step.
    """
    slow, loss, share = 0, math.nan, DETERMINED if equations.unknowns else SETTLED
    for step in range(steps):
        if equations.budget.over and step > 0:
            return Ended(step, False, loss)
        try:
            taken = _taken(equations, equations.system())
        except TimeIsOver:
            if step == 0:
                raise
            return Ended(step, False, loss)
        if taken is None:
            # Even a short way down the slope is not lower: what is left is rounding.
            loss = equations.loss()
            return Ended(step, math.isfinite(loss), loss)
        loss = taken.after
        little = not taken.after < taken.before * (1 - share)
        off = abs(taken.after - taken.expected)
        linear = not equations.unknowns and off <= LINEAR * taken.after + ROUNDING * taken.before
        least = taken.expected >= taken.before * (1 - share)
        if least or (taken.damping == 0 and (linear or little)):
            return Ended(step + 1, True, loss)
        slow = slow + 1 if little else 0
        if slow == SLOW:
            return Ended(step + 1, False, loss)
    return Ended(steps, False, loss)


def _taken(equations: SurfaceEquations, system: BandedEquations) -> Taken | None:
    """The first step that keeps enough of its promise; else the one with the least loss below that before; else None.

    If none is taken, nothing is changed.
    """
    best: tuple[float, float, np.ndarray, np.ndarray] | None = None
    expected = math.nan
    for damping in (0.0, *DAMPINGS):
        if (
            damping == DAMPINGS[0]
            and equations.unknowns
            and (followed := _followed(equations, system, system.loss)) is not None
        ):
            return Taken(system.loss, followed, expected, 0.0)
        move, unknowns = system.solution(damping)
        if damping == 0:
            expected = max(0.0, system.loss - system.gain(move, unknowns))
        for size in [2.0**-n for n in range(HALVINGS + 1)] if damping == 0 else [1.0]:
            after = _tried(equations, size * move, size * unknowns)
            if after < (system.loss if best is None else best[0]):
                best = after, damping, size * move, size * unknowns
            if after < system.loss and after <= system.loss - FULFILLED * system.gain(move, unknowns, size):
                equations.moved(size * move, size * unknowns)
                return Taken(system.loss, after, expected, damping)
    if best is None:
        return None
    equations.moved(best[2], best[3])
    return Taken(system.loss, best[0], expected, best[1])


def _followed(equations: SurfaceEquations, system: BandedEquations, least: float) -> float | None:
    """The loss after a part of the step and one more of the fields alone, if that is below the least; else None.

    Where an unknown multiplies a field, the fields must follow it before the loss can tell whether it was a good one
    (variable projection; Golub & Pereyra, SIAM J. Numer. Anal. 10, 1973).
    """
    coef, known = equations.surface.coef.data.clone(), dict(equations.unknowns)
    move, unknowns = system.solution()
    for size in FOLLOWED:
        equations.moved(size * move, size * unknowns)
        for _ in range(FIELD_STEPS):
            there = equations.system()
            equations.moved(-there.solved(there.gradient.numpy()), np.zeros(len(known)))
        loss = equations.loss()
        if loss < least * (1 - DETERMINED):
            return loss
        equations.surface.coef.data.copy_(coef)
        equations.unknowns.update(known)
    return None


def _tried(equations: SurfaceEquations, move: np.ndarray, unknowns: np.ndarray) -> float:
    """The loss after a step, infinite if it is not finite; nothing is changed."""
    coef, known = equations.surface.coef.data.clone(), dict(equations.unknowns)
    equations.moved(move, unknowns)
    loss = equations.loss()
    equations.surface.coef.data.copy_(coef)
    equations.unknowns.update(known)
    return loss if math.isfinite(loss) else math.inf
