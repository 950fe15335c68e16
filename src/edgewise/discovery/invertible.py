"""Lists the invertible functions of the library with their inverses: outer functions of laws, undone on the targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import DEFAULT_LIBRARY, SymbolicFn


@dataclass(frozen=True)
class Invertible:
    """A function F of the library, its inverse on tensors, and the range [low, high] of F."""

    fn: SymbolicFn
    inverse: Callable[[Tensor], Tensor]
    low: float = -math.inf
    high: float = math.inf

    @property
    def name(self) -> str:
        """The name of F."""
        return self.fn.name

    def __call__(self, z: Tensor) -> Tensor:
        return self.fn(z)

    def sympy(self, z: Any) -> Any:
        """F(z) as a sympy expression."""
        return self.fn.sympy(z)

    def slope(self, z: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
        """|F'(z)|, what an error of z means for F(z); bounded where it is infinite."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.fn(z).sum(), z)
        slope = slope.abs()
        finite = slope[torch.isfinite(slope)]
        return torch.nan_to_num(slope, nan=0.0, posinf=1e300).clamp_max(100 * finite.median())


def _row(
    name: str, inverse: Callable[[Tensor], Tensor], low: float = -math.inf, high: float = math.inf
) -> tuple[str, Invertible]:
    return name, Invertible(DEFAULT_LIBRARY[name], inverse, low, high)


INVERTIBLE = dict(
    [
        _row("x", lambda y: y),
        _row("1/x", lambda y: 1 / y),
        _row("sqrt", lambda y: y**2, low=0.0),
        _row("1/sqrt", lambda y: y**-2.0, low=0.0),
        _row("exp", torch.log, low=0.0),
        _row("log", torch.exp, low=-20, high=20),
        _row("x^2", torch.sqrt, low=0.0),
        _row("arcsin", torch.sin, low=-math.pi / 2, high=math.pi / 2),
        _row("arccos", torch.cos, low=0.0, high=math.pi),
        _row("arctan", torch.tan, low=-math.pi / 2, high=math.pi / 2),
        _row("tanh", torch.atanh, low=-1.0, high=1.0),
    ]
)
"""The functions that a law may have outside, by name; the range of log is bounded so that its inverse stays finite."""


def chosen(*names: str) -> tuple[Invertible, ...]:
    """The functions of these names, in this order."""
    return tuple(INVERTIBLE[name] for name in names)
