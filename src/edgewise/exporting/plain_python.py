"""Writes a network of splines or a formula as one Python file that needs nothing but Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.formula_code import PYTHON_HELPERS, formula_lines
from edgewise.exporting.network_tables import (
    AffineTables,
    EdgeTables,
    Products,
    RationalTables,
    Softmax,
    Step,
    Symbol,
    tables_of,
)
from edgewise.exporting.source_text import flat_numbers, head, number, rows, word
from edgewise.exporting.subject import Subject
from edgewise.io.whole import write_whole

_SYMBOLS = {
    "0": "u - u",
    "x": "u",
    **{f"x^{n}": " * ".join("u" * n) for n in (2, 3, 4, 5)},
    "1/x": "_over(1.0, u)",
    **{f"1/x^{n}": f"_over(1.0, {' * '.join('u' * n)})" for n in (2, 3, 4, 5)},
    "x^1.5": "u * _safe(math.sqrt, u)",
    "1/sqrt": "_over(1.0, _safe(math.sqrt, u))",
    "abs": "abs(u)",
    "sign": "1.0 if u > 0 else -1.0 if u < 0 else u",
    "gaussian": "math.exp(-u * u)",
    **{f"arc{name}": f"_safe(math.a{name}, u)" for name in ("sin", "cos", "tan", "tanh")},
    **{f"{name}": f"_safe(math.{name}, u)" for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "sinh", "cosh")},
    "tanh": "math.tanh(u)",
    "erf": "math.erf(u)",
}
_SPLINES = [
    "def _splines(h, out, knots, pieces, coef):",
    '    """Add the curves of a layer: functions on the piece of every input by Horner, times coefficients."""',
    "    for v, points, polynomials, rows in zip(h, knots, pieces, coef):",
    "        m = bisect.bisect_right(points, v) if v == v else 0",
    "        if m == len(points) and v == points[-1]:",
    "            m -= 1",
    "        d = v - points[max(m - 1, 0)]",
    "        first = min(max(m - 1, 0), len(points) - 2)",
    "        for f, polynomial in enumerate(polynomials[m]):",
    "            b = 0.0 * d",
    "            for c in reversed(polynomial):",
    "                b = b * d + c",
    "            for i, c in enumerate(rows[first + f]):",
    "                out[i] += b * c",
    "",
    "",
    "def _rational(v, above, below):",
    "    a = q = 0.0",
    "    for c in reversed(above):",
    "        a = a * v + c",
    "    for c in reversed(below):",
    "        q = q * v + c",
    "    return a / (1.0 + abs(q * v))",
    "",
    "",
    "def _silu(v):",
    "    return v / (1.0 + math.exp(-v)) if v > -700 else v * 0.0",
    "",
    "",
]


def write_python(subject: Subject, path: Path) -> None:
    """The file, with one function of its name, from numbers to a tuple of numbers."""
    name = word(path.stem)
    names = [f"x{n}" for n in range(len(subject.input_names))]
    lines = [*head(subject, path, "#"), "import bisect", "import math", "", ""]
    if subject.formula is not None:
        values, helpers = formula_lines(subject.formula, "python", names)
        body = [f"    return ({', '.join(values)},)"]
    else:
        tables, body = _of_network(tables_of(subject.require_model("python"), "python"), names)
        helpers = [*PYTHON_HELPERS, "", *_SPLINES, *tables, "", ""]
    lines += [*helpers, "", f"def {name}({', '.join(names)}):", *body]
    write_whole(path, "\n".join([*lines, ""]))


def _of_network(steps: list[Step], names: list[str]) -> tuple[list[str], list[str]]:
    """The tables, and the statements from the inputs to the outputs in `h`."""
    tables: list[str] = []
    body = [f"    h = [float(v) for v in ({', '.join(names)},)]"]
    for n, step in enumerate(steps):
        if isinstance(step, EdgeTables):
            body += _edges(step, n, tables)
        elif isinstance(step, AffineTables):
            tables += [_tuple(f"_SCALE{n}", step.scale), _tuple(f"_SHIFT{n}", step.shift)]
            body.append(f"    h = [v * s + t for v, s, t in zip(h, _SCALE{n}, _SHIFT{n})]")
        elif isinstance(step, Products):
            body.append(f"    h = {_products(step)}")
        elif isinstance(step, RationalTables):
            tables += [_nested(f"_ABOVE{n}", step.numerator), _tuple(f"_BELOW{n}", step.denominator)]
            body.append(f"    h = [_rational(v, a, _BELOW{n}) for v, a in zip(h, _ABOVE{n})]")
        else:
            body += _softmax(step)
    return tables, [*body, "    return tuple(h)"]


def _edges(step: EdgeTables, n: int, tables: list[str]) -> list[str]:
    if step.basis is not None and step.local is None:
        raise ValueError(
            f"the format 'python' takes B-splines, not {type(step.basis).__name__}; `edgewise.surgery.change_basis` "
            "fits them, the formats 'c' and 'js' take every basis"
        )
    tables.append(_tuple(f"_BIAS{n}", step.bias))
    body = [f"    out = list(_BIAS{n})"]
    if step.local is not None:
        tables += [
            _nested(f"_KNOTS{n}", step.points),
            _nested(f"_PIECES{n}", step.local),
            _nested(f"_COEF{n}", step.coef),
        ]
        body.append(f"    _splines(h, out, _KNOTS{n}, _PIECES{n}, _COEF{n})")
    if step.weights is not None:
        tables.append(_nested(f"_WEIGHT{n}", step.weights))
        value = "_silu(v)" if step.residual == "silu" else "v"
        body += [f"    for v, row in zip(h, _WEIGHT{n}):", f"        r = {value}"]
        body += ["        for i, w in enumerate(row):", "            out[i] += w * r"]
    return [*body, *(line for symbol in step.symbols for line in _symbol(symbol)), "    h = out"]


def _symbol(symbol: Symbol) -> list[str]:
    a, b, c, d = map(number, symbol.affine)
    value = _SYMBOLS[symbol.function]
    return [f"    u = {a} * h[{symbol.source}] + {b}", f"    out[{symbol.target}] += {c} * ({value}) + {d}"]


def _products(step: Products) -> str:
    nodes, start = [f"h[{i}]" for i in range(step.sums)], step.sums
    for arity in step.arities:
        nodes.append(" * ".join(f"h[{start + f}]" for f in range(arity)))
        start += arity
    return f"[{', '.join(nodes)}]"


def _softmax(step: Softmax) -> list[str]:
    scores = ["    h = [0.0 * h[0], h[0]]"] if step.classes == 2 else []
    return [*scores, "    top = max(h)", "    h = [math.exp(v - top) for v in h]", "    h = [v / sum(h) for v in h]"]


def _tuple(name: str, values: Tensor) -> str:
    return f"{name} = (\n{rows(flat_numbers(values, 17), indent='    ')},\n)"


def _nested(name: str, values: Tensor) -> str:
    def text(t: Tensor) -> str:
        parts = flat_numbers(t, 17) if t.ndim == 1 else [text(part) for part in t]
        return f"({', '.join(parts)},)" if parts else "()"

    return f"{name} = (\n" + "\n".join(f"    {text(part)}," for part in values) + "\n)"


def load_python(path: Path, subject: Subject) -> Runner:
    """Run the file in a Python without packages, on rows of numbers as JSON."""
    name = word(path.stem)
    program = (
        "import json, runpy, sys; f = runpy.run_path(sys.argv[1])[sys.argv[2]]; "
        "print(json.dumps([f(*row) for row in json.load(sys.stdin)]))"
    )

    def run(x: Tensor) -> tuple[Tensor, ...]:
        command = [sys.executable, "-I", "-S", "-c", program, str(path), name]
        done = subprocess.run(
            command, input=json.dumps(x.double().tolist()), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(f"Python does not run {path.name}: {done.stderr[-2000:]}")
        return (torch.tensor(json.loads(done.stdout), dtype=torch.float64).reshape(len(x), -1),)

    return run


PYTHON = Format("python", ".py", write_python, load_python, "Python")
