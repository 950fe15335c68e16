"""The fixed residual function b(x) beside the basis on every curve: its weight is one more coefficient."""

from __future__ import annotations

from numpy.polynomial import Polynomial
from torch import Tensor

RESIDUALS = ("silu", "identity")


def check_residual(name: str | None) -> None:
    """Raise `ValueError` unless `name` is None or the name of a residual function."""
    if name is not None and name not in RESIDUALS:
        raise ValueError(f"unknown residual function {name!r}; choose one of {', '.join(RESIDUALS)}, or None for none")


def residual_derivative(name: str, x: Tensor, order: int) -> Tensor:
    r"""The derivative $b^{(\nu)}(x)$ of the residual function, in closed form."""
    if name == "identity":
        return x if order == 0 else (x - x).detach() + (1 if order == 1 else 0)
    s = x.sigmoid()
    if order == 0:
        return x * s
    return x * _horner(_sigmoid_polynomial(order), s) + order * _horner(_sigmoid_polynomial(order - 1), s)


def _sigmoid_polynomial(order: int) -> tuple[float, ...]:
    r"""The coefficients of $\sigma^{(\nu)}$ as a polynomial in $s = \sigma(x)$, from $s' = s - s^2$."""
    p = Polynomial([0.0, 1.0])
    for _ in range(order):
        p = p.deriv() * Polynomial([0.0, 1.0, -1.0])
    return tuple(float(c) for c in p.coef)


def _horner(coefficients: tuple[float, ...], s: Tensor) -> Tensor:
    value = s * 0 + coefficients[-1]
    for c in reversed(coefficients[:-1]):
        value = value * s + c
    return value
