"""Twelve kinds of models with random parameters, one for every layer and change of structure that exports differ in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import edgewise as ew
from edgewise.adapters import add_lotra, slim
from edgewise.bases import BSpline, Chebyshev, Gaussian
from edgewise.nn import TKAN, Affine, KANAttention, KANConv2d, KANFeedForward

ROWS = 4
Made = tuple[Any, Tensor | None]


def made(kind: str, seed: int) -> Made:
    """A model of this kind, and an example of its inputs where `export` needs one."""
    return KINDS[kind](seed)


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _spread(model: nn.Module, seed: int, scale: float = 0.3) -> Any:
    """The model with noise on every parameter, so that nothing is zero or an identity."""
    generator = _rng(seed + 1)
    with torch.no_grad():
        for p in model.parameters():
            p += scale * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return model


def _example(seed: int, *shape: int) -> Tensor:
    return torch.randn(ROWS, *shape, generator=_rng(seed + 2))


def _network(seed: int, widths: list[Any], **settings: Any) -> ew.KAN:
    return _spread(ew.KAN(widths, generator=_rng(seed), **settings), seed)


def _fine(seed: int) -> Made:
    """Many intervals at quantiles."""
    model = _network(seed, [4, 6, 2], basis=BSpline(32, 3))
    ew.adapt_grid_(model, 2 * _example(seed, 4).repeat(50, 1) * torch.rand(200, 4, generator=_rng(seed)), adaptive=0.5)
    return model, None


def _everything(seed: int) -> Made:
    """Products, symbols, absent edges, units."""
    model = _network(seed, [3, (4, [2, 2]), 2])
    for layer, j, i, fn in ((0, 0, 0, "sin"), (0, 1, 0, "gaussian"), (1, 1, 1, "tanh"), (1, 4, 1, "x^2")):
        model = ew.surgery.fix(model, (layer, j, i), fn, (0.7, 0.2, 1.3, -0.4))
    for edge in ((0, 0, 1), (0, 2, 1), (1, 2, 0)):
        model = ew.surgery.remove_edge(model, edge)
    model.input_affine = Affine(torch.tensor([0.5, 2.0, 1.0]), torch.tensor([-0.5, 1.0, 0.0]))
    model.output_affine = Affine(torch.tensor([3.0, 0.5]), torch.tensor([0.5, 2.0]))
    return model, None


def _classifier(seed: int) -> Made:
    """A fitted estimator of three classes, exported with its probabilities."""
    rng = np.random.default_rng(seed)
    x = rng.uniform((1990, 0, -1), (2020, 1e3, 1), (300, 3))
    y = np.array(["low", "middle", "high"])[(x[:, 1] > 400).astype(int) + (x[:, 0] + 5 * x[:, 2] > 2008)]
    return ew.KANClassifier(hidden=(3,), random_state=seed, steps=20).fit(x, y), None


KINDS: dict[str, Callable[[int], Made]] = {
    "splines": lambda seed: (_network(seed, [4, 8, 1]), None),
    "32 intervals, adapted": _fine,
    "products, symbols, units": _everything,
    "Chebyshev": lambda seed: (_network(seed, [4, 6, 2], basis=Chebyshev(5)), None),
    "Gaussian": lambda seed: (_network(seed, [4, 6, 2], basis=Gaussian(8)), None),
    "LoTRA": lambda seed: (_spread(add_lotra(_network(seed, [4, 6, 2]), (2, 2, 2)), seed), None),
    "slim": lambda seed: (slim(_network(seed, [8, 12, 8]), (4, 3, 4)), None),
    "convolution": lambda seed: (
        _spread(KANConv2d(2, 4, 3, padding=1, generator=_rng(seed)), seed),
        _example(seed, 2, 6, 6),
    ),
    "rational": lambda seed: (_spread(KANFeedForward(8, 16, groups=4, generator=_rng(seed)), seed), _example(seed, 8)),
    "attention": lambda seed: (KANAttention(8, 2, BSpline(4, 3), generator=_rng(seed)), _example(seed, 5, 8)),
    "recurrent": lambda seed: (TKAN(3, 6, sublayers=2, generator=_rng(seed)), _example(seed, 4, 3)),
    "classifier": _classifier,
}
