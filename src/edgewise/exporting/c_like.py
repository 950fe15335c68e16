"""The statements of a network in the syntax that C and JavaScript share: loops over tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.bases import Chebyshev, Fourier, Gaussian, Hinge, Rational, ReLUPower, Wavelet
from edgewise.bases._basis import continued_points, point_spacing
from edgewise.exporting.network_tables import AffineTables, EdgeTables, Products, RationalTables, Softmax, Step

# The functions of the default library of u, with `number` around constants and `call` around functions of the language.
_SYMBOLS = {
    "0": "u - u",
    "x": "u",
    "x^2": "u * u",
    "x^3": "u * u * u",
    "x^4": "u * u * (u * u)",
    "x^5": "u * u * (u * u) * u",
    "1/x": "#1 / u",
    "1/x^2": "#1 / (u * u)",
    "1/x^3": "#1 / (u * u * u)",
    "1/x^4": "#1 / (u * u * (u * u))",
    "1/x^5": "#1 / (u * u * (u * u) * u)",
    "x^1.5": "u * @sqrt(u)",
    "1/sqrt": "#1 / @sqrt(u)",
    "abs": "@fabs(u)",
    "sign": "u > #0 ? #1 : (u < #0 ? -#1 : u)",
    "arcsin": "@asin(u)",
    "arccos": "@acos(u)",
    "arctan": "@atan(u)",
    "arctanh": "@atanh(u)",
    "gaussian": "@exp(-(u * u))",
    **{name: f"@{name}(u)" for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf")},
}


@dataclass(frozen=True)
class Language:
    """What differs between the two.

    Args:
        real: declares a variable that holds a real number.
        whole: declares one that holds a whole number.
        array: declares an array of reals of a name and a length.
        number: a constant.
        call: the name of a function of the mathematical library.
        units: an expression in float64 as a real number of the network.
        output: a real number as an output.
    """

    real: str
    whole: str
    array: Callable[[str, int], str]
    number: Callable[[float], str]
    call: Callable[[str], str]
    units: Callable[[str], str] = str
    output: Callable[[str], str] = str

    def filled(self, text: str) -> str:
        """Text with `#1` as constants and `@exp` as functions of the language."""
        text = re.sub(r"#([0-9.]+)", lambda found: self.number(float(found[1])), text)
        return re.sub(r"@(\w+)", lambda found: self.call(found[1]), text)


@dataclass
class Body:
    """Statements, and the tables that they read, by name."""

    lines: list[str]
    tables: dict[str, Tensor]
    language: Language

    def add(self, *lines: str) -> None:
        """Append statements; `#1` is a constant, `@exp` a function, `R` and `I` declare real and whole variables."""
        for line in lines:
            text = self.language.filled(line)
            text = re.sub(r"\bR ", f"{self.language.real} ", re.sub(r"\bI ", f"{self.language.whole} ", text))
            self.lines.append(text)

    def table(self, name: str, values: Tensor) -> str:
        """Keep a table and return its name."""
        self.tables[name] = values
        return name


def statements(steps: list[Step], language: Language) -> Body:
    """From the array `x` to the array `y`; the arrays between are `h0`, `h1`, ..."""
    body, at = Body([], {}, language), "x"
    for n, step in enumerate(steps):
        to = f"h{n}"
        body.lines.append(language.array(to, width(step)))
        if isinstance(step, EdgeTables):
            _edges(body, step, n, at, to)
        elif isinstance(step, AffineTables):
            scale, shift = body.table(f"scale{n}", step.scale), body.table(f"shift{n}", step.shift)
            units = language.units(f"{at}[i] * {scale}[i] + {shift}[i]")
            body.add(_for("i", len(step.scale)) + f"{to}[i] = {units};")
        elif isinstance(step, Products):
            _products(body, step, at, to)
        elif isinstance(step, RationalTables):
            _rational(body, step, n, at, to)
        else:
            _softmax(body, step, at, to)
        at = to
    body.add(_for("i", width(steps[-1])) + f"y[i] = {language.output(f'{at}[i]')};")
    return body


def width(step: Step) -> int:
    """The number of outputs of a step."""
    if isinstance(step, EdgeTables):
        return step.out_features
    if isinstance(step, AffineTables | RationalTables):
        return len(step.scale if isinstance(step, AffineTables) else step.numerator)
    return step.classes if isinstance(step, Softmax) else step.sums + len(step.arities)


def _for(variable: str, count: int | str, start: int = 0) -> str:
    return f"for (I {variable} = {start}; {variable} < {count}; {variable}++) "


def _edges(body: Body, step: EdgeTables, n: int, at: str, to: str) -> None:
    ins, outs = step.in_features, step.out_features
    bias = body.table(f"bias{n}", step.bias)
    body.add(_for("i", outs) + f"{to}[i] = {bias}[i];")
    if step.basis is not None or step.residual is not None:
        body.add(_for("j", ins) + "{", f"  R v = {at}[j];")
        if step.local is not None:
            _spline(body, step, n, to)
        elif step.basis is not None:
            _basis(body, step, n, to)
        if step.residual is not None:
            assert step.weights is not None
            weights = body.table(f"weight{n}", step.weights)
            value = "v / (#1 + @exp(-v))" if step.residual == "silu" else "v"
            body.add(f"  R r = {value};", "  " + _for("i", outs) + f"{to}[i] += {weights}[j * {outs} + i] * r;")
        body.add("}")
    for symbol in step.symbols:
        a, b, c, d = map(body.language.number, symbol.affine)
        body.add("{", f"  R u = {a} * {at}[{symbol.source}] + {b};")
        body.add(f"  {to}[{symbol.target}] += {c} * ({_SYMBOLS[symbol.function]}) + {d};", "}")


def _spline(body: Body, step: EdgeTables, n: int, to: str) -> None:
    """Find the piece, evaluate its functions by Horner, add up the coefficients."""
    assert step.local is not None
    _, pieces, functions, powers = step.local.shape
    knots = pieces - 1
    points, local = body.table(f"knots{n}", step.points), body.table(f"piece{n}", step.local)
    coef = body.table(f"coef{n}", step.coef)
    size, outs = step.coef.shape[1:]
    body.add(
        "  I m = 0;",
        f"  while (m < {knots} && v >= {points}[j * {knots} + m]) m++;",
        f"  if (m == {knots} && !(v > {points}[j * {knots} + {knots - 1}])) m--;",
        f"  R d = v - {points}[j * {knots} + (m > 0 ? m - 1 : 0)];",
        f"  I k = j * {size} + (m > 0 ? (m < {knots} ? m - 1 : {knots - 2}) : 0);",
        "  " + _for("f", functions) + "{",
        f"    I p = ((j * {pieces} + m) * {functions} + f) * {powers};",
        f"    R b = {local}[p + {powers - 1}];",
    )
    if powers > 1:
        body.add(f"    for (I q = {powers - 2}; q >= 0; q--) b = b * d + {local}[p + q];")
    else:
        body.add("    b = b + #0 * d;")
    body.add("    " + _for("i", outs) + f"{to}[i] += b * {coef}[(k + f) * {outs} + i];", "  }")


def _basis(body: Body, step: EdgeTables, n: int, to: str) -> None:
    size, outs = step.coef.shape[1:]
    coef = body.table(f"coef{n}", step.coef)
    body.add(f"  {body.language.array('b', size)}")
    for line in _functions(body, step, n):
        body.add(f"  {line}")
    body.add("  " + _for("f", size) + _for("i", outs) + f"{to}[i] += b[f] * {coef}[(j * {size} + f) * {outs} + i];")


def _functions(body: Body, step: EdgeTables, n: int) -> list[str]:
    """The statements that set b[0], b[1], ... to the functions of a basis at v."""
    basis, grid = step.basis, step.points
    size = step.coef.shape[1]
    if isinstance(basis, Chebyshev | Fourier | Rational):
        ends = body.table(f"range{n}", torch.stack([grid[:, 0], 2 / (grid[:, -1] - grid[:, 0])], -1))
        unit = f"R t = (v - {ends}[2 * j]) * {ends}[2 * j + 1] - #1;"
        return [unit, *_global(basis, size)]
    if isinstance(basis, Hinge):
        first, scale = grid[:, 1:-1], (2 / (grid[:, -1:] - grid[:, :1])).expand(-1, size)
        value = "b[f] = u > #0 ? u : u * #0;"
    elif isinstance(basis, ReLUPower):
        points = continued_points(grid, basis.power)
        first, last = points[:, :size], points[:, basis.power + 1 :]
        scale = 1 / (last - first)
        product = " * ".join(["w"] * basis.power)
        value = f"R w = #4 * u * (#1 - u); b[f] = u >= #0 && u < #1 ? {product} : u * #0;"
    elif isinstance(basis, Gaussian | Wavelet):
        width = basis.width if isinstance(basis, Gaussian) else 1.0
        first, scale = grid, 1 / (width * point_spacing(grid))
        value = _bump(basis)
    else:
        raise ValueError(f"there is no program for the basis {type(basis).__name__}; `change_basis` to B-splines")
    place = body.table(f"place{n}", torch.stack([first, scale], -1))
    at = f"2 * (j * {size} + f)"
    return [_for("f", size) + f"{{ R u = (v - {place}[{at}]) * {place}[{at} + 1]; {value} }}"]


def _bump(basis: Gaussian | Wavelet) -> str:
    near = "if (u > #40) u = #40; if (u < -#40) u = -#40; "
    if isinstance(basis, Gaussian):
        return near + "b[f] = @exp(-(u * u));"
    wave = "(#1 - u * u)" if basis.kind == "mexican_hat" else "@cos(#5 * u)"
    return near + f"b[f] = {wave} * @exp(-#0.5 * u * u);"


def _global(basis: Chebyshev | Fourier | Rational, size: int) -> list[str]:
    if isinstance(basis, Fourier):
        wave = f"R w = #{math.pi!r} * f * t; b[f] = @cos(w); b[f + {basis.frequencies}] = @sin(w);"
        return ["b[0] = #1 + (v - v);", _for("f", basis.frequencies + 1, 1) + f"{{ {wave} }}"]
    recurrence = "b[f] = #2 * c * b[f - 1] - b[f - 2];"
    if isinstance(basis, Rational):
        lines = ["R c = t / @sqrt(#1 + t * t);", "b[0] = #1 + (v - v);", "b[1] = c;"]
        return [*lines, *([_for("f", size, 2) + recurrence] if size > 2 else [])]
    lines = ["R c = t < -#1 ? -#1 : (t > #1 ? #1 : t);", "R e = t - c;", "R a = e < #0 ? -e : e;"]
    lines += ["b[0] = #1 + (v - v);", "b[1] = c;"]
    lines += [_for("f", size, 2) + recurrence] if size > 2 else []
    return [*lines, _for("f", size, 1) + "b[f] += f * f * (f % 2 ? e : a);"]


def _products(body: Body, step: Products, at: str, to: str) -> None:
    start = step.sums
    if start:
        body.add(_for("i", start) + f"{to}[i] = {at}[i];")
    for m, arity in enumerate(step.arities):
        factors = " * ".join(f"{at}[{start + f}]" for f in range(arity))
        body.add(f"{to}[{step.sums + m}] = {factors};")
        start += arity


def _rational(body: Body, step: RationalTables, n: int, at: str, to: str) -> None:
    """Both polynomials by Horner."""
    features, orders = step.numerator.shape
    numerator, denominator = body.table(f"above{n}", step.numerator), body.table(f"below{n}", step.denominator)
    last = len(step.denominator) - 1
    body.add(
        _for("j", features) + "{",
        f"  R v = {at}[j];",
        f"  R a = {numerator}[j * {orders} + {orders - 1}];",
        f"  R q = {denominator}[{last}];",
        f"  for (I m = {orders - 2}; m >= 0; m--) a = a * v + {numerator}[j * {orders} + m];",
        f"  for (I m = {last - 1}; m >= 0; m--) q = q * v + {denominator}[m];",
        f"  {to}[j] = a / (#1 + @fabs(q * v));",
        "}",
    )


def _softmax(body: Body, step: Softmax, at: str, to: str) -> None:
    binary = step.classes == 2
    scores = "s[i]"
    body.add("{", "  " + body.language.array("s", step.classes))
    if binary:
        body.add(f"  s[0] = {at}[0] - {at}[0];", f"  s[1] = {at}[0];")
    else:
        body.add("  " + _for("i", step.classes) + f"s[i] = {at}[i];")
    body.add("  R t = s[0];", "  R z = #0;")
    body.add("  " + _for("i", step.classes) + f"if ({scores} > t) t = {scores};")
    body.add("  " + _for("i", step.classes) + "{ s[i] = @exp(s[i] - t); z += s[i]; }")
    body.add("  " + _for("i", step.classes) + f"{to}[i] = s[i] / z;", "}")
