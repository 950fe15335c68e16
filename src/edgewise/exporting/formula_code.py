"""Writes formulas as expressions of C, JavaScript, Python and SQL, with the meaning that `Formula` has.

Names of inputs never enter a program: the caller says by what text each input is read. Powers with whole exponents are
products, so that nothing depends on a library's `pow`. What has no meaning for a real number is NaN, in SQL NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from edgewise.exporting.source_text import number
from edgewise.expressions import Formula

MOST_FACTORS = 16
_PLAIN = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
_PLAIN += ("asinh", "acosh", "atanh", "exp", "log", "floor")
_CALLS: dict[str, dict[str, str]] = {
    "c": {**{n: n for n in (*_PLAIN, "erf", "erfc", "atan2")}, "ceiling": "ceil", "Abs": "fabs", "sqrt": "sqrt"},
    "js": {
        **{n: f"Math.{n}" for n in (*_PLAIN, "atan2")},
        "ceiling": "Math.ceil",
        "Abs": "Math.abs",
        "sqrt": "Math.sqrt",
    },
    "python": {
        **{n: f"_safe(math.{n}, $)" for n in (*_PLAIN, "erf", "erfc", "atan2")},
        "ceiling": "_safe(math.ceil, $)",
        "Abs": "abs",
        "sqrt": "_safe(math.sqrt, $)",
    },
    "sql": {
        **{n: n for n in (*_PLAIN, "atan2") if n != "log"},
        "log": "ln",
        "ceiling": "ceil",
        "Abs": "abs",
        "sqrt": "sqrt",
    },
}
_POW = {"c": "pow($)", "js": "Math.pow($)", "python": "_safe(math.pow, $)", "sql": "power($)"}
_RECIPROCAL = {"cot": "tan", "sec": "cos", "csc": "sin", "coth": "tanh", "sech": "cosh", "csch": "sinh"}
PYTHON_HELPERS = [
    "def _safe(f, *arguments):",
    '    """f, with NaN or infinity where Python raises."""',
    "    try:",
    "        return float(f(*arguments))",
    "    except OverflowError:",
    "        a = arguments[0]",
    "        if f is math.pow:",
    "            return -math.inf if a < 0 and arguments[1] % 2 == 1 else math.inf",
    "        return -math.inf if a < 0 and f in (math.sinh, math.floor, math.ceil) else math.inf",
    "    except ValueError:",
    "        a = arguments[0]",
    "        if f is math.log and a == 0:",
    "            return -math.inf",
    "        if f is math.pow and a == 0:",
    "            return math.inf",
    "        return math.copysign(math.inf, a) if f is math.atanh and abs(a) == 1 else math.nan",
    "",
    "",
    "def _over(a, b):",
    '    """a / b, with infinity or NaN where b is zero."""',
    "    if b:",
    "        return a / b",
    "    return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)",
    "",
]


def formula_lines(
    formula: Formula, language: str, inputs: Sequence[str], prefix: str = ""
) -> tuple[list[str], list[str]]:
    """The expressions of the outputs, and the lines of the functions that they need before them.

    Raises `ValueError`, naming it, for a part that the language has no function for.
    """
    printer = _Printer(language, dict(zip(formula.inputs, inputs, strict=True)), prefix)
    values = [printer.printed(e) for e in formula.expressions]
    return values, PYTHON_HELPERS if language == "python" else []


class _Printer:
    def __init__(self, language: str, inputs: dict[Any, str], prefix: str) -> None:
        self.language, self.inputs, self.prefix = language, inputs, prefix
        self.calls = _CALLS[language]

    def printed(self, e: Any) -> str:
        if e in self.inputs:
            return self.inputs[e]
        if e.is_number:
            return self._number(e)
        if e.is_Add or e.is_Mul:
            parts = [self.printed(part) for part in e.args]
            return f"({(' + ' if e.is_Add else ' * ').join(parts)})"
        if e.is_Pow:
            return self._power(e)
        return self._function(e)

    def _number(self, e: Any) -> str:
        value = complex(e.evalf(20))
        if abs(value.imag) > 1e-14 * abs(value.real) or value.real != value.real or abs(value.real) == float("inf"):
            raise ValueError(f"the constant {e} is no finite real number")
        return f"({number(value.real)})" if value.real < 0 else number(value.real)

    def _power(self, e: Any) -> str:
        base, exponent = e.as_base_exp()
        if base == sympy.E:
            return self._call("exp", self.printed(exponent))
        u = self.printed(base)
        if exponent in (sympy.Rational(1, 2), sympy.Rational(-1, 2)):
            root = self._call("sqrt", u)
            return root if exponent > 0 else self._over("1.0", root)
        if exponent.is_Integer and abs(int(exponent)) <= MOST_FACTORS:
            product = f"({' * '.join([u] * abs(int(exponent)))})"
            return product if exponent > 0 else self._over("1.0", product)
        return _POW[self.language].replace("$", f"{u}, {self.printed(exponent)}")

    def _function(self, e: Any) -> str:
        name = type(e).__name__
        parts = [self.printed(part) for part in e.args]
        if name in _RECIPROCAL:
            return self._over("1.0", self._call(_RECIPROCAL[name], parts[0]))
        if name in ("Min", "Max"):
            return self._extreme(parts, "<" if name == "Min" else ">")
        if name in ("sign", "Heaviside"):
            u, below, zero = parts[0], "-1.0", "0.0"
            if name == "Heaviside":
                below, zero = "0.0", parts[1] if len(parts) > 1 else "0.5"
            known = self._select(
                f"{u} < 0", below, self._select(f"{u} = 0" if self.language == "sql" else f"{u} == 0", zero, u)
            )
            return self._select(f"{u} > 0", "1.0", known)
        return self._call(name, ", ".join(parts), e)

    def _extreme(self, parts: list[str], sign: str) -> str:
        """The least or the largest; NaN where one is NaN."""
        best = parts[0]
        for part in parts[1:]:
            best = self._select(
                f"{best} {sign} {part}",
                best,
                self._select(f"{part} {sign} {best}", part, f"({best} + {part} - {best})"),
            )
        return best

    def _call(self, name: str, arguments: str, e: Any = None) -> str:
        if name not in self.calls:
            raise ValueError(f"{self.language} has no function {name}, which the formula uses in {e or name}")
        call = self.calls[name]
        return call.replace("$", arguments) if "$" in call else f"{call}({arguments})"

    def _select(self, condition: str, yes: str, no: str) -> str:
        if self.language == "python":
            return f"({yes} if {condition} else {no})"
        if self.language == "sql":
            return f"CASE WHEN {condition} THEN {yes} ELSE {no} END"
        return f"({condition} ? {yes} : {no})"

    def _over(self, a: str, b: str) -> str:
        return f"_over({a}, {b})" if self.language == "python" else f"({a} / {b})"
