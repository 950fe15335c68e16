"""Other implementations of the same layer, each behind one function; those that are not installed are left out.

`pip install pykan inkan flashkan` brings the ones that PyPI carries. The widely used layer "efficient-kan" is not on
PyPI: `EfficientKANLinear` computes what it computes (its default settings without the second scale), written anew.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from itertools import pairwise

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


def efficient_kan(widths: Sequence[int], intervals: int) -> nn.Module:
    """Layers of `EfficientKANLinear`."""
    return nn.Sequential(*(EfficientKANLinear(a, b, intervals) for a, b in pairwise(widths)))


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
    "pykan": ("kan", pykan),
    "inkan": ("inkan", inkan),
    "flashkan": ("flashkan", flashkan),
}


def installed() -> dict[str, Factory]:
    """The peers that can be imported here."""
    return {name: factory for name, (package, factory) in _PEERS.items() if package is None or _imports(package)}


def _imports(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True
