r"""Differential equations on the square [-1, 1]^2 with a known solution: the source is what makes the solution exact.

The second coordinate is the time of the evolution equations; their data are the values on the three sides t = -1 and
x = -1, 1, those of the others the values on all four.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgewise.jets import partial
from studies.lotra.common import Loss, rng, uniform

Jet = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""$u, u_x, u_t, u_{xx}, u_{tt}$."""
Operator = Callable[[Jet], Tensor]


@dataclass(frozen=True)
class Target:
    r"""An equation $L u = f$ whose solution is $\sum a \sin(m \pi x) \sin(n \pi t) + b\, x t$.

    Args:
        operator: $L$, of the jet of u.
        modes: the amplitudes a by (m, n).
        slope: b, which changes the boundary values alone.
        evolution: the side t = 1 has no data.
    """

    operator: Operator
    modes: Mapping[tuple[int, int], float]
    slope: float = 0.0
    evolution: bool = False


def poisson(u: Jet) -> Tensor:
    r"""$-\Delta u$."""
    return -(u[3] + u[4])


def helmholtz(k: float) -> Operator:
    r"""$-\Delta u - k^2 u$."""
    return lambda u: -(u[3] + u[4]) - k * k * u[0]


def allen_cahn(d: float) -> Operator:
    r"""$-d\,\Delta u + u^3 - u$."""
    return lambda u: -d * (u[3] + u[4]) + u[0] ** 3 - u[0]


def reaction_diffusion(r: float) -> Operator:
    r"""$u_t - u_{xx} / 5 - r\,u (1 - u)$."""
    return lambda u: u[2] - 0.2 * u[3] - r * u[0] * (1 - u[0])


def burgers(nu: float) -> Operator:
    r"""$u_t + u u_x - \nu u_{xx}$."""
    return lambda u: u[2] + u[0] * u[1] - nu * u[3]


WAVES = {(1, 1): 1.0, (2, 1): -0.5, (1, 3): 0.3, (3, 2): 0.2}
"""The solution of the sources."""
LOUDER = {(1, 1): 1.1, (2, 1): -0.45, (1, 3): 0.33, (3, 2): 0.22}
"""The same waves, each a tenth larger or smaller: 9 % away."""
NEW = {**WAVES, (2, 2): 0.1}
"""A wave more: 9 % away."""
MIDDLE = {**WAVES, (2, 2): 0.5}
SOURCES: Mapping[str, Target] = {
    "Poisson": Target(poisson, WAVES),
    "Helmholtz": Target(helmholtz(2.0), WAVES),
    "Allen-Cahn": Target(allen_cahn(0.1), WAVES),
    "reaction-diffusion": Target(reaction_diffusion(1.0), WAVES, evolution=True),
    "Burgers": Target(burgers(0.1), WAVES, evolution=True),
}
TARGETS: Mapping[str, Mapping[str, Target]] = {
    "Poisson": {
        "near, source": Target(poisson, NEW),
        "near, boundary": Target(poisson, WAVES, 0.1),
        "middle, source": Target(poisson, MIDDLE),
        "far, source": Target(poisson, {(2, 2): 1.0, (1, 2): 0.5}),
    },
    "Helmholtz": {"near, coefficient": Target(helmholtz(2.2), LOUDER)},
    "Allen-Cahn": {"near, coefficient": Target(allen_cahn(0.08), NEW)},
    "reaction-diffusion": {"near, coefficient": Target(reaction_diffusion(1.2), LOUDER, evolution=True)},
    "Burgers": {"near, coefficient": Target(burgers(0.08), NEW, evolution=True)},
}


def residual(target: Target, seed: int) -> Loss:
    """The mean squared residual at fresh points of every call, and the boundary values with weight 100."""
    generator = rng(seed + 50)

    def loss(model: nn.Module) -> Tensor:
        x, edge = uniform(256, 2, generator), _sides(target, 128, generator)
        inside = target.operator(jet_of(model, x)) - target.operator(field(x, target))
        return inside.square().mean() + 100 * (model(edge) - field(edge, target)[0]).square().mean()

    return loss


def field(x: Tensor, target: Target) -> Jet:
    """The solution and its derivatives."""
    px, pt = math.pi * x[:, :1], math.pi * x[:, 1:]
    total = [target.slope * x[:, :1] * x[:, 1:], target.slope * x[:, 1:], target.slope * x[:, :1]]
    total += [torch.zeros_like(px), torch.zeros_like(px)]
    for (m, n), a in target.modes.items():
        sx, st, cx, ct = torch.sin(m * px), torch.sin(n * pt), torch.cos(m * px), torch.cos(n * pt)
        p, q = math.pi * m, math.pi * n
        terms = (sx * st, p * cx * st, q * sx * ct, -p * p * sx * st, -q * q * sx * st)
        total = [value + a * term for value, term in zip(total, terms, strict=True)]
    return total[0], total[1], total[2], total[3], total[4]


def jet_of(model: nn.Module, x: Tensor) -> Jet:
    """The output and its derivatives, in one sweep."""
    u, slope, pace, bend, acceleration = partial(model, x, (0, 0), (1, 0), (0, 1), (2, 0), (0, 2))
    return u, slope, pace, bend, acceleration


def _sides(target: Target, n: int, generator: torch.Generator) -> Tensor:
    edge, axis = uniform(n, 2, generator), torch.arange(n) % 2
    edge[torch.arange(n), axis] = edge[torch.arange(n), axis].sign()
    if target.evolution:
        edge[axis == 1, 1] = -1.0
    return edge
