r"""The residual-gated KAN of jaxKAN (`RGAKAN`, Rigas et al., arXiv 2510.23501) for `studies.peers.pde_in_jax`.

Its set-up is theirs: six blocks of width 16, Chebyshev curves of degree 5, a first layer of five sines, Glorot's start,
and periodic inputs where the solution is periodic. `pip install jaxkan`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from studies.peers.pde_in_jax import Network


def rgakan(bounds: Sequence[tuple[float, float]], periodic: bool, seed: int) -> Network:
    """The network on a box, periodic along the first coordinate or not."""
    try:
        from flax import nnx
        from jaxkan.models.RGAKAN import RGAKAN
    except ImportError as error:
        raise ImportError("the baseline needs jaxKAN: pip install jaxkan") from error
    period = {0: (2 * math.pi / (bounds[0][1] - bounds[0][0]), False)} if periodic else None
    glorot = {"type": "glorot", "gain": None, "distribution": "uniform", "sample_size": 10_000}
    sizes: dict[str, Any] = {"n_hidden": 16, "num_blocks": 6, "D": 5, "sine_D": 5, "init_scheme": glorot}
    model = RGAKAN(n_in=len(bounds), n_out=1, period_axes=period, seed=seed, **sizes)
    graph, weights, fixed = nnx.split(model, nnx.Param, ...)
    return Network(weights, lambda weights, y: nnx.merge(graph, weights, fixed)(y[None])[0, 0])
