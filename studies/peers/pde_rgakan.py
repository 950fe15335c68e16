r"""Solve the equations of `studies.problems.published` with the residual-gated KAN of jaxKAN (`RGAKAN`).

The set-up of Rigas et al. (arXiv 2510.23501) as far as it fits a processor: six blocks of width 16, a first layer of
five sines, Glorot's start, periodic inputs where the solution is periodic; Adam at 1e-3 with a decay of 0.9 every 2,000
steps; residual-based weights (Anagnostopoulos et al. 2023) with their memory and gain; points drawn anew from a pool
for every step, 1,024 of the equation and 128 of every condition (theirs: 4,096). The time of compilation does not
count. Equations are written in JAX a second time. jaxKAN is no dependency of this project: `pip install jaxkan`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

PI = math.pi
POINTS, EDGE_POINTS, POOL = 1024, 128, 16_384
RATE, DECAY, EVERY = 1e-3, 0.9, 2000
MEMORY, GAIN = 0.999, 0.01  # of the residual-based weights
BURST = 20  # steps between looks at the clock


@dataclass(frozen=True)
class InJax:
    """An equation in x and a second coordinate.

    Args:
        residual: from (derivative of a multi-index, points, jax.numpy).
        start: the initial values from (x, jax.numpy); None for an equation of space.
        rate: whether the initial rate is 0.
        walls: whether the field is 0 on the faces of space; else it is periodic in x.
    """

    residual: Callable[[Callable[[int, int], Any], Any, Any], Any]
    start: Callable[[Any, Any], Any] | None = None
    rate: bool = False
    walls: bool = True


def _waves(points: Any, a: int, b: int, np_: Any) -> Any:
    return np_.sin(a * PI * points[:, 0]) * np_.sin(b * PI * points[:, 1])


EQUATIONS = {
    "allen-cahn": InJax(
        lambda d, x, m: d(0, 1) - 1e-4 * d(2, 0) - 5 * (d(0, 0) - d(0, 0) ** 3),
        lambda x, m: x**2 * m.cos(PI * x),
        walls=False,
    ),
    "burgers": InJax(lambda d, x, m: d(0, 1) + d(0, 0) * d(1, 0) - 0.01 / PI * d(2, 0), lambda x, m: -m.sin(PI * x)),
    "kdv": InJax(
        lambda d, x, m: d(0, 1) + d(0, 0) * d(1, 0) + 0.022**2 * d(3, 0), lambda x, m: m.cos(PI * x), walls=False
    ),
    "sine-gordon": InJax(lambda d, x, m: d(0, 2) - d(2, 0) + m.sin(d(0, 0)), lambda x, m: m.sin(PI * x), rate=True),
    "advection-20": InJax(lambda d, x, m: d(0, 1) + 20 * d(1, 0), lambda x, m: m.sin(x), walls=False),
    "advection-50": InJax(lambda d, x, m: d(0, 1) + 50 * d(1, 0), lambda x, m: m.sin(x), walls=False),
    "helmholtz": InJax(lambda d, x, m: d(2, 0) + d(0, 2) + d(0, 0) - (1 - 17 * PI**2) * _waves(x, 1, 4, m)),
    "poisson-2": InJax(lambda d, x, m: d(2, 0) + d(0, 2) + 8 * PI**2 * _waves(x, 2, 2, m)),
    "poisson-4": InJax(lambda d, x, m: d(2, 0) + d(0, 2) + 32 * PI**2 * _waves(x, 4, 4, m)),
}


def _along_axes(jax: Any, f: Callable[[Any], Any], index: tuple[int, ...]) -> Callable[[Any], Any]:
    """The derivative of a multi-index, by nested forward mode."""
    for j, n in enumerate(index):
        for _ in range(n):
            f = _once(jax, f, jax.numpy.eye(len(index))[j])
    return f


def _once(jax: Any, f: Callable[[Any], Any], v: Any) -> Callable[[Any], Any]:
    return lambda y: jax.jvp(f, (y,), (v,))[1]


def solve_with_rgakan(
    name: str, bounds: tuple[tuple[float, float], ...], x: np.ndarray, seconds: float, seed: int
) -> dict[str, Any]:
    """The field at points after so many seconds of processor time, the parameters, the steps, and the compilation."""
    try:
        import jax
        import jax.numpy as jnp
        import optax
        from flax import nnx
        from jaxkan.models.RGAKAN import RGAKAN
    except ImportError as error:
        raise ImportError("the baseline needs jaxKAN: pip install jaxkan") from error
    equation = EQUATIONS[name]
    period = None if equation.walls else {0: (2 * PI / (bounds[0][1] - bounds[0][0]), False)}
    glorot = {"type": "glorot", "gain": None, "distribution": "uniform", "sample_size": 10_000}
    sizes: dict[str, Any] = {"n_hidden": 16, "num_blocks": 6, "D": 5, "sine_D": 5, "init_scheme": glorot}
    model = RGAKAN(n_in=2, n_out=1, period_axes=period, seed=seed, **sizes)
    graph, weights, fixed = nnx.split(model, nnx.Param, ...)
    optimizer = optax.adam(optax.exponential_decay(RATE, EVERY, DECAY))
    low, high = jnp.array(bounds).T

    def derivative(weights: Any, points: Any) -> Callable[[int, int], Any]:
        field = lambda y: nnx.merge(graph, weights, fixed)(y[None])[0, 0]  # noqa: E731
        return lambda *index: jax.vmap(_along_axes(jax, field, index))(points)

    def residuals(weights: Any, inside: Any, edge: Any) -> list[Any]:
        found = [equation.residual(derivative(weights, inside), inside, jnp)]
        if equation.start is not None:
            begin = derivative(weights, edge.at[:, 1].set(low[1]))
            found.append(begin(0, 0) - equation.start(edge[:, 0], jnp))
            found += [begin(0, 1)] if equation.rate else []
        axes = (0,) if equation.start is not None else (0, 1)
        if equation.walls:
            found += [derivative(weights, edge.at[:, j].set(end[j]))(0, 0) for j in axes for end in (low, high)]
        return found

    def loss(weights: Any, rba: Any, inside: Any, edge: Any) -> tuple[Any, Any]:
        parts = residuals(weights, inside, edge)
        fresh = [MEMORY * w + GAIN * jnp.abs(r) / jnp.abs(r).max() for w, r in zip(rba, parts, strict=True)]
        fresh = jax.lax.stop_gradient(fresh)
        return sum(jnp.mean((w * r) ** 2) for w, r in zip(fresh, parts, strict=True)), fresh

    pool = low + (high - low) * jax.random.uniform(jax.random.key(seed), (POOL, 2))

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

    rba = [jnp.ones(POOL) for _ in residuals(weights, pool[:2], pool[:2])]
    weights, told = _timed(jax, burst, (weights, optimizer.init(weights), rba), seconds, seed)
    values = jax.jit(lambda y: nnx.merge(graph, weights, fixed)(y)[:, 0])(jnp.array(x))
    parameters = sum(leaf.size for leaf in jax.tree_util.tree_leaves(weights))
    return told | {"values": np.asarray(values, float), "parameters": parameters}


def _timed(jax: Any, burst: Any, carry: tuple[Any, ...], seconds: float, seed: int) -> tuple[Any, dict[str, float]]:
    """The weights after so many seconds of bursts, with the steps and the time of the compilation."""
    begun = time.process_time()
    compiled = burst.lower(*carry, jax.random.key(0)).compile()
    compilation, steps, begun = time.process_time() - begun, 0, time.process_time()
    while time.process_time() - begun < seconds:
        carry = compiled(*carry, jax.random.key(steps + seed))
        jax.block_until_ready(carry)
        steps += BURST
    return carry[0], {"steps": steps, "compilation": compilation}
