r"""Refit the numbers of a symbolic network jointly: Levenberg-Marquardt on $\sum_b (m_\theta(x_b) - y_b)^2$.

The method of `edgewise.optim` is another one, for curves: many starts at once, normal equations from native code,
damping by the identity, since coefficients are all of one size. The numbers of a formula (an exponent, a frequency, a
constant of 10^-7) are of any size, so that damping goes by the diagonal; the residual is any function of few numbers,
differentiated forward; and a step out of the domain of a function (NaN) is refused like one that does not improve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacfwd


def symbol_parameters(model: nn.Module) -> list[str]:
    """The names of the parameters of symbols, and of the biases of layers that have some."""
    names = []
    parameters = dict(model.named_parameters())
    for name in parameters:
        owner, _, last = name.rpartition(".")
        if last == "affine" or (last == "bias" and f"{owner}.symbolic.affine" in parameters):
            names.append(name)
    return names


def refit_(
    model: nn.Module, x: Tensor, y: Tensor, *, free: Mapping[str, Tensor] | None = None, steps: int = 50
) -> float:
    """Move numbers of the model to a least-squares fit; the mean squared error.

    The step in which a function leaves its domain is refused like any other that does not improve the fit.

    Args:
        model: changed in place.
        x: inputs.
        y: targets, of the shape of the model's output.
        free: the entries that move, as booleans by the name of their parameter; by default all numbers of symbols and
            the biases beside them.
        steps: at most so many.
    """
    parameters = dict(model.named_parameters())
    if free is None:
        free = {name: torch.ones_like(parameters[name], dtype=torch.bool) for name in symbol_parameters(model)}
    free = {name: where for name, where in free.items() if where.any()}
    fixed = {name: parameters[name].detach().flatten() for name in free}
    places = {name: where.flatten().nonzero()[:, 0] for name, where in free.items()}
    sizes = [len(place) for place in places.values()]

    def placed(theta: Tensor) -> dict[str, Tensor]:
        parts = zip(places.items(), theta.split(sizes), strict=True)
        return {
            name: fixed[name].index_copy(0, place, part).view(parameters[name].shape) for (name, place), part in parts
        }

    def residual(theta: Tensor) -> Tensor:
        return (functional_call(model, placed(theta), (x,)) - y).flatten()

    if not free:
        with torch.no_grad():
            return (model(x) - y).square().mean().item()
    theta = torch.cat([fixed[name][place] for name, place in places.items()])
    theta, cost = levenberg_marquardt(residual, theta, steps=steps)
    with torch.no_grad():
        for name, value in placed(theta).items():
            parameters[name].copy_(value)
    return cost


def levenberg_marquardt(
    residual: Callable[[Tensor], Tensor], theta: Tensor, *, steps: int = 50, tolerance: float = 1e-30
) -> tuple[Tensor, float]:
    r"""Minimise the mean of $r(\theta)^2$; returns the best $\theta$ and its mean square.

    $(J^T J + \mu D)\,\delta = -J^T r$ with D the diagonal of $J^T J$, damping after Nielsen.
    """
    theta = theta.detach().clone()
    r = residual(theta)
    cost = r.square().mean().item()
    if not cost < torch.inf or len(theta) == 0:
        return theta, cost
    mu, grow, stalled = 1e-3, 2.0, 0
    jacobian = jacfwd(residual)
    J = jacobian(theta)
    for _ in range(steps):
        gram, slope = J.T @ J, J.T @ r
        diagonal = gram.diagonal()
        extra = mu * diagonal.clamp_min(1e-12 * diagonal.amax().clamp_min(1e-300))
        factor, failed = torch.linalg.cholesky_ex(gram + torch.diag(extra))
        step = -torch.cholesky_solve(slope[:, None], factor)[:, 0] if failed == 0 else torch.full_like(slope, torch.nan)
        trial = residual(theta + step)
        trial_cost = trial.square().mean().item()
        if trial_cost < cost:
            stalled = stalled + 1 if cost - trial_cost < 1e-5 * cost else 0
            theta, r, cost = theta + step, trial, trial_cost
            mu, grow = max(mu / 5, 1e-15), 2.0
            if cost < tolerance or stalled == 4:
                break
            J = jacobian(theta)
            if not torch.isfinite(J).all():
                break
        else:
            mu, grow = mu * grow, grow * 2
            if mu > 1e8:
                break
    return theta, cost
