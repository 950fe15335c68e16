"""The usual way to train a network on an equation, as a baseline: nested autograd and a first-order optimiser.

Derivatives in the coordinates are taken by reverse mode, one sweep over the graph of the last one for every order, and
the loss is lowered by L-BFGS or Adam, as in the tutorials of pykan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.jets import Index
from edgewise.nn import KAN, Affine
from edgewise.pde import Problem
from edgewise.pde.problem import ResidualTerm

BOUNDARY_WEIGHT = 100.0  # pykan's tutorial weighs the equation by 0.01


def train_nested(problem: Problem, model: nn.Module, steps: int, method: str = "lbfgs", seed: int = 0) -> nn.Module:
    """The model after these steps of "lbfgs" or "adam" on 1000 points, 200 for every condition; it is changed in place.

    The problem must have neither features nor an ansatz nor unknowns: the outputs of the model are the fields.
    """
    if problem.features is not None or problem.ansatz is not None or problem.unknowns:
        raise ValueError("nested training knows neither features nor an ansatz nor unknowns")
    terms = problem.terms(1000, 200, torch.Generator().manual_seed(seed))
    if method == "lbfgs":
        optimizer: torch.optim.Optimizer = torch.optim.LBFGS(
            model.parameters(), lr=1, history_size=10, line_search_fn="strong_wolfe", tolerance_change=1e-32
        )
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nested_loss(problem, model, terms)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
    return model


def usual_network(problem: Problem, hidden: tuple[int, ...], intervals: int, seed: int) -> KAN:
    """A KAN as the papers train it: cubic splines beside SiLU, in double precision, inputs scaled to [-1, 1]."""
    widths = [problem.inputs, *hidden, len(problem.fields)]
    generator = torch.Generator().manual_seed(seed)
    model = KAN(widths, BSpline(intervals, 3), generator=generator, dtype=torch.float64)
    low, high = problem.input_bounds().T
    model.input_affine = Affine(2 / (high - low), -(high + low) / (high - low))
    return model


def nested_loss(problem: Problem, model: nn.Module, terms: Sequence[ResidualTerm]) -> Tensor:
    """The mean square of the equation, the first term, and the weighted ones of the conditions."""
    losses = [mean_square(problem, model, term) for term in terms]
    return losses[0] + BOUNDARY_WEIGHT * sum(losses[1:])


def mean_square(problem: Problem, model: nn.Module, term: ResidualTerm) -> Tensor:
    """The mean square of the residuals of a term, by nested autograd."""
    x = term.points.flatten(0, 1).detach().requires_grad_()
    normals = None if term.normals is None else term.normals.flatten(0, 1)
    derivative = _differentiator(model(x), x, problem)
    residual = term.residual(problem.scope(x, normals, derivative, {}, term.columns))
    parts = residual if isinstance(residual, tuple | list) else (residual,)
    return torch.stack([part.square().mean() for part in parts]).sum()


def _differentiator(values: Tensor, x: Tensor, problem: Problem) -> Callable[[str, Index], Tensor]:
    """The derivative of a field by its multi-index, every one computed once."""
    d, names = x.shape[1], list(problem.fields)
    space = [j for j, c in enumerate(problem.domain.coordinates) if c != "t"]
    known = {(name, (0,) * d): values[:, n] for n, name in enumerate(names)}

    def derivative(name: str, index: Index) -> Tensor:
        if index == ():
            second = [derivative(name, tuple(2 * (j == k) for j in range(d))) for k in space]
            return torch.stack(second).sum(0)
        if (name, index) not in known:
            j = next(j for j, n in enumerate(index) if n)
            lower = derivative(name, tuple(n - (k == j) for k, n in enumerate(index)))
            slopes = torch.autograd.grad(lower.sum(), x, create_graph=True)[0]
            for k in range(d):
                known[name, tuple(n - (m == j) + (m == k) for m, n in enumerate(index))] = slopes[:, k]
        return known[name, index]

    return derivative
