"""Evaluates sympy expressions in torch: differentiable, elementwise, every shared part computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    return Program.of(expressions, inputs, functions)(x)


@dataclass(frozen=True)
class Program:
    """Expressions as the operations that compute them, in order, for many evaluations.

    Attributes:
        inputs: the number of inputs.
        steps: every operation, and the positions of its arguments among the inputs, constants and earlier results.
        constants: values by their position.
        outputs: the positions of the expressions.
    """

    inputs: int
    steps: tuple[tuple[int, Callable[..., Any], tuple[int, ...]], ...]
    constants: Mapping[int, float]
    outputs: tuple[int, ...]

    @classmethod
    def of(
        cls,
        expressions: Sequence[Any],
        inputs: Sequence[Any],
        functions: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    ) -> Program:
        """Raises `ValueError` naming the part that has no torch form."""
        writer = _Writer(inputs, FUNCTIONS | dict(functions or {}))
        outputs = tuple(writer.place(e) for e in expressions)
        return cls(len(inputs), tuple(writer.steps), writer.constants, outputs)

    def __call__(self, x: Tensor) -> Tensor:
        """The expressions at x of shape (*batch, in), in float64: shape (*batch, out)."""
        if x.ndim == 0 or x.shape[-1] != self.inputs:
            raise ValueError(f"the formula takes inputs of shape (*batch, {self.inputs}), got {tuple(x.shape)}")
        x = x.double()
        values: dict[int, Any] = dict(enumerate(x.unbind(-1)))
        values.update({n: x.new_full((), value) for n, value in self.constants.items()})
        for n, operation, arguments in self.steps:
            values[n] = operation(*[values[m] for m in arguments])
        return torch.stack([values[n].expand(x.shape[:-1]) for n in self.outputs], -1)


class _Writer:
    """Writes the operations of expressions, every shared part once."""

    def __init__(self, inputs: Sequence[Any], table: Mapping[str, Callable[..., Tensor]]) -> None:
        self.table, self.names = table, ", ".join(map(str, inputs))
        self.places: dict[Any, int] = {symbol: n for n, symbol in enumerate(inputs)}
        self.count = len(inputs)
        self.constants: dict[int, float] = {}
        self.steps: list[tuple[int, Callable[..., Any], tuple[int, ...]]] = []

    def place(self, e: Any) -> int:
        """The position of the value of an expression, whose operations are written where they are not yet."""
        if e in self.places:
            return self.places[e]
        if e.is_number:
            number = complex(e.evalf(20))
            place = self._constant(number.real if abs(number.imag) <= 1e-14 * abs(number.real) else float("nan"))
        elif e.is_Add or e.is_Mul:
            operation = torch.add if e.is_Add else torch.mul
            place = reduce(lambda left, right: self._step(operation, left, right), map(self.place, e.args))
        elif e.is_Pow:
            place = self._power(e)
        elif isinstance(e, sympy.Function | sympy.Min | sympy.Max) and type(e).__name__ in self.table:
            place = self._step(self.table[type(e).__name__], *map(self.place, e.args))
        elif isinstance(e, sympy.Symbol):
            raise ValueError(f"{e} is not an input of the formula; its inputs are {self.names}")
        else:
            raise ValueError(f"{e} has no torch form; give one in `functions` under the name {type(e).__name__!r}")
        self.places[e] = place
        return place

    def _power(self, e: sympy.Pow) -> int:
        base, exponent = e.as_base_exp()
        if base == sympy.E:
            return self._step(torch.exp, self.place(exponent))
        u = self.place(base)
        if exponent == sympy.Rational(1, 2):
            return self._step(torch.sqrt, u)
        if exponent == sympy.Rational(-1, 2):
            return self._step(torch.rsqrt, u)
        if exponent.is_number:
            power = int(exponent) if exponent.is_Integer else float(exponent)
            return self._step(lambda u: u**power, u)
        return self._step(torch.pow, u, self.place(exponent))

    def _constant(self, value: float) -> int:
        self.count += 1
        self.constants[self.count - 1] = value
        return self.count - 1

    def _step(self, operation: Callable[..., Any], *arguments: int) -> int:
        self.count += 1
        self.steps.append((self.count - 1, operation, arguments))
        return self.count - 1
