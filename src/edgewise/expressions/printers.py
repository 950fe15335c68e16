"""Prints expressions as text, LaTeX and MathML with every name as it is: escaped, upright, never interpreted.

Sympy's own printers read meaning into names: a suffix such as `bar`, `hat` or `imag` becomes an accent or a function.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.mathml import MathMLPresentationPrinter
from sympy.printing.str import StrPrinter

from edgewise.expressions.names import quoted, visible

_LETTER = re.compile(r"[A-Za-z](_[0-9]+)?")
_ESCAPES = {
    **{c: f"\\{c}" for c in "#$%&_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def text(expression: sympy.Basic) -> str:
    """The expression in plain notation; names that are no words are in backticks, as `parse_formula` reads them.

    >>> print(text(sympy.Symbol("temp_%") / (2 * sympy.Symbol("x-1"))))
    `temp_%`/(2*`x-1`)
    """
    return _Text().doprint(expression)


def latex(expression: sympy.Basic) -> str:
    r"""The expression in LaTeX; names are upright, apart from one letter, which may have a number as its index.

    >>> print(latex(sympy.Symbol("x_bar") * sympy.Symbol("b") + sympy.Symbol("x_1")))
    b \mathrm{x\_bar} + x_{1}
    """
    return _Latex().doprint(expression)


def mathml(expression: sympy.Basic, symbols: Mapping[str, str] | None = None) -> str:
    r"""The expression in presentation MathML, safe inside HTML.

    Args:
        expression: what is printed.
        symbols: trusted LaTeX of some names, such as `\mu_r`, which is shown as a letter with an index.
    """
    printer = _MathML()
    printer.symbols = dict(symbols or {})
    return printer.doprint(expression).replace("<mo>-</mo>", "<mo>−</mo>")  # browsers show hyphens too short


def latex_name(name: str) -> str:
    """A name in LaTeX's mathematics: one letter in italics, a word upright, all else as upright text."""
    if _LETTER.fullmatch(name):
        letter, _, index = name.partition("_")
        return f"{letter}_{{{index}}}" if index else letter
    escaped = "".join(_ESCAPES.get(c, c) for c in visible(name))
    return rf"\mathrm{{{escaped}}}" if re.fullmatch(r"[A-Za-z0-9_]+", name) else rf"\text{{{escaped}}}"


def mathml_name(name: str) -> str:
    """A name in MathML: one letter in italics, perhaps with an index, all else upright."""
    if _LETTER.fullmatch(name):
        letter, _, index = name.partition("_")
        return f"<msub><mi>{letter}</mi><mn>{index}</mn></msub>" if index else f"<mi>{letter}</mi>"
    return f'<mi mathvariant="normal">{escape(visible(name))}</mi>'


class _Text(StrPrinter):
    def _print_Symbol(self, expr: Any) -> str:
        return quoted(expr.name)

    def _print_AppliedUndef(self, expr: Any) -> str:
        return f"{quoted(type(expr).__name__)}({self.stringify(expr.args, ', ')})"


class _Latex(LatexPrinter):
    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        return latex_name(expr.name)

    def _print_AppliedUndef(self, expr: Any, exp: str | None = None) -> str:
        power = "" if exp is None else f"^{{{exp}}}"
        arguments = ", ".join(str(self._print(part)) for part in expr.args)
        return rf"{latex_name(type(expr).__name__)}{power}{{\left({arguments} \right)}}"


class _MathML(MathMLPresentationPrinter):
    symbols: Mapping[str, str] = {}

    def _print_Symbol(self, sym: Any, style: str = "plain") -> Any:
        if sym.name in self.symbols:
            return super()._print_Symbol(sympy.Symbol(self.symbols[sym.name].replace("\\", "")), style)
        return self.dom.createTextNode(mathml_name(sym.name))

    def _print_AppliedUndef(self, expr: Any) -> Any:
        row = self.dom.createElement("mrow")
        row.appendChild(self.dom.createTextNode(mathml_name(type(expr).__name__)))
        row.appendChild(self._paren_comma_separated(*expr.args))
        return row
