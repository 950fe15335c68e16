"""Outer functions F of a law $y = F(z)$, by their inverses on the targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import Tensor


@dataclass(frozen=True)
class Outer:
    """An outer function F of a law, by its inverse on the targets."""

    name: str
    inverse: Callable[[Tensor], Tensor]
    sympy: Callable[[Any], Any]
    torch: Callable[[Tensor], Tensor]
    low: float = -math.inf
    high: float = math.inf


OUTERS = (
    Outer("identity", lambda y: y, lambda z: z, lambda z: z),
    Outer("1/z", lambda y: 1 / y, lambda z: 1 / z, lambda z: 1 / z),
    Outer("sqrt", lambda y: y**2, sympy.sqrt, torch.sqrt, low=0.0),
    Outer("1/sqrt", lambda y: y**-2.0, lambda z: 1 / sympy.sqrt(z), torch.rsqrt, low=0.0),
    Outer("exp", torch.log, sympy.exp, torch.exp, low=0.0),
    Outer("log", torch.exp, sympy.log, torch.log, low=-20, high=20),
    Outer("z^2", torch.sqrt, lambda z: z**2, lambda z: z**2, low=0.0),
    Outer("arcsin", torch.sin, sympy.asin, torch.asin, low=-math.pi / 2, high=math.pi / 2),
    Outer("arccos", torch.cos, sympy.acos, torch.acos, low=0.0, high=math.pi),
    Outer("arctan", torch.tan, sympy.atan, torch.atan, low=-math.pi / 2, high=math.pi / 2),
    Outer("tanh", torch.atanh, sympy.tanh, torch.tanh, low=-1.0, high=1.0),
)


def slope(outer: Outer, z: Tensor) -> Tensor:
    """|F'(z)|, bounded where it is infinite."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(outer.torch(z).sum(), z)
    slope = slope.abs()
    finite = slope[torch.isfinite(slope)]
    return torch.nan_to_num(slope, nan=0.0, posinf=1e300).clamp_max(100 * finite.median())
