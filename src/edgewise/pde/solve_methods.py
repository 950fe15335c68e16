r"""Minimise the loss of a solve: Gauss-Newton, quasi-Newton and Adam as values, with their schedule.

`solve` takes three values, one for each question:

* a method (this file): how the loss is minimised, and over which rounds: `starts` initial networks compete, every
  round has `steps` iterations, the best network is refined to every resolution in `intervals`, `rounds` rounds each;
* a `Collocation`: what the loss is: at which points the residuals are squared, and with which weights;
* the run itself: `windows` of time, `seconds`, `seed`, `progress`.

A name is short for a method with its defaults: "auto", "gauss-newton", "self-scaled-bfgs", "lbfgs", "adam", "surface".
The last, `Surfaces`, makes its own model, points and windows.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch

from edgewise.optim.bfgs import self_scaled_bfgs
from edgewise.optim.least_squares import levenberg_marquardt
from edgewise.pde.collocation_loss import CollocationLoss, Theta
from edgewise.pde.operators import ProblemError
from edgewise.progress import Budget

GAUSS_NEWTON_MOST, LBFGS_MOST = 4000, 40_000  # parameters up to which each is the choice of `BySize`
UPDATES = ("self-scaled-bfgs", "lbfgs")
PATIENCE = 15  # Gauss-Newton steps without progress that end a round
HISTORY = 50  # pairs of steps and gradients that L-BFGS keeps


@dataclass(frozen=True, kw_only=True)
class SolveMethod(ABC):
    """The schedule that all methods share.

    Args:
        starts: how many initial networks compete: after a few steps the better half continues, until one is left.
        steps: iterations in every round after the search.
        rounds: rounds at every resolution, each at fresh points.
        intervals: the grid intervals of the splines after the search, in increasing order; the search uses the
            grids of the model. By default (5, 10) as far as they refine the model; () continues without refinement.

    Raises:
        ProblemError: a value is out of its range; in `solve`, if `intervals` cannot refine the model.
    """

    starts: int = 4
    steps: int = 60
    rounds: int = 1
    intervals: Sequence[int] | None = None

    def __post_init__(self) -> None:
        for name, least in (("starts", 1), ("steps", 0), ("rounds", 1)):
            if getattr(self, name) < least:
                raise ProblemError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.intervals is None:
            return
        object.__setattr__(self, "intervals", tuple(self.intervals))
        if any(b <= a for a, b in zip((0, *self.intervals), self.intervals, strict=False)):
            raise ProblemError(f"intervals are at least 1 and increase, got {self.intervals}")

    def scheduled_as(self, other: SolveMethod) -> SolveMethod:
        """This method with the starts, steps, rounds and intervals of another one."""
        return dataclasses.replace(
            self, starts=other.starts, steps=other.steps, rounds=other.rounds, intervals=other.intervals
        )

    @abstractmethod
    def minimize(self, loss: CollocationLoss, theta: Theta, steps: int, budget: Budget) -> tuple[Theta, int]:
        """The parameters after at most so many iterations from a finite loss, and how many were done."""


@final
@dataclass(frozen=True)
class GaussNewton(SolveMethod):
    """Damped Gauss-Newton (Levenberg-Marquardt) with the exact Jacobian, for up to some thousand parameters."""

    def minimize(self, loss: CollocationLoss, theta: Theta, steps: int, budget: Budget) -> tuple[Theta, int]:
        end = levenberg_marquardt(loss, theta, steps, patience=PATIENCE, budget=budget)
        return end.theta, end.steps


@final
@dataclass(frozen=True)
class QuasiNewton(SolveMethod):
    """A quasi-Newton method, from gradients alone.

    Args:
        update: "self-scaled-bfgs", which keeps a matrix of all parameters squared, or "lbfgs", which keeps 50 pairs
            of steps and gradients.
    """

    update: str = "self-scaled-bfgs"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.update not in UPDATES:
            raise ProblemError(f"unknown quasi-Newton update {self.update!r}; choose one of {', '.join(UPDATES)}")

    def minimize(self, loss: CollocationLoss, theta: Theta, steps: int, budget: Budget) -> tuple[Theta, int]:
        if self.update == "self-scaled-bfgs":
            return self_scaled_bfgs(loss.value_and_gradient, theta[0], steps)[None], steps
        leaves = loss.leaves(theta)
        optimizer = torch.optim.LBFGS(leaves, max_iter=steps, history_size=HISTORY, line_search_fn="strong_wolfe")
        optimizer.step(lambda: loss.backward_(leaves))
        return loss.gathered(leaves), steps


@final
@dataclass(frozen=True)
class AdamDescent(SolveMethod):
    """Adam on the whole loss, for more parameters than a quasi-Newton method can take.

    Args:
        lr: the learning rate.
    """

    lr: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lr > 0:
            raise ProblemError(f"lr must be above 0, got {self.lr}")

    def minimize(self, loss: CollocationLoss, theta: Theta, steps: int, budget: Budget) -> tuple[Theta, int]:
        leaves = loss.leaves(theta)
        optimizer = torch.optim.Adam(leaves, lr=self.lr)
        for _ in range(steps):
            optimizer.step(lambda: loss.backward_(leaves))
        return loss.gathered(leaves), steps


@final
@dataclass(frozen=True)
class BySize(SolveMethod):
    """Gauss-Newton up to 4,000 parameters, L-BFGS up to 40,000, Adam beyond; the name "auto"."""

    def minimize(self, loss: CollocationLoss, theta: Theta, steps: int, budget: Budget) -> tuple[Theta, int]:
        return self.chosen(sum(p.numel() for p in loss.parameters)).minimize(loss, theta, steps, budget)

    def chosen(self, parameters: int) -> SolveMethod:
        """The method for a model with this many parameters, with the same schedule."""
        if parameters <= GAUSS_NEWTON_MOST:
            return GaussNewton().scheduled_as(self)
        return (QuasiNewton("lbfgs") if parameters <= LBFGS_MOST else AdamDescent()).scheduled_as(self)


@final
@dataclass(frozen=True, kw_only=True)
class Surfaces:
    """A method of `solve`: a spline of all coordinates on adaptive grids, by sparse Gauss-Newton; the name "surface".

    For problems on a `Box` of one to three coordinates. It draws no random numbers: seeds change nothing.

    Args:
        tolerance: of the estimated relative error (see `edgewise.pde.surface_checks`), at which refinement ends.
        degree: of the splines; by default 5 more than the order of the equation, from 7 to 9, so that residuals fall as
            fast for high orders, whose fine grids would be ill-conditioned; 5 in three coordinates.
        intervals: along every axis at first; by default 8, and 4 in three coordinates.
        steps: Gauss-Newton steps on one grid, at most.
        most: coefficients of a surface, at most: a problem that needs more is cut into windows of time, or stays rough.

    Raises:
        ProblemError: a value is out of its range.
    """

    tolerance: float = 1e-6
    degree: int | None = None
    intervals: int | None = None
    steps: int = 30
    most: int = 12_000

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ProblemError(f"tolerance must be above 0 and below 1, got {self.tolerance}")
        for name, least in (("degree", 2), ("intervals", 2), ("steps", 1), ("most", 100)):
            given = getattr(self, name)
            if given is not None and not given >= least:
                raise ProblemError(f"{name} must be at least {least}, got {given}")
        if (self.degree or 0) > 9:
            raise ProblemError(f"degree must be at most 9, got {self.degree}")

    def start(self, variables: int, order: int = 2) -> tuple[int, int]:
        """The degree and the intervals at first, for so many coordinates and an equation of this order."""
        degree, intervals = (min(9, max(7, 5 + order)), 8) if variables < 3 else (5, 4)
        return self.degree or degree, self.intervals or intervals


METHODS: Mapping[str, SolveMethod | Surfaces] = {
    "auto": BySize(),
    "gauss-newton": GaussNewton(),
    "self-scaled-bfgs": QuasiNewton("self-scaled-bfgs"),
    "lbfgs": QuasiNewton("lbfgs"),
    "adam": AdamDescent(),
    "surface": Surfaces(),
}


def as_method(method: str | SolveMethod | Surfaces) -> SolveMethod | Surfaces:
    """The method, or the one of this name with its defaults."""
    if isinstance(method, SolveMethod | Surfaces):
        return method
    if not isinstance(method, str) or method not in METHODS:
        raise ProblemError(
            f"unknown method {method!r}; choose one of {', '.join(METHODS)}, or give a value such as "
            "GaussNewton(steps=60), QuasiNewton('lbfgs'), AdamDescent(lr=1e-3), Surfaces(tolerance=1e-6)"
        )
    return METHODS[method]
