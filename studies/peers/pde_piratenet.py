r"""A PirateNet of tanh units (Wang et al., arXiv 2402.00326) for `studies.peers.pde_in_jax`.

Random Fourier features of the coordinates, two gates U and V, and blocks that are the identity at first:

$$ f = \sigma(W_1 x), \quad z = f U + (1 - f) V, \quad g = \sigma(W_2 z), \quad z' = g U + (1 - g) V, \quad
   h = \sigma(W_3 z'), \quad x \leftarrow \alpha h + (1 - \alpha) x, \quad \alpha = 0 \text{ at first.} $$

Theirs has three blocks of width 256 on a GPU; here it is as many blocks of width 64, and the last layer starts at zero
instead of a fit to the initial values. Where the solution is periodic, the first coordinate enters by its sine and
cosine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from studies.peers.pde_in_jax import Network

WIDTH, BLOCKS, SCALE = 64, 3, 2.0  # SCALE: of the random frequencies, in units where the box is (-1, 1)


def piratenet(bounds: Sequence[tuple[float, float]], periodic: bool, seed: int) -> Network:
    """The network on a box, periodic along the first coordinate or not."""
    import jax.numpy as jnp

    rng = np.random.default_rng(seed)
    low, high = (np.array(ends) for ends in zip(*bounds, strict=True))
    inputs = len(bounds) + periodic
    frequencies = jnp.array(rng.normal(0, SCALE, (inputs, WIDTH // 2)))

    def layer(fan_in: int, fan_out: int) -> dict[str, Any]:
        spread = math.sqrt(2 / (fan_in + fan_out))
        return {"W": jnp.array(rng.normal(0, spread, (fan_in, fan_out))), "b": jnp.zeros(fan_out)}

    hidden = lambda: layer(WIDTH, WIDTH)  # noqa: E731
    blocks = [{"layers": [hidden(), hidden(), hidden()], "alpha": jnp.zeros(())} for _ in range(BLOCKS)]
    last = {"W": jnp.zeros((WIDTH, 1)), "b": jnp.zeros(1)}
    weights = {"U": hidden(), "V": hidden(), "blocks": blocks, "last": last}

    def encoded(y: Any) -> Any:
        scaled = 2 * (y - low) / (high - low) - 1
        if periodic:
            angle = math.pi * scaled[0]
            scaled = jnp.concatenate([jnp.stack([jnp.cos(angle), jnp.sin(angle)]), scaled[1:]])
        phase = scaled @ frequencies
        return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)])

    def unit(part: dict[str, Any], x: Any) -> Any:
        return jnp.tanh(x @ part["W"] + part["b"])

    def field(weights: Any, y: Any) -> Any:
        x = encoded(y)
        U, V = unit(weights["U"], x), unit(weights["V"], x)
        for block in weights["blocks"]:
            z, alpha = x, block["alpha"]
            for part in block["layers"][:2]:
                f = unit(part, z)
                z = f * U + (1 - f) * V
            x = alpha * unit(block["layers"][2], z) + (1 - alpha) * x
        return (x @ weights["last"]["W"] + weights["last"]["b"])[0]

    return Network(weights, field)
