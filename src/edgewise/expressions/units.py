"""Checks the dimensions of formulas between quantities with units.

A unit is a product of powers of the seven base units of SI. Terms that are added must agree, the argument of a
function must be dimensionless, and constants in a formula have no dimension: a constant of nature that has one is a
quantity of its own, and belongs in a column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy

BASE = ("m", "kg", "s", "A", "K", "mol", "cd")

_DERIVED = {
    "g": "kg",
    "Hz": "s^-1",
    "N": "kg m s^-2",
    "Pa": "kg m^-1 s^-2",
    "J": "kg m^2 s^-2",
    "W": "kg m^2 s^-3",
    "C": "A s",
    "V": "kg m^2 s^-3 A^-1",
    "F": "kg^-1 m^-2 s^4 A^2",
    "ohm": "kg m^2 s^-3 A^-2",
    "S": "kg^-1 m^-2 s^3 A^2",
    "T": "kg s^-2 A^-1",
    "Wb": "kg m^2 s^-2 A^-1",
    "H": "kg m^2 s^-2 A^-2",
    "Bq": "s^-1",
    "Gy": "m^2 s^-2",
    "Sv": "m^2 s^-2",
    "eV": "kg m^2 s^-2",
    "bar": "kg m^-1 s^-2",
    "L": "m^3",
    "l": "m^3",
    "lm": "cd",
    "rad": "1",
    "sr": "1",
}
"""Units that prefixes may stand before, as before those of `BASE` but kg."""

_ALONE = {"1": "1", "%": "1", "deg": "1", "min": "s", "h": "s", "d": "s", "degC": "K"}
"""Units without prefixes. A temperature in degC counts as K: only differences of it are in a law."""

_PREFIXES = ("da", *"QRYZEPTGMkhdcmunpfazyrq")
_SIGNS = str.maketrans(
    {"\u00b5": "u", "\u03bc": "u", "\u03a9": "ohm", "\u2126": "ohm", "\u2103": "degC", "\u00b7": " ", "\u22c5": " "}
    | {"\u2212": "-", "\u207b": "-"}
    | {sign: str(n) for n, sign in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")}
)
_BELOW = re.compile(r"/\s*\(([^()/]*)\)\s*(?=/|$)")
"""Parentheses around all that a slash divides by, as in J/(kg K)."""

_FACTOR = re.compile(r"([A-Za-z]+|%|1(?!\d))(?:(?:\^|\*\*)?\(?([+-]?\d+(?:/\d+)?)\)?)?")


class DimensionError(ValueError):
    """The dimensions of a formula do not fit together."""


_SLASH = re.compile(r"/(?![^(]*\))")
"""A slash that is not inside the parentheses of an exponent."""


@dataclass(frozen=True)
class Unit:
    """A product of powers of base units, exponents in the order of `BASE`.

    Sizes do not matter to dimensions: km, mm and m are one unit, and the constants of a law convert between them.

    >>> Unit.parse("N m^2/kg^2"), Unit.parse("kJ mol-1"), Unit.parse("km/h")
    (Unit('m^3 kg^-1 s^-2'), Unit('m^2 kg s^-2 mol^-1'), Unit('m s^-1'))
    """

    exponents: tuple[Fraction, ...] = (Fraction(0),) * len(BASE)

    @classmethod
    def parse(cls, text: str) -> Unit:
        """The unit of a text such as "kg", "m/s^2", "mm s-1", "N m" or "1"; a slash divides by what follows it."""
        unit = cls()
        plain = text.translate(_SIGNS).replace("\u00b0C", "degC").replace("\u00b0", "deg")
        plain = _BELOW.sub(r"/\1", plain)
        for n, part in enumerate(_SLASH.split(plain) if text.strip() else []):
            rest = part.replace("**", "^").replace("*", " ").split()
            for factor in rest or [""]:
                match = _FACTOR.fullmatch(factor)
                named = None if match is None else cls._named(match[1])
                if match is None or named is None:
                    raise ValueError(
                        f"the unit {text!r} has a part {factor!r} that is not known; write it with "
                        f"{', '.join((*BASE, *_DERIVED, *_ALONE))} and SI prefixes, as in 'kg m/s^2' or 'mm s^-1'"
                    )
                unit = unit * named ** (Fraction(match[2] or 1) * (1 if n == 0 else -1))
        return unit

    @classmethod
    def _named(cls, name: str) -> Unit | None:
        """The unit of this name, with or without a prefix."""
        if name == "1":
            return cls()
        if name in BASE:
            return cls(tuple(Fraction(name == base) for base in BASE))
        if name in _DERIVED or name in _ALONE:
            return cls.parse((_DERIVED | _ALONE)[name])
        if name == "pH":  # the scale of chemists, not picohenry
            return None
        rest = {name.removeprefix(prefix) for prefix in _PREFIXES if name.startswith(prefix)}
        known = [unit for unit in rest if unit in _DERIVED or (unit in BASE and unit != "kg")]
        return cls._named(known[0]) if known else None

    def __mul__(self, other: Unit) -> Unit:
        return Unit(tuple(a + b for a, b in zip(self.exponents, other.exponents, strict=True)))

    def __pow__(self, power: Fraction) -> Unit:
        return Unit(tuple(a * power for a in self.exponents))

    def __bool__(self) -> bool:
        return any(self.exponents)

    def __str__(self) -> str:
        shown = []
        for base, power in zip(BASE, self.exponents, strict=True):
            if power:
                written = str(power) if power.denominator == 1 else f"({power})"
                shown.append(base if power == 1 else f"{base}^{written}")
        return " ".join(shown) or "1"

    def __repr__(self) -> str:
        return f"Unit({str(self)!r})"


def parse_units(units: Mapping[str, str], names: tuple[str, ...]) -> dict[str, Unit]:
    """The units of these quantities by name; raises `ValueError` for one that is missing or not among them."""
    strange = sorted(set(units) - set(names))
    if strange:
        raise ValueError(f"units are given for {', '.join(strange)}, but the quantities are {', '.join(names)}")
    missing = [name for name in names if name not in units]
    if missing:
        raise ValueError(f"no unit is given for {', '.join(missing)}; write '1' for a pure number")
    return {name: Unit.parse(text) for name, text in units.items()}


def dimension(expression: Any, units: Mapping[str, Unit]) -> Unit:
    """The unit of an expression of quantities with these units, known by the names of their symbols.

    Raises:
        DimensionError: naming the part that does not fit.
    """
    if expression.is_number or expression.is_Symbol:
        return units[str(expression)] if expression.is_Symbol else Unit()
    if expression.is_Add:
        return _sum(expression, units)
    if expression.is_Mul:
        unit = Unit()
        for factor in expression.args:
            unit = unit * dimension(factor, units)
        return unit
    if expression.is_Pow and not isinstance(expression, sympy.exp) and expression.args[1].is_number:
        base = dimension(expression.args[0], units)
        return base ** Fraction(str(sympy.nsimplify(expression.args[1], rational=True))) if base else base
    parts = [(part, dimension(part, units)) for part in expression.args]
    if isinstance(expression, sympy.Abs | sympy.Min | sympy.Max):
        return _common(parts)
    for part, unit in parts:
        if unit:
            name = expression.func.__name__
            raise DimensionError(f"{part} is in {unit} and is inside {name}, whose argument must be dimensionless")
    return Unit()


def _sum(total: Any, units: Mapping[str, Unit]) -> Unit:
    """The unit of a sum; logarithms with one factor count together, since log a - log b is that of a pure number."""
    parts: list[tuple[Any, Unit]] = []
    logarithms: dict[Any, list[Any]] = {}
    for term in total.args:
        number, rest = term.as_coeff_Mul()
        inside = [factor for factor in sympy.Mul.make_args(rest) if isinstance(factor, sympy.log)]
        if len(inside) == 1:
            logarithms.setdefault(rest / inside[0], []).append(inside[0].args[0] ** number)
        else:
            parts.append((term, dimension(term, units)))
    for factor, arguments in logarithms.items():
        together = sympy.Mul(*arguments)
        unit = dimension(together, units)
        if unit:
            raise DimensionError(f"{together} is in {unit} and is inside log, whose argument must be dimensionless")
        parts.append((factor * sympy.log(together), dimension(factor, units)))
    return _common(parts)


def _common(parts: list[tuple[Any, Unit]]) -> Unit:
    first, wanted = parts[0]
    for part, unit in parts:
        if unit != wanted:
            raise DimensionError(f"{first} is in {wanted} and {part} in {unit}; they cannot be added")
    return wanted
