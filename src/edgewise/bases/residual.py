"""The fixed residual function b(x) beside the basis on every curve: its weight is one more coefficient."""

from __future__ import annotations

from collections.abc import Sequence

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
    *_, before, last = autonomous_derivatives((0.0, 1.0, -1.0), order)
    return x * horner(last, s) + order * horner(before, s)


def autonomous_derivatives(slope: Sequence[float], order: int) -> list[tuple[float, ...]]:
    r"""The derivatives of a function with $s' = q(s)$, orders 0 to `order`, as polynomials in s, lowest power first.

    `slope` holds the coefficients of q: (0, 1, -1) for the sigmoid, (1, 0, -1) for tanh.
    """
    polynomials: list[tuple[float, ...]] = [(0.0, 1.0)]
    for _ in range(order):
        derivative = [n * c for n, c in enumerate(polynomials[-1])][1:]
        product = [0.0] * (len(derivative) + len(slope) - 1)
        for m, a in enumerate(derivative):
            for n, b in enumerate(slope):
                product[m + n] += a * b
        polynomials.append(tuple(product))
    return polynomials


def horner(coefficients: Sequence[float], s: Tensor) -> Tensor:
    """The polynomial with these coefficients, lowest power first."""
    value = s * 0 + coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * s + c
    return value
