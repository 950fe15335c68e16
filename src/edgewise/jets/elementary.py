r"""The derivatives $\varphi^{(n)}$ of elementwise functions, in closed form where one is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from edgewise.bases import nested_derivative
from edgewise.bases.residual import autonomous_derivatives, horner

ELEMENTWISE = frozenset(
    {torch.sin, torch.cos, torch.tan, torch.exp, torch.log, torch.sqrt, torch.tanh, torch.sinh, torch.cosh}
    | {torch.sigmoid, torch.atan, torch.erf, torch.square, torch.abs}
)


def derivatives(func: Callable[[Tensor], Tensor], x: Tensor, order: int) -> list[Tensor]:
    r"""$\varphi^{(n)}(x)$ for n = 0..order: in closed form where one is known, else by nested forward mode."""
    if func in _CLOSED_FORMS:
        return _CLOSED_FORMS[func](x, order)
    return [nested_derivative(func, x, n) for n in range(order + 1)]


def _tanh(x: Tensor, order: int) -> list[Tensor]:
    t = torch.tanh(x)
    return [t, *(horner(p, t) for p in autonomous_derivatives((1.0, 0.0, -1.0), order)[1:])]


def _sigmoid(x: Tensor, order: int) -> list[Tensor]:
    s = torch.sigmoid(x)
    return [s, *(horner(p, s) for p in autonomous_derivatives((0.0, 1.0, -1.0), order)[1:])]


def _sin(x: Tensor, order: int) -> list[Tensor]:
    s, c = torch.sin(x), torch.cos(x)
    return [(s, c, -s, -c)[n % 4] for n in range(order + 1)]


def _cos(x: Tensor, order: int) -> list[Tensor]:
    return _sin(x, order + 1)[1:]


def _exp(x: Tensor, order: int) -> list[Tensor]:
    return [torch.exp(x)] * (order + 1)


def power(x: Tensor, exponent: float, order: int) -> list[Tensor]:
    r"""The derivatives of $x^p$."""
    values, factor = [], 1.0
    for n in range(order + 1):
        # A whole power ends: 0 * x^(-1) at x = 0 would be NaN.
        values.append(factor * x ** (exponent - n) if factor else torch.zeros_like(x))
        factor *= exponent - n
    return values


_CLOSED_FORMS: dict[Callable[..., Any], Callable[[Tensor, int], list[Tensor]]] = {
    torch.tanh: _tanh,
    torch.sigmoid: _sigmoid,
    torch.sin: _sin,
    torch.cos: _cos,
    torch.exp: _exp,
}
