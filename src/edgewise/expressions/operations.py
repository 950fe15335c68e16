"""The operations that an expression may be read with, refused where sympy would compute for long."""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator, Mapping
from typing import Any

import sympy

from edgewise.expressions.evaluate import FUNCTIONS

MAX_DEPTH = 100
MAX_EXPONENT = 1000
MAX_BITS = 4096
MAX_ROOT_BITS = 256
_NOT_REAL = (sympy.I, sympy.oo, -sympy.oo, sympy.zoo, sympy.nan)
COMPARING = {"Abs", "Heaviside", "Max", "Min", "abs", "atan2", "ceiling", "floor", "sign"}
"""What sympy computes digits for until it knows an order."""

CONSTANTS: Mapping[str, sympy.Expr] = {
    "pi": sympy.pi,
    "E": sympy.E,
    "I": sympy.I,
    "oo": sympy.oo,
    "zoo": sympy.zoo,
    "nan": sympy.nan,
}
OPERATIONS: Mapping[str, Any] = {
    **{name: getattr(sympy, name) for name in FUNCTIONS},
    "sqrt": sympy.sqrt,
    "ln": sympy.log,
    "abs": sympy.Abs,
}
"""The functions that a formula may call: those with a torch form, and three spellings."""

_CALLS: Mapping[str, Any] = {**OPERATIONS, "Add": sympy.Add, "Mul": sympy.Mul, "Pow": sympy.Pow}

_ARITY = {"Pow": 2, "sqrt": 1}
"""Where sympy takes one argument more for a setting."""


def built(name: str, args: list[Any]) -> Any:
    """An operation on parts that are read; refused where sympy would compute numbers without measure."""
    if len(args) != _ARITY.get(name, len(args)):
        raise ValueError(f"{name} takes {_ARITY[name]} arguments")
    if name == "sqrt":
        name, args = "Pow", [*args, sympy.Rational(1, 2)]
    if name in ("Pow", "exp"):
        _check_exponent(name, args)
    if name in COMPARING:
        _check_comparable(name, args)
    if name in OPERATIONS and any(part.is_number and part.has(*_NOT_REAL) for part in args):
        raise ValueError(f"{name} of a constant that is not real and finite")
    if all(part.is_number for part in args):
        _magnitude(name, args)
    result = _CALLS[name](*args) if name in _CALLS else None
    if result is None:
        raise ValueError(f"{name} is not a function that formulas may call")
    if name in ("Add", "Mul", "Pow", "exp"):
        _check_numbers(result, args)
    return result


def check_depth(depth: int) -> None:
    """Raises `ValueError` below `MAX_DEPTH` levels."""
    if depth > MAX_DEPTH:
        raise ValueError(f"more than {MAX_DEPTH} levels deep")


def _check_comparable(name: str, args: list[Any]) -> None:
    """Constants that are compared are numbers, powers, sums and products of them, and real."""
    for part in args:
        if part.has(*_NOT_REAL) or (part.is_number and part.has(sympy.Function)):
            raise ValueError(f"{name} of a constant that is not a plain real number")


def _check_exponent(name: str, args: list[Any]) -> None:
    """Whole powers of numbers are computed, those inside exp(n log(...)) too."""
    *base, exponent = args
    harmless = not exponent.has(sympy.log) if name == "exp" or base == [sympy.E] else False
    if not harmless and any(abs(n) > MAX_EXPONENT for n in exponent.atoms(sympy.Rational)):
        raise ValueError(f"an exponent above {MAX_EXPONENT}")
    if base and exponent.is_Rational and exponent.q > 1 and base[0].is_Mul and _mixes(base[0].args):
        raise ValueError("a root of a decimal number times a root of a whole number")  # sympy does not come back
    if base and not exponent.is_Integer and any(_bits(n) > MAX_ROOT_BITS for n in base[0].atoms(sympy.Rational)):
        raise ValueError(f"a root of a number of more than {MAX_ROOT_BITS} bits, which would be factorised")


def _mixes(parts: tuple[Any, ...]) -> bool:
    """Whether among these factors are a decimal number and a root of a whole number."""
    return any(e.is_Float for e in parts) and any(e.is_Pow and e.base.is_Rational and e.exp.is_Rational for e in parts)


def _check_numbers(result: Any, args: list[Any]) -> None:
    """No number has too many digits, and no constant hides behind names that cancel."""
    for n in _upper_numbers(result):
        if n.is_Rational and _bits(n) > MAX_BITS:
            raise ValueError("a number has too many digits")
        if n.is_Float and not math.isfinite(float(n)):
            raise ValueError("a number is too large")
    if result.is_number and not result.is_Number and not all(part.is_number for part in args):
        raise ValueError("names that cancel")


def _upper_numbers(e: Any, levels: int = 4) -> Iterator[Any]:
    """The numbers that an operation can have made: coefficients and exponents, not those deep in its parts."""
    if e.is_Number:
        yield e
    elif levels > 1:
        for part in e.args:
            yield from _upper_numbers(part, levels - 1)


def _bits(n: Any) -> int:
    """Binary digits of a rational number."""
    return max(abs(int(n.p)), int(n.q)).bit_length()


def _magnitude(name: str, args: list[Any]) -> complex:
    """About the value of an operation on constants, nan where it is not known; refused beyond the range of floats."""
    values = [_about(part) for part in args]
    try:
        if name == "Add":
            value = sum(values)
        elif name == "Mul":
            value = math.prod(values)
        elif name == "Pow":
            value = values[0] ** values[1]
            if value == 0 and values[0] != 0:
                raise ValueError("a number is too small")
        elif name == "gamma":
            value = complex(170 if abs(values[0]) <= 170 else 10**400)
        else:
            value = getattr(cmath, name, lambda *parts: max(parts, key=abs))(*values)
    except OverflowError as error:
        raise ValueError("a number is too large") from error
    except (ZeroDivisionError, TypeError, ValueError) as error:
        if "small" in str(error):
            raise
        return complex(math.nan)
    if cmath.isinf(value) and not any(map(cmath.isinf, values)):
        raise ValueError("a number is too large")
    return complex(value)


def _about(e: Any) -> complex:
    """About the value of a constant."""
    if e.is_Number or not e.args:
        return complex(e) if e.is_finite else complex(math.nan)
    return _magnitude(type(e).__name__, list(e.args))
