"""Evaluates sympy expressions in torch: differentiable, elementwise, every shared part computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import sympy
import torch
from torch import Tensor

FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")},
    **{
        name: getattr(torch, name) for name in ("asinh", "acosh", "atanh", "exp", "log", "sign", "erf", "erfc", "floor")
    },
    "cot": lambda u: 1 / torch.tan(u),
    "sec": lambda u: 1 / torch.cos(u),
    "csc": lambda u: 1 / torch.sin(u),
    "coth": lambda u: 1 / torch.tanh(u),
    "sech": lambda u: 1 / torch.cosh(u),
    "csch": lambda u: 1 / torch.sinh(u),
    "atan2": torch.atan2,
    "ceiling": torch.ceil,
    "Abs": torch.abs,
    "gamma": lambda u: torch.exp(torch.lgamma(u)),
    "Min": lambda *u: reduce(torch.minimum, u),
    "Max": lambda *u: reduce(torch.maximum, u),
    "Heaviside": lambda u, at_zero=0.5: torch.where(u > 0, 1.0, torch.where(u < 0, 0.0, at_zero)).to(u.dtype),
}
"""Torch forms of the functions that sympy knows, by sympy's name."""


def evaluate(
    expressions: tuple[sympy.Expr, ...],
    inputs: tuple[sympy.Symbol, ...],
    x: Tensor,
    functions: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> Tensor:
    """The expressions at x of shape (*batch, in), in float64: shape (*batch, out).

    Raises `ValueError` naming the part that has no torch form.
    """
    if x.ndim == 0 or x.shape[-1] != len(inputs):
        raise ValueError(f"the formula takes inputs of shape (*batch, {len(inputs)}), got {tuple(x.shape)}")
    table = FUNCTIONS | dict(functions or {})
    known: dict[sympy.Basic, Tensor] = dict(zip(inputs, x.double().unbind(-1), strict=True))
    columns = [_value(e, known, table, x).expand(x.shape[:-1]) for e in expressions]
    return torch.stack(columns, -1)


def _value(e: Any, known: dict[sympy.Basic, Tensor], table: Mapping[str, Callable[..., Tensor]], x: Tensor) -> Tensor:
    if e in known:
        return known[e]
    if e.is_number:
        number = complex(e.evalf(20))
        real = number.real if abs(number.imag) <= 1e-14 * abs(number.real) else float("nan")
        value = torch.tensor(real, dtype=torch.float64, device=x.device)
    elif e.is_Add or e.is_Mul:
        parts = [_value(part, known, table, x) for part in e.args]
        value = reduce(torch.add if e.is_Add else torch.mul, parts)
    elif e.is_Pow:
        value = _power(e, known, table, x)
    elif isinstance(e, sympy.Function | sympy.Min | sympy.Max) and type(e).__name__ in table:
        value = table[type(e).__name__](*(_value(part, known, table, x) for part in e.args))
    elif isinstance(e, sympy.Symbol):
        raise ValueError(f"{e} is not an input of the formula; its inputs are {', '.join(map(str, known))}")
    else:
        raise ValueError(f"{e} has no torch form; give one in `functions` under the name {type(e).__name__!r}")
    known[e] = value
    return value


def _power(e: sympy.Pow, known: Any, table: Any, x: Tensor) -> Tensor:
    base, exponent = e.as_base_exp()
    if base == sympy.E:
        return torch.exp(_value(exponent, known, table, x))
    u = _value(base, known, table, x)
    if exponent == sympy.Rational(1, 2):
        return torch.sqrt(u)
    if exponent == sympy.Rational(-1, 2):
        return torch.rsqrt(u)
    if exponent.is_Integer:
        return u ** int(exponent)
    if exponent.is_number:
        return u ** float(exponent)
    return u ** _value(exponent, known, table, x)
