r"""Refits the parameters of a symbolic network jointly, to the minimiser of $\sum_b (m_\theta(x_b) - y_b)^2$.

The parameters of a formula (an exponent, a frequency, a constant of 10^-7) are of any size, so that Levenberg-Marquardt
is damped by the diagonal; a step out of the domain of a function (NaN) is rejected like one that does not improve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgewise.expressions.constants import minimize_residual


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
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    free: Mapping[str, Tensor] | None = None,
    steps: int = 50,
    mu: float = 1e-4,
    tick: Callable[[], None] = lambda: None,
) -> float:
    """Move parameters of the model to a least-squares fit and return the mean squared error.

    Args:
        model: changed in place.
        x: inputs.
        y: targets, of the shape of the model's output.
        free: the entries that move, as booleans by the name of their parameter; by default all parameters of symbols
            and the biases beside them.
        steps: at most so many.
        mu: the first damping; a larger one keeps the parameters nearer to what they are.
        tick: called before every evaluation; what it raises leaves the model as it was.
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
        tick()
        return (functional_call(model, placed(theta), (x,)) - y).flatten()

    if not free:
        with torch.no_grad():
            return (model(x) - y).square().mean().item()
    theta = torch.cat([fixed[name][place] for name, place in places.items()])
    theta, cost = minimize_residual(residual, theta, steps=steps, mu=mu)
    with torch.no_grad():
        for name, value in placed(theta).items():
            parameters[name].copy_(value)
    return cost
