r"""Nonlinear least squares: what such a problem is, and Levenberg-Marquardt from many starts at once.

With H the Gauss-Newton matrix, g the gradient and $\Lambda$ the matrix of a prior, a step solves

$$ (H + \Lambda + \mu D)\,s = -g. $$

D is the identity (Levenberg), for parameters of one size such as the coefficients of curves, or the diagonal of H
(Marquardt), for parameters of any size such as the constants of a formula. With the ratio $\rho$ of the decrease of the
loss to the one that the quadratic model predicts, an accepted step multiplies $\mu$ by
$\max(1/3,\, 1 - (2\rho - 1)^3)$, a rejected one by $\nu = 2, 4, 8, \dots$ (Nielsen, IMM-REP-1999-05). A step to where
the loss is not defined is rejected, and directions without data have zero rows and get no step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.progress import Budget

EPS = torch.finfo(torch.float64).eps
TINY = 1e-300
SHRINK = 1 / 3  # the least factor of mu after an accepted step
STUCK = 1e12  # mu in units of the curvature above which a step changes nothing
LEAST_SCALE = 1e-12  # a diagonal entry counts as at least this share of the greatest

Damping = Literal["identity", "diagonal"]


class NormalEquations(NamedTuple):
    """Gauss-Newton matrix (S, P, P), gradient (S, P) and loss (S) at S points."""

    gram: Tensor
    gradient: Tensor
    loss: Tensor

    @classmethod
    def stacked(cls, points: Iterable[tuple[Tensor, Tensor, Tensor]]) -> NormalEquations:
        """Those of single points together."""
        return cls(*(torch.stack(parts) for parts in zip(*points, strict=True)))


@runtime_checkable
class LeastSquares(Protocol):
    """What can be minimised: a loss of P parameters with its Gauss-Newton matrix and gradient, at S points at once."""

    def losses(self, theta: Float[Tensor, "S P"], /) -> Float[Tensor, " S"]: ...
    def normal_equations(self, theta: Float[Tensor, "S P"], /) -> NormalEquations: ...


@runtime_checkable
class Prior(Protocol):
    r"""A penalty $\frac12\theta^T\Lambda\theta$ beside the loss."""

    def value(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, " S"]: ...
    def times(self, theta: Float[Tensor, "S P"]) -> Float[Tensor, "S P"]: ...
    def add_to(self, gram: Float[Tensor, "S P P"]) -> None: ...


@dataclass(frozen=True)
class Minimum:
    """Where a run ended.

    Attributes:
        theta: the parameters of every start.
        losses: the loss of every start, without the prior.
        steps: iterations done.
    """

    theta: Float[Tensor, "S P"]
    losses: Float[Tensor, " S"]
    steps: int
    _state: _State

    @property
    def mu(self) -> Float[Tensor, " S"]:
        """The last damping that gave a good step, in the units of the argument `mu`, for a next run."""
        self._state.linearize()
        return self._state.good / self._state.unit

    @property
    def gram(self) -> Float[Tensor, "S P P"]:
        """The Gauss-Newton matrix at `theta`, without the prior."""
        self._state.linearize()
        return self._state.gram


def levenberg_marquardt(
    problem: LeastSquares,
    start: Float[Tensor, "S P"],
    steps: int,
    *,
    damping: Damping = "identity",
    mu: float | Float[Tensor, " S"] = 1e-3,
    prior: Prior | None = None,
    patience: int = 8,
    tolerance: float = 1e-3,
    target: float = -math.inf,
    budget: Budget | None = None,
) -> Minimum:
    r"""Lower the loss (plus the prior) from every start; no start ends above where it began.

    Args:
        problem: the loss and its normal equations.
        start: one row per start.
        steps: at most so many iterations.
        damping: what D is. With "diagonal" the steps are the same in any units of the parameters.
        mu: the first damping, relative to the greatest diagonal entry of H where D is the identity.
        prior: a quadratic penalty.
        patience: end when this many iterations in a row brought no start a relative decrease of `tolerance`.
        tolerance: see `patience`.
        target: end when the loss of every start is below this.
        budget: end when it is over, after the iteration under way.
    """
    state = _State(problem, start, prior, damping, mu)
    best, waited, done = state.total, 0, 0
    while done < steps:
        state.step()
        done += 1
        gained = bool(((best - state.total) > tolerance * best.abs()).any())
        waited = 0 if gained else waited + 1
        best = torch.minimum(best, state.total) if gained else best
        if waited >= patience or state.stuck or bool((state.total < target).all()) or (budget and budget.over):
            break
    return Minimum(state.theta, state.losses, done, state)


class _State:
    """Parameters, normal equations and damping of S starts."""

    def __init__(
        self, problem: LeastSquares, theta: Tensor, prior: Prior | None, damping: Damping, mu: float | Tensor
    ) -> None:
        self.problem, self.theta, self.prior, self.damping = problem, theta, prior, damping
        self.fresh = False  # whether the normal equations are those of theta
        self.linearize()
        self.mu = self.unit * mu
        self.nu = torch.full_like(self.mu, 2.0)
        self.good = self.mu

    @property
    def stuck(self) -> bool:
        """True where no start can take a step any more."""
        return bool((self.mu > STUCK * self.unit).all())

    def step(self) -> None:
        """One trial step of every start."""
        self.linearize()
        step, predicted = self._solve()
        trial = self.theta + step
        losses = self.problem.losses(trial)
        total = losses + self._prior_value(trial)
        gain = self.total - total
        accepted = gain > 0  # False for NaN as well
        rho = gain / predicted.clamp(min=torch.finfo(gain.dtype).tiny)
        factor = torch.where(accepted, (1 - (2 * rho - 1) ** 3).clamp(min=SHRINK), self.nu)
        self.good = torch.where(accepted, self.mu, self.good)
        self.mu = (self.mu * factor).clamp(min=EPS * self.unit)
        self.nu = torch.where(accepted, 2.0, 2 * self.nu)
        if bool(accepted.any()):
            self.theta = torch.where(accepted[:, None], trial, self.theta)
            self.losses = torch.where(accepted, losses, self.losses)
            self.total = torch.where(accepted, total, self.total)
            self.fresh = False

    def linearize(self) -> None:
        """Normal equations at theta, unless they are those already: the last step of a run needs none."""
        if self.fresh:
            return
        self.fresh = True
        equations = self.problem.normal_equations(self.theta)
        self.losses = equations.loss
        self.total = equations.loss + self._prior_value(self.theta)
        # Where a symbol has no slope (sqrt at 0) the start stays where it is; the others move on. An entry of a Gram
        # matrix is at most the root of the product of two diagonal ones, so that these tell of all.
        diagonal = equations.gram.diagonal(dim1=1, dim2=2)
        defined = diagonal.isfinite().all(-1) & equations.gradient.isfinite().all(-1)
        self.gram, self.gradient = equations.gram, equations.gradient
        if not bool(defined.all()):
            self.gram = torch.where(defined[:, None, None], self.gram, 0)
            self.gradient = torch.where(defined[:, None], self.gradient, 0)
        if self.prior is not None:
            self.gradient = self.gradient + self.prior.times(self.theta)
        diagonal = self.gram.diagonal(dim1=1, dim2=2)
        top = diagonal.amax(-1).clamp(min=TINY)
        if self.damping == "diagonal":
            self.unit, self.D = torch.ones_like(top), diagonal.maximum(LEAST_SCALE * top[:, None])
        else:
            self.unit, self.D = top, torch.ones_like(diagonal)

    def _solve(self) -> tuple[Tensor, Tensor]:
        """The damped Gauss-Newton step, damping raised until the factorisation succeeds, and its predicted decrease."""
        while True:
            matrix = self.gram.clone()
            if self.prior is not None:
                self.prior.add_to(matrix)
            damped = self.mu[:, None] * self.D
            matrix.diagonal(dim1=1, dim2=2).add_(damped)
            factor, failed = torch.linalg.cholesky_ex(matrix)
            if not bool(failed.any()):
                break
            self.mu = torch.where(failed > 0, 10 * self.mu.clamp(min=EPS * self.unit), self.mu)
        step = torch.cholesky_solve(-self.gradient[..., None], factor)[..., 0]
        return step, (step * (damped * step - self.gradient)).sum(-1) / 2

    def _prior_value(self, theta: Tensor) -> Tensor:
        return theta.new_zeros(len(theta)) if self.prior is None else self.prior.value(theta)
