r"""Refits the parameters of a symbolic network jointly, to the minimiser of $\sum_b (m_\theta(x_b) - y_b)^2$.

The parameters of a formula (an exponent, a frequency, a constant of 10^-7) are of any size, so that Levenberg-Marquardt
is damped by the diagonal; a step out of the domain of a function (NaN) is rejected like one that does not improve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edgewise.expressions.constants import minimize, minimize_residual
from edgewise.kernels import accelerators
from edgewise.nn import KAN, KANLinear, SlimKANLinear
from edgewise.optim import Loss, Network, NetworkLeastSquares, NormalEquations


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
    problem = _of_network(model, places, x, y, tick)
    if problem is None:
        theta, cost = minimize_residual(residual, theta, steps=steps, mu=mu)
    else:
        order = torch.cat([problem.positions[name] for name in places]).argsort()
        found, cost = minimize(problem, theta[order].double(), steps=steps, mu=mu)
        theta = theta.index_copy(0, order, found.to(theta))
    with torch.no_grad():
        for name, value in placed(theta).items():
            parameters[name].copy_(value)
    return cost


class _NetworkRefit:
    """The mean squared error of a KAN, in the user's units, as a function of some of its parameters.

    Args:
        model: its layers have edges and products only.
        places: the entries that move, by the name of their parameter.
        x: inputs.
        y: targets.
        tick: called before every evaluation.
    """

    def __init__(
        self, model: KAN, places: Mapping[str, Tensor], x: Tensor, y: Tensor, tick: Callable[[], None]
    ) -> None:
        network, parameters = Network.of(model)
        x, y = x.detach().double(), y.detach().double()
        if model.input_affine is not None:
            x = x * model.input_affine.scale + model.input_affine.shift
        self.positions, self.tick = _positions(model, network, places), tick
        index = torch.cat(list(self.positions.values())).sort().values
        free = parameters.theta[0], index
        self._problem = NetworkLeastSquares(network, parameters.grids, x, y, None, _in_units(model), free)

    def losses(self, theta: Tensor) -> Tensor:
        """The mean squared error."""
        self.tick()
        return self._problem.losses(theta)

    def normal_equations(self, theta: Tensor) -> NormalEquations:
        """Of the parameters that move, in the order of the network's."""
        self.tick()
        return self._problem.normal_equations(theta)


def _of_network(
    model: nn.Module, places: Mapping[str, Tensor], x: Tensor, y: Tensor, tick: Callable[[], None]
) -> _NetworkRefit | None:
    """None for a module that is more than edges and products."""
    if not isinstance(model, KAN) or x.ndim != 2 or accelerators([x, y, *model.parameters()]):
        return None
    if any(isinstance(layer, SlimKANLinear) or getattr(layer, "adapter", None) is not None for layer in model.layers):
        return None
    own = {f"layers.{n}.{name}" for n in range(len(model.layers)) for name in ("coef", "bias", "symbolic.affine")}
    if not set(places) <= own:
        return None
    problem = _NetworkRefit(model, places, x, y, tick)
    return problem if all(bool((at >= 0).all()) for at in problem.positions.values()) else None


def _positions(model: KAN, network: Network, places: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Where the entries are among the parameters of the network; -1 for those of absent edges."""
    found: dict[str, Tensor] = {}
    start, edges = 0, iter(network.edges)
    for n, layer in enumerate(model.layers):
        if not isinstance(layer, KANLinear):
            continue
        own = next(edges)
        curves, biases, constants = own.sizes
        full = torch.arange(layer.coef.numel())
        if own.curves is not None:
            full = torch.full_like(full, -1 - start).index_copy(0, own.curves, torch.arange(curves))
        found[f"layers.{n}.coef"] = start + full
        found[f"layers.{n}.bias"] = start + curves + torch.arange(biases)
        found[f"layers.{n}.symbolic.affine"] = start + curves + biases + torch.arange(constants)
        start += curves + biases + constants
    return {name: found[name][place] for name, place in places.items()}


def _in_units(model: KAN) -> Loss:
    """The squared error of outputs that the model will change to the user's units."""
    affine = model.output_affine
    scale, shift = (1.0, 0.0) if affine is None else (affine.scale.detach().double(), affine.shift.detach().double())

    def error(f: Tensor, y: Tensor) -> Tensor:
        return f * scale + shift - y

    return Loss(
        "squared error in the user's units",
        lambda f, y: error(f, y).square().mean(-1),
        lambda f, y: 2 / f.shape[-1] * scale * error(f, y),
        lambda f, y: ((2 / f.shape[-1]) ** 0.5 * scale * torch.ones_like(f)).diag_embed(),
    )
