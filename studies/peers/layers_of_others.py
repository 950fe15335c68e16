"""Other implementations of the same layer, each behind one function; those that are not installed are left out.

`pip install pykan inkan flashkan jaxkan` brings the ones that PyPI carries. The widely used layers "efficient-kan" and
"FastKAN" are not there: `EfficientKANLinear` and `FastKANLinear` compute what they compute (the first by its default
settings without the second scale), written anew.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Factory = Callable[[Sequence[int], int], nn.Module]


class EfficientKANLinear(nn.Module):
    """Cubic B-splines by the Cox-de Boor recursion on the whole basis, then one matrix product; SiLU beside it."""

    knots: Tensor

    def __init__(self, in_features: int, out_features: int, intervals: int, degree: int = 3) -> None:
        super().__init__()
        h = 2 / intervals
        knots = torch.arange(-degree, intervals + degree + 1) * h - 1
        self.register_buffer("knots", knots.expand(in_features, -1).contiguous())
        self.degree = degree
        self.base_weight = nn.Parameter(torch.randn(out_features, in_features) * in_features**-0.5)
        self.spline_weight = nn.Parameter(torch.randn(out_features, in_features, intervals + degree) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        spline = F.linear(self.basis(x).flatten(1), self.spline_weight.flatten(1))
        return F.linear(F.silu(x), self.base_weight) + spline

    def basis(self, x: Tensor) -> Tensor:
        """All functions at x: (batch, in, intervals + degree)."""
        t, x = self.knots, x[..., None]
        values = ((x >= t[:, :-1]) & (x < t[:, 1:])).to(x.dtype)
        for d in range(1, self.degree + 1):
            left = (x - t[:, : -(d + 1)]) / (t[:, d:-1] - t[:, : -(d + 1)]) * values[..., :-1]
            right = (t[:, d + 1 :] - x) / (t[:, d + 1 :] - t[:, 1:-d]) * values[..., 1:]
            values = left + right
        return values


class FastKANLinear(nn.Module):
    """Gaussians on [-2, 2] of the normalised inputs, then one matrix product; SiLU of the inputs beside it."""

    centres: Tensor

    def __init__(self, in_features: int, out_features: int, functions: int) -> None:
        super().__init__()
        self.normalised = nn.LayerNorm(in_features)
        self.register_buffer("centres", torch.linspace(-2, 2, functions))
        self.spline = nn.Linear(in_features * functions, out_features, bias=False)
        self.base = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        width = 4 / (len(self.centres) - 1)
        bumps = torch.exp(-(((self.normalised(x)[..., None] - self.centres) / width) ** 2))
        return self.spline(bumps.flatten(1)) + self.base(F.silu(x))


def efficient_kan(widths: Sequence[int], intervals: int) -> nn.Module:
    """Layers of `EfficientKANLinear`."""
    return nn.Sequential(*(EfficientKANLinear(a, b, intervals) for a, b in pairwise(widths)))


def fastkan(widths: Sequence[int], intervals: int) -> nn.Module:
    """Layers of `FastKANLinear` with as many functions as cubic splines on the intervals have."""
    return nn.Sequential(*(FastKANLinear(a, b, intervals + 3) for a, b in pairwise(widths)))


def pykan(widths: Sequence[int], intervals: int) -> nn.Module:
    """Layers of pykan's `KANLayer`, which returns more than its outputs."""
    from kan import KANLayer

    class First(KANLayer):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[0]

    return nn.Sequential(*(First(a, b, num=intervals, k=3) for a, b in pairwise(widths)))


def inkan(widths: Sequence[int], intervals: int) -> nn.Module:
    """Layers of inkan."""
    from inkan import KANLayer

    return nn.Sequential(*(KANLayer(a, b, grid_size=intervals) for a, b in pairwise(widths)))


def flashkan(widths: Sequence[int], intervals: int) -> nn.Module:
    """Layers of flashkan."""
    from flashkan import KANLayer

    return nn.Sequential(*(KANLayer(a, b, grid_size=intervals) for a, b in pairwise(widths)))


_PEERS: dict[str, tuple[str | None, Factory]] = {
    "efficient-kan": (None, efficient_kan),
    "fastkan": (None, fastkan),
    "pykan": ("kan", pykan),
    "inkan": ("inkan", inkan),
    "flashkan": ("flashkan", flashkan),
}


def jaxkan_step(widths: Sequence[int], intervals: int, x: Tensor, target: Tensor, inputs: bool) -> Callable[[], None]:
    """A step of jaxKAN's splines under jit, with optax's Adam; with the gradient of the inputs where asked."""
    import jax
    import optax
    from flax import nnx
    from jaxkan.models.KAN import KAN

    structure, parameters, rest = nnx.split(KAN(list(widths), "spline", {"k": 3, "G": intervals}), nnx.Param, ...)
    adam = optax.adam(1e-3)

    def loss(parameters, x, y):
        return ((nnx.merge(structure, parameters, rest)(x) - y) ** 2).mean()

    @jax.jit
    def advance(parameters: Any, state: Any, x: Any, y: Any) -> Any:
        slopes = jax.grad(loss, argnums=(0, 1) if inputs else (0,))(parameters, x, y)
        updates, state = adam.update(slopes[0], state)
        return optax.apply_updates(parameters, updates), state, slopes[1:]

    at: list[Any] = [parameters, adam.init(parameters)]
    samples = jax.numpy.asarray(x.detach().numpy()), jax.numpy.asarray(target.numpy())

    def step() -> None:
        at[0], at[1], slope = advance(at[0], at[1], *samples)
        jax.block_until_ready((at, slope))

    return step


def has_jaxkan() -> bool:
    """Whether jaxKAN and what it needs can be imported."""
    return all(_imports(name) for name in ("jax", "flax", "optax", "jaxkan"))


def installed() -> dict[str, Factory]:
    """The peers that can be imported here."""
    return {name: factory for name, (package, factory) in _PEERS.items() if package is None or _imports(package)}


def _imports(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
