r"""Minimise the energy $E(u) = \int e(x, u, \nabla u, \dots)\,dx$ of a symmetric problem by its natural gradient.

With J the Jacobian of the fields and derivatives that e uses, and H the Hessian of e in these, a step solves

$$ \Big(\int J^T H J\,dx + \mu I\Big)\,s = -\nabla_\theta E $$

(Müller & Zeinhofer, arXiv 2302.13163). The energy needs a quadrature, not samples: on random points the network finds
functions whose energy is low at the points and high between them. So the domain is a box, with Gauss-Legendre points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.optim.least_squares import NormalEquations, levenberg_marquardt
from edgewise.pde.collocation_loss import CollocationLoss
from edgewise.pde.domains import Box
from edgewise.pde.operators import TIME, ProblemError, Scope
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.progress import Budget

MOST_AXES = 3  # of the quadrature


def check_energy(problem: Problem) -> None:
    """Raise `ProblemError` for an energy without a box of space, or with conditions that are not in the ansatz."""
    if problem.energy is None:
        return
    coordinates = problem.domain.coordinates
    if not isinstance(problem.domain, Box) or TIME in coordinates or len(coordinates) > MOST_AXES:
        raise ProblemError(f"an energy is integrated over a Box of at most {MOST_AXES} axes of space; leave it out")
    if problem.conditions or problem.unknowns:
        raise ProblemError(
            "an energy is minimised under conditions that hold by construction: put them into `ansatz`, or leave it out"
        )


def quadrature(bounds: Sequence[tuple[float, float]], points: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """About so many Gauss-Legendre points in a box, and their weights."""
    each = max(2, math.ceil(points ** (1 / len(bounds))))
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(each))
    axes = [low + (high - low) * (nodes + 1) / 2 for low, high in bounds]
    sizes = [weights * (high - low) / 2 for low, high in bounds]
    if len(bounds) == 1:
        return axes[0][:, None], sizes[0]
    return torch.cartesian_prod(*axes), torch.cartesian_prod(*sizes).prod(-1)


class Energy:
    """The energy of a problem as a function of the parameters of its model, for `levenberg_marquardt`."""

    def __init__(self, problem: Problem, model: nn.Module, points: int) -> None:
        self.problem = problem
        used, _ = problem.rehearse(self._integrand, boundary=False)
        self.used = sorted(used)
        self.x, self.weights = quadrature(problem.domain.bounds, points)
        parts = ResidualTerm("energy", self._parts, problem.algebra(self._parts), self.x[None], weight=1.0)
        self.fitting = CollocationLoss(problem, model, [parts])

    def theta(self) -> Float[Tensor, "1 P"]:
        """The parameters of the model as it is."""
        return self.fitting.theta({})

    def minimize(self, theta: Float[Tensor, "1 P"], steps: int, budget: Budget | None = None) -> Float[Tensor, "1 P"]:
        """Damped steps on the energy, all of them: its relative decrease does not tell how near the minimum is."""
        return levenberg_marquardt(self, theta, steps, patience=steps, budget=budget).theta

    def losses(self, theta: Float[Tensor, "1 P"]) -> Float[Tensor, " 1"]:
        """The energy."""
        self.fitting.write(theta)
        with torch.no_grad():
            parts = self.problem.residuals(self.fitting.model, self.fitting.terms[0], {})
        return (self.weights @ self._density(parts))[None]

    def normal_equations(self, theta: Float[Tensor, "1 P"]) -> NormalEquations:
        """The matrix and the gradient of the equation of this file, and the energy."""
        parts, J = self.fitting.jacobian(theta, self.fitting.terms[0])
        with torch.enable_grad():
            parts = parts.detach().requires_grad_()
            density = self._density(parts)
            (slope,) = torch.autograd.grad(density.sum(), parts, create_graph=True)
            bends = [
                torch.autograd.grad(row.sum(), parts, retain_graph=True, allow_unused=True)[0]
                if row.requires_grad
                else None
                for row in slope
            ]
        gradient = torch.einsum("kn,knp->p", slope.detach() * self.weights, J)
        gram = J.new_zeros(J.shape[-1], J.shape[-1])
        for k, bend in enumerate(bends):
            if bend is not None:
                gram += J[k].T @ torch.einsum("ln,lnp->np", bend * self.weights, J)
        return NormalEquations(gram[None], gradient[None], (self.weights @ density.detach())[None])

    def _integrand(self, scope: Scope) -> Tensor:
        assert self.problem.energy is not None
        return scope.call(self.problem.energy)

    def _parts(self, scope: Scope) -> tuple[Tensor, ...]:
        """The fields and derivatives that the integrand uses, as residuals."""
        return tuple(scope[name].at(index) for name, index in self.used)

    def _density(self, parts: Float[Tensor, "parts n"]) -> Float[Tensor, " n"]:
        """The integrand for given values of the parts."""
        values = dict(zip(self.used, parts, strict=True))
        scope = self.problem.scope(self.x, None, lambda name, index: values[name, index], {}, {})
        return self._integrand(scope)
