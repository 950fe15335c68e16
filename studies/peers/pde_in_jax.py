r"""Solve the equations of `studies.problems.published` with physics-informed networks in JAX, as baselines.

The training is that of Rigas et al. (arXiv 2510.23501) as far as it fits a processor: Adam at 1e-3 with a decay of 0.9
every 2,000 steps; residual-based weights (Anagnostopoulos et al. 2023) with their memory and gain; points drawn anew
from a pool for every step, 256 of the equation and 64 of every condition (theirs: 4,096; fewer points are more steps
in the same time). The time of compilation does not count. Equations are written in JAX a second time. The networks:
`studies.peers.pde_rgakan` and `studies.peers.pde_piratenet`. JAX is no dependency of this project.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

PI = math.pi
POINTS, EDGE_POINTS, POOL = 256, 64, 16_384
RATE, DECAY, EVERY = 1e-3, 0.9, 2000
MEMORY, GAIN = 0.999, 0.01  # of the residual-based weights
BURST = 20  # steps between looks at the clock

Derivative = Callable[..., Any]
"""The derivative of a multi-index, one number for every coordinate, at some points."""


@dataclass(frozen=True)
class Network:
    """A network in JAX.

    Args:
        weights: the parameters, a tree of arrays.
        field: the field at one point, from weights and the point.
    """

    weights: Any
    field: Callable[[Any, Any], Any]


@dataclass(frozen=True)
class InJax:
    """An equation; the last coordinate is time if there is a start.

    Args:
        residual: from (derivative of a multi-index, points, jax.numpy).
        start: the initial values from (points, jax.numpy); None for an equation of space.
        rate: whether the initial rate is 0.
        walls: whether the field is 0 on the faces of space; else it is periodic in the first coordinate.
    """

    residual: Callable[[Derivative, Any, Any], Any]
    start: Callable[[Any, Any], Any] | None = None
    rate: bool = False
    walls: bool = True


def _waves(points: Any, a: int, b: int, m: Any) -> Any:
    return m.sin(a * PI * points[:, 0]) * m.sin(b * PI * points[:, 1])


def _poisson(n: int) -> InJax:
    return InJax(lambda d, x, m: d(2, 0) + d(0, 2) + 2 * (n * PI) ** 2 * _waves(x, n, n, m))


EQUATIONS = {
    "allen-cahn": InJax(
        lambda d, x, m: d(0, 1) - 1e-4 * d(2, 0) - 5 * (d(0, 0) - d(0, 0) ** 3),
        lambda x, m: x[:, 0] ** 2 * m.cos(PI * x[:, 0]),
        walls=False,
    ),
    "burgers": InJax(
        lambda d, x, m: d(0, 1) + d(0, 0) * d(1, 0) - 0.01 / PI * d(2, 0), lambda x, m: -m.sin(PI * x[:, 0])
    ),
    "kdv": InJax(
        lambda d, x, m: d(0, 1) + d(0, 0) * d(1, 0) + 0.022**2 * d(3, 0),
        lambda x, m: m.cos(PI * x[:, 0]),
        walls=False,
    ),
    "sine-gordon": InJax(
        lambda d, x, m: d(0, 2) - d(2, 0) + m.sin(d(0, 0)), lambda x, m: m.sin(PI * x[:, 0]), rate=True
    ),
    "advection-20": InJax(lambda d, x, m: d(0, 1) + 20 * d(1, 0), lambda x, m: m.sin(x[:, 0]), walls=False),
    "advection-50": InJax(lambda d, x, m: d(0, 1) + 50 * d(1, 0), lambda x, m: m.sin(x[:, 0]), walls=False),
    "helmholtz": InJax(lambda d, x, m: d(2, 0) + d(0, 2) + d(0, 0) - (1 - 17 * PI**2) * _waves(x, 1, 4, m)),
    "poisson-2": _poisson(2),
    "poisson-4": _poisson(4),
    "heat-multiscale": InJax(
        lambda d, x, m: d(0, 0, 1) - d(2, 0, 0) / (500 * PI) ** 2 - d(0, 2, 0) / PI**2,
        lambda x, m: _waves(x, 20, 1, m),
    ),
}


def solve_in_jax(
    name: str,
    make: Callable[..., Network],
    bounds: Sequence[tuple[float, float]],
    x: np.ndarray,
    marks: Sequence[float],
    seed: int,
) -> dict[str, Any]:
    """The field at points after so many seconds of processor time, the steps until then, parameters and compilation.

    Args:
        name: of the equation.
        make: the network, from the bounds, whether it is periodic along the first coordinate, and a seed.
        bounds: of the coordinates.
        x: the points (n, d).
        marks: the seconds, in increasing order.
        seed: of the network and the points.
    """
    import jax
    import jax.numpy as jnp
    import optax

    equation = EQUATIONS[name]
    network = make(bounds, not equation.walls, seed)
    optimizer = optax.adam(optax.exponential_decay(RATE, EVERY, DECAY))
    low, high = jnp.array(bounds).T
    last = len(bounds) - 1

    def derivative(weights: Any, points: Any) -> Derivative:
        field = lambda y: network.field(weights, y)  # noqa: E731
        return lambda *index: jax.vmap(_along_axes(jax, field, index))(points)

    def residuals(weights: Any, inside: Any, edge: Any) -> list[Any]:
        found = [equation.residual(derivative(weights, inside), inside, jnp)]
        if equation.start is not None:
            begin = derivative(weights, edge.at[:, last].set(low[last]))
            found.append(begin(*[0] * len(bounds)) - equation.start(edge, jnp))
            found += [begin(*[0] * last, 1)] if equation.rate else []
        axes = range(last if equation.start is not None else last + 1)
        if equation.walls:
            walls = [edge.at[:, j].set(end[j]) for j in axes for end in (low, high)]
            found += [derivative(weights, wall)(*[0] * len(bounds)) for wall in walls]
        return found

    def loss(weights: Any, rba: Any, inside: Any, edge: Any) -> tuple[Any, Any]:
        parts = residuals(weights, inside, edge)
        fresh = [
            MEMORY * w + GAIN * jnp.abs(r) / jnp.maximum(jnp.abs(r).max(), 1e-30)
            for w, r in zip(rba, parts, strict=True)
        ]
        fresh = jax.lax.stop_gradient(fresh)
        return sum(jnp.mean((w * r) ** 2) for w, r in zip(fresh, parts, strict=True)), fresh

    pool = low + (high - low) * jax.random.uniform(jax.random.key(seed), (POOL, len(bounds)))

    @jax.jit
    def burst(weights: Any, state: Any, rba: Any, key: Any) -> Any:
        def step(carry: Any, key: Any) -> Any:
            weights, state, rba = carry
            inside, edge = (jax.random.permutation(key, POOL)[:n] for n in (POINTS, EDGE_POINTS))
            gathered = [rba[0][inside], *(w[edge] for w in rba[1:])]
            slopes, fresh = jax.grad(loss, has_aux=True)(weights, gathered, pool[inside], pool[edge])
            at = [inside, *[edge] * (len(rba) - 1)]
            rba = [w.at[i].set(f) for w, i, f in zip(rba, at, fresh, strict=True)]
            move, state = optimizer.update(slopes, state, weights)
            return (optax.apply_updates(weights, move), state, rba), None

        return jax.lax.scan(step, (weights, state, rba), jax.random.split(key, BURST))[0]

    start = (network.weights, optimizer.init(network.weights), [jnp.ones(POOL)] * _count(residuals, network, pool))
    reached, told = _timed(jax, burst, start, marks, seed)
    values = jax.jit(jax.vmap(network.field, (None, 0)))
    parameters = sum(leaf.size for leaf in jax.tree_util.tree_leaves(network.weights))
    fields = [np.asarray(values(weights, jnp.array(x)), float) for weights in reached]
    return told | {"values": fields, "parameters": parameters}


def _count(residuals: Callable[..., list[Any]], network: Network, pool: Any) -> int:
    return len(residuals(network.weights, pool[:2], pool[:2]))


def _along_axes(jax: Any, f: Callable[[Any], Any], index: tuple[int, ...]) -> Callable[[Any], Any]:
    """The derivative of a multi-index, by nested forward mode."""
    for j, n in enumerate(index):
        for _ in range(n):
            f = _once(jax, f, jax.numpy.eye(len(index))[j])
    return f


def _once(jax: Any, f: Callable[[Any], Any], v: Any) -> Callable[[Any], Any]:
    return lambda y: jax.jvp(f, (y,), (v,))[1]


def _timed(
    jax: Any, burst: Any, carry: tuple[Any, ...], marks: Sequence[float], seed: int
) -> tuple[list[Any], dict[str, Any]]:
    """The weights after the marks, with the steps until then and the seconds of the compilation."""
    begun = time.process_time()
    compiled = burst.lower(*carry, jax.random.key(0)).compile()
    compilation, steps, begun = time.process_time() - begun, 0, time.process_time()
    reached, counts = [], []
    for mark in marks:
        while time.process_time() - begun < mark:
            carry = compiled(*carry, jax.random.key(steps + seed))
            jax.block_until_ready(carry)
            steps += BURST
        reached.append(carry[0])
        counts.append(steps)
    return reached, {"steps": counts, "compilation": compilation}
