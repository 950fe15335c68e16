r"""Levenberg-Marquardt with Nielsen's damping, for many starts at once.

A step solves $(J^T J + \Lambda + \mu I)\,s = -g$; with the ratio $\rho$ of the decrease of the loss to the one that the
quadratic model predicts, an accepted step multiplies $\mu$ by $\max(1/3,\, 1 - (2\rho - 1)^3)$, a rejected one by
$\nu = 2, 4, 8, \dots$ (Nielsen, IMM-REP-1999-05). Directions without data have zero rows and get no step.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.optim.flat import Numbers
from edgewise.optim.jacobian import NormalEquations
from edgewise.optim.smoothing import Smoothing

EPS = torch.finfo(torch.float64).eps
SHRINK = 1 / 3


@runtime_checkable
class LeastSquares(Protocol):
    """What can be minimised: a loss of numbers with its Gauss-Newton matrix and gradient, for S starts at once."""

    def losses(self, numbers: Numbers) -> Float[Tensor, " S"]: ...
    def normal_equations(self, numbers: Numbers) -> NormalEquations: ...


@dataclass(frozen=True)
class Minimum:
    """Where a run ended.

    Attributes:
        numbers: the numbers of every start.
        losses: the loss of every start, without the prior.
        damping: the last mu that gave a good step, relative to the greatest diagonal entry, for a next run.
        gram: the Gauss-Newton matrix there, without the prior.
        steps: iterations done.
    """

    numbers: Numbers
    losses: Float[Tensor, " S"]
    damping: Float[Tensor, " S"]
    gram: Float[Tensor, "S P P"]
    steps: int


@dataclass(frozen=True)
class LevenbergMarquardt:
    r"""Settings of the method.

    Args:
        damping: the first mu, relative to the greatest diagonal entry.
        patience: end when this many iterations in a row brought less than `tolerance` of relative decrease.
        tolerance: see `patience`.
    """

    damping: float = 1e-3
    patience: int = 8
    tolerance: float = 1e-3

    def minimize(
        self,
        problem: LeastSquares,
        numbers: Numbers,
        steps: int,
        *,
        damping: Tensor | None = None,
        prior: Smoothing | None = None,
        deadline: float = math.inf,
    ) -> Minimum:
        r"""Lower the loss plus $\frac12\theta^T\Lambda\theta$ (the prior) from every start."""
        state = _State(problem, numbers, prior, self.damping if damping is None else damping)
        best, waited, done = state.total, 0, 0
        while done < steps:
            state.step()
            done += 1
            gained = bool(((best - state.total) > self.tolerance * best.abs()).any())
            waited = 0 if gained else waited + 1
            best = torch.minimum(best, state.total) if gained else best
            if waited >= self.patience or state.stuck or time.monotonic() > deadline:
                break
        return Minimum(state.numbers, state.losses, state.good / state.top, state.gram, done)


class _State:
    """Numbers, normal equations and damping of S starts."""

    def __init__(
        self, problem: LeastSquares, numbers: Numbers, prior: Smoothing | None, damping: float | Tensor
    ) -> None:
        self.problem, self.numbers, self.prior = problem, numbers, prior
        self._linearize()
        self.mu = self.top * damping
        self.nu = torch.full_like(self.mu, 2.0)
        self.good = self.mu

    @property
    def stuck(self) -> bool:
        """True where no start can take a step any more."""
        return bool((self.mu > 1e12 * self.top).all())

    def step(self) -> None:
        """One trial step of every start."""
        step, predicted = self._solve()
        trial = Numbers(self.numbers.theta + step, self.numbers.grids)
        losses = self.problem.losses(trial)
        total = losses + self._prior_value(trial.theta)
        gain = self.total - total
        accepted = gain > 0  # False for NaN as well
        rho = gain / predicted.clamp(min=torch.finfo(gain.dtype).tiny)
        factor = torch.where(accepted, (1 - (2 * rho - 1) ** 3).clamp(min=SHRINK), self.nu)
        self.good = torch.where(accepted, self.mu, self.good)
        self.mu = (self.mu * factor).clamp(min=EPS * self.top)
        self.nu = torch.where(accepted, torch.full_like(self.nu, 2.0), 2 * self.nu)
        if bool(accepted.any()):
            theta = torch.where(accepted[:, None], trial.theta, self.numbers.theta)
            self.numbers = Numbers(theta, self.numbers.grids)
            self._linearize()

    def _linearize(self) -> None:
        equations: NormalEquations = self.problem.normal_equations(self.numbers)
        self.losses = equations.loss
        self.total = equations.loss + self._prior_value(self.numbers.theta)
        # Where a symbol has no slope (sqrt at 0) the start stays where it is; the others go on.
        defined = equations.gram.isfinite().all(-1).all(-1) & equations.gradient.isfinite().all(-1)
        self.gram = torch.where(defined[:, None, None], equations.gram, 0)
        self.gradient = torch.where(defined[:, None], equations.gradient, 0)
        if self.prior is not None:
            self.gradient = self.gradient + self.prior.times(self.numbers.theta)
        self.top = self.gram.diagonal(dim1=1, dim2=2).amax(-1).clamp(min=torch.finfo(torch.float64).tiny)

    def _solve(self) -> tuple[Tensor, Tensor]:
        """The damped Gauss-Newton step, damping raised until the factorisation succeeds, and its predicted decrease."""
        while True:
            matrix = self.gram.clone()
            if self.prior is not None:
                self.prior.add_to(matrix)
            matrix.diagonal(dim1=1, dim2=2).add_(self.mu[:, None])
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if not bool(failed.any()):
                break
            self.mu = torch.where(failed > 0, 10 * self.mu.clamp(min=EPS * self.top), self.mu)
        step = torch.cholesky_solve(-self.gradient[..., None], factor)[..., 0]
        return step, (step * (self.mu[:, None] * step - self.gradient)).sum(-1) / 2

    def _prior_value(self, theta: Tensor) -> Tensor:
        return theta.new_zeros(len(theta)) if self.prior is None else self.prior.value(theta)
