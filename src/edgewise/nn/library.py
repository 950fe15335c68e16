"""The default functions for symbolic edges: pykan's, without its duplicates, and the hyperbolic ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from edgewise.nn.symbolic import Library, SymbolicFn

_POSITIVE = (math.ulp(0.0), math.inf)


def _zero(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def _zero_sympy(x: Any) -> Any:
    import sympy

    return sympy.Integer(0)


def _identity(x):
    return x


@dataclass(frozen=True)
class _Power:
    """A value, so that the functions of an unpickled model equal those of the library."""

    exponent: Any

    def __call__(self, x):
        return x**self.exponent


@dataclass(frozen=True)
class _Sympy:
    """The function of sympy with this name; sympy is imported by the first call."""

    name: str

    def __call__(self, x: Any) -> Any:
        import sympy

        return getattr(sympy, self.name)(x)


def _gaussian(x: Tensor) -> Tensor:
    return torch.exp(-(x**2))


def _gaussian_sympy(x: Any) -> Any:
    return _Sympy("exp")(-(x**2))


def _integer_power(n: int, complexity: float) -> SymbolicFn:
    power = _Power(n)
    name = f"x^{n}" if n > 0 else ("1/x" if n == -1 else f"1/x^{-n}")
    return SymbolicFn(name, power, power, complexity, poles=None if n > 0 else (0.0, math.inf))


DEFAULT_LIBRARY = Library(
    [
        SymbolicFn("0", _zero, _zero_sympy, 0),
        SymbolicFn("x", _identity, _identity, 1),
        _integer_power(2, 2),
        _integer_power(3, 3),
        _integer_power(4, 3),
        _integer_power(5, 4),
        _integer_power(-1, 2),
        _integer_power(-2, 3),
        _integer_power(-3, 4),
        _integer_power(-4, 4),
        _integer_power(-5, 5),
        SymbolicFn("sqrt", torch.sqrt, _Sympy("sqrt"), 2, domain=(0.0, math.inf)),
        SymbolicFn(
            "x^1.5",
            _Power(1.5),
            _Power(Fraction(3, 2)),
            4,
            domain=(0.0, math.inf),
        ),
        SymbolicFn("1/sqrt", torch.rsqrt, _Power(Fraction(-1, 2)), 3, domain=_POSITIVE),
        SymbolicFn("exp", torch.exp, _Sympy("exp"), 2),
        SymbolicFn("log", torch.log, _Sympy("log"), 2, domain=_POSITIVE),
        SymbolicFn("abs", torch.abs, _Sympy("Abs"), 3),
        SymbolicFn("sin", torch.sin, _Sympy("sin"), 2),
        SymbolicFn("cos", torch.cos, _Sympy("cos"), 2),
        SymbolicFn("tan", torch.tan, _Sympy("tan"), 3, poles=(math.pi / 2, math.pi)),
        SymbolicFn("sinh", torch.sinh, _Sympy("sinh"), 3),
        SymbolicFn("cosh", torch.cosh, _Sympy("cosh"), 3),
        SymbolicFn("tanh", torch.tanh, _Sympy("tanh"), 3),
        SymbolicFn("sign", torch.sign, _Sympy("sign"), 3),
        SymbolicFn("arcsin", torch.arcsin, _Sympy("asin"), 4, domain=(-1.0, 1.0)),
        SymbolicFn("arccos", torch.arccos, _Sympy("acos"), 4, domain=(-1.0, 1.0)),
        SymbolicFn("arctan", torch.arctan, _Sympy("atan"), 4),
        SymbolicFn("arctanh", torch.arctanh, _Sympy("atanh"), 4, domain=(-1 + math.ulp(0.5), 1 - math.ulp(0.5))),
        SymbolicFn("gaussian", _gaussian, _gaussian_sympy, 3),
        SymbolicFn("erf", torch.erf, _Sympy("erf"), 4),
    ]
)
