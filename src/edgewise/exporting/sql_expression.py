"""Writes an additive model or a formula as one SELECT of expressions, and runs it in SQLite.

The columns of the table are the inputs by their names; the table is named as the file. A spline is one CASE over its
intervals with a polynomial in each. Missing values give NULL, and so does what has no meaning for a real number.
"""

from __future__ import annotations

import math
import re
import sqlite3
from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.formula_code import formula_lines
from edgewise.exporting.network_tables import AffineTables, EdgeTables, Softmax, Step, Symbol, tables_of
from edgewise.exporting.source_text import head, number
from edgewise.exporting.subject import Subject
from edgewise.io.whole import write_whole

_SYMBOLS = {
    "0": "(u - u)",
    "x": "u",
    **{f"x^{n}": f"({' * '.join('u' * n)})" for n in (2, 3, 4, 5)},
    "1/x": "(1.0 / u)",
    **{f"1/x^{n}": f"(1.0 / ({' * '.join('u' * n)}))" for n in (2, 3, 4, 5)},
    "x^1.5": "(u * sqrt(u))",
    "1/sqrt": "(1.0 / sqrt(u))",
    "sign": "CASE WHEN u > 0 THEN 1.0 WHEN u < 0 THEN -1.0 ELSE u END",
    "gaussian": "exp(-(u * u))",
    **{f"arc{name}": f"a{name}(u)" for name in ("sin", "cos", "tan", "tanh")},
    "log": "ln(u)",
    **{name: f"{name}(u)" for name in ("abs", "sqrt", "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh")},
}


def write_sql(subject: Subject, path: Path) -> None:
    """The statement: one column per output, from the table of the file's name."""
    inputs = [quoted(name) for name in subject.input_names]
    lower = [name.lower() for name in inputs]
    for name in subject.input_names:
        if lower.count(quoted(name).lower()) > 1:
            raise ValueError(f"two columns are named {name!r}, in SQL without regard to case; give input_names=")
    if subject.formula is not None:
        values, _ = formula_lines(subject.formula, "sql", inputs)
    else:
        values = _of_network(tables_of(subject.require_model("sql"), "sql"), inputs)
    columns = ",\n".join(f"{v} AS {quoted(n)}" for v, n in zip(values, subject.output_names, strict=True))
    write_whole(path, "\n".join([*head(subject, path, "--"), "SELECT", columns, f"FROM {quoted(path.stem)};", ""]))


def quoted(name: str) -> str:
    '''A name as an identifier of standard SQL.

    >>> print(quoted('a "b"'))
    "a ""b"""
    '''
    if "\0" in name or not name or any("\ud800" <= c <= "\udfff" for c in name):
        raise ValueError(f"{name!r} cannot be the name of a column in SQL; give input_names= or output_names=")
    return '"' + name.replace('"', '""') + '"'


def _of_network(steps: list[Step], inputs: list[str]) -> list[str]:
    sums = [step for step in steps if isinstance(step, EdgeTables) and not _one_by_one(step)]
    if any(isinstance(step, Softmax) and step.classes > 2 for step in steps):
        raise ValueError("the format 'sql' takes classifiers of two classes; export the network of the scores alone")
    if len(sums) > 1 or any(not isinstance(step, EdgeTables | AffineTables | Softmax) for step in steps):
        raise ValueError(
            "the format 'sql' takes additive models, which have one layer of edges, and formulas; "
            "`edgewise.symbolify` and `edgewise.formula` turn a deeper network into one"
        )
    values = inputs
    for step in steps:
        if isinstance(step, AffineTables):
            pairs = zip(values, step.scale.tolist(), step.shift.tolist(), strict=True)
            values = [f"({v} * {_signed(s)} + {_signed(t)})" for v, s, t in pairs]
        elif isinstance(step, EdgeTables):
            values = [_sum(step, values, i) for i in range(step.out_features)]
        elif isinstance(step, Softmax):
            values = [f"(1.0 / (1.0 + exp({sign}{values[0]})))" for sign in ("", "-")]
    return values


def _one_by_one(step: EdgeTables) -> bool:
    """Whether every output is one symbol of one input, as behind a link: the text does not grow with the layer."""
    targets = [symbol.target for symbol in step.symbols]
    return step.basis is None and step.weights is None and len(set(targets)) == len(targets)


def _sum(step: EdgeTables, inputs: list[str], i: int) -> str:
    if step.basis is not None and step.local is None:
        raise ValueError(
            f"the format 'sql' takes B-splines, not {type(step.basis).__name__}; `edgewise.surgery.change_basis` "
            "fits them"
        )
    terms = [_signed(float(step.bias[i]))]
    for j, u in enumerate(inputs):
        if step.local is not None and step.coef[j, :, i].any():
            terms.append(_curve(step, j, i, u))
        if step.weights is not None and step.weights[j, i]:
            value = f"{u} / (1.0 + exp(-{u}))" if step.residual == "silu" else u
            terms.append(f"{_signed(float(step.weights[j, i]))} * {value}")
    terms += [_symbol(symbol, inputs) for symbol in step.symbols if symbol.target == i]
    return "(" + "\n  + ".join(terms) + ")"


def _curve(step: EdgeTables, j: int, i: int, u: str) -> str:
    """One CASE: below the grid, on every interval, above it."""
    assert step.local is not None
    points, coef = step.points[j].tolist(), step.coef[j, :, i]
    pieces, functions, _ = step.local.shape[1:]
    first = [min(max(m - 1, 0), len(points) - 2) for m in range(pieces)]
    lines = []
    for m in range(pieces):
        powers = (coef[first[m] : first[m] + functions, None] * step.local[j, m]).sum(0).tolist()
        value = _horner(powers, f"({u} - {_signed(points[max(m - 1, 0)])})")
        if m < pieces - 2:
            lines.append(f"WHEN {u} < {_signed(points[m])} THEN {value}")
        elif m == pieces - 2:
            lines.append(f"WHEN {u} <= {_signed(points[m])} THEN {value}")
        else:
            lines.append(f"WHEN {u} > {_signed(points[-1])} THEN {value}")
    return "CASE " + "\n    ".join(lines) + " END"


def _horner(powers: list[float], d: str) -> str:
    while len(powers) > 1 and powers[-1] == 0:
        powers = powers[:-1]
    text = _signed(powers[-1])
    for c in powers[-2::-1]:
        text = f"({text} * {d} + {_signed(c)})"
    return text


def _symbol(symbol: Symbol, inputs: list[str]) -> str:
    if symbol.function not in _SYMBOLS:
        raise ValueError(f"SQL has no function {symbol.function!r} (edge {symbol.source} -> {symbol.target})")
    a, b, c, d = map(_signed, symbol.affine)
    inner = f"({a} * {inputs[symbol.source]} + {b})"
    value = re.sub(r"\bu\b", lambda _: inner, _SYMBOLS[symbol.function])
    return f"({c} * {value} + {d})"


def _signed(value: float) -> str:
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def load_sql(path: Path, subject: Subject) -> Runner:
    """Run the statement in SQLite on a table of the inputs."""
    statement = path.read_bytes().decode()  # line ends in names stay as they are
    columns, table = ", ".join(f"{quoted(n)} REAL" for n in subject.input_names), quoted(path.stem)
    marks = ", ".join("?" * len(subject.input_names))

    def run(x: Tensor) -> tuple[Tensor, ...]:
        base = sqlite3.connect(":memory:")
        try:
            base.execute(f"CREATE TABLE {table} ({columns})")
            base.executemany(f"INSERT INTO {table} VALUES ({marks})", x.double().tolist())
            found = base.execute(statement).fetchall()
        finally:
            base.close()
        values = [[math.nan if v is None else v for v in row] for row in found]
        return (torch.tensor(values, dtype=torch.float64).reshape(len(x), -1),)

    return run


SQL = Format("sql", ".sql", write_sql, load_sql, "SQLite")
