"""An additive model as the text of a program: one SELECT of SQL, or a Python file that needs nothing but Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgewise.exporting.additive_pieces import Piece, pieces_of
from edgewise.exporting.source_text import number, remark, word
from edgewise.exporting.sql_expression import quoted
from edgewise.tables.additive import AdditiveModel, CircleAxis, Term

PYTHON_HEAD = [
    "import math",
    "",
    "",
    "def _missing(v):",
    "    return v is None or v != v",
    "",
    "",
]


def inputs_of(model: AdditiveModel) -> list[str]:
    """The names of the arguments of the terms, once each; a part of a date is an argument of its own."""
    return list(dict.fromkeys(part.name for term in model.terms for part in term.inputs))


def sql_text(model: AdditiveModel, names: Sequence[str], table: str) -> str:
    """The statement: one column per output, from a table with the arguments as columns; NULL is a missing cell."""
    links = []
    for output, b in enumerate(model.intercept):
        parts = [_signed(b), *(_sql_term(term, output) for term in model.terms)]
        links.append(" +\n  ".join(parts))
    inner = ",\n  ".join(f"{text} AS eta{i}" for i, text in enumerate(links))
    outer = ",\n".join(f"{v} AS {quoted(n)}" for v, n in zip(_means(model, "sql", len(names)), names, strict=True))
    return f"{_remarks(model, '--')}SELECT\n{outer}\nFROM (SELECT\n  {inner}\n  FROM {quoted(table)}) AS links;\n"


def python_text(model: AdditiveModel, names: Sequence[str], function: str) -> str:
    """The file: a function from the arguments, in order, to a tuple of outputs; None and NaN are missing cells."""
    inputs = inputs_of(model)
    arguments = {name: f"x{k}" for k, name in enumerate(inputs)}
    lines, calls = [*PYTHON_HEAD], []
    for output in range(len(model.intercept)):
        sums = [number(float(model.intercept[output]))]
        for t, term in enumerate(model.terms):
            lines += [f"def _term{t}_{output}(x, y=None):", *_python_term(term, output), "", ""]
            sums.append(f"_term{t}_{output}({', '.join(arguments[part.name] for part in term.inputs)})")
        calls.append(f"    eta{output} = " + " + ".join(sums))
    lines += [f"def {word(function)}({', '.join(arguments.values())}):", *calls]
    lines.append(f"    return ({', '.join(_means(model, 'python', len(names)))},)")
    return _remarks(model, "#") + f"# outputs: {', '.join(map(remark, names))}\n" + "\n".join([*lines, ""])


def _remarks(model: AdditiveModel, mark: str) -> str:
    names = ", ".join(map(remark, inputs_of(model)))
    return f"{mark} additive model, family {model.family.name}\n{mark} inputs: {names}\n"


def _means(model: AdditiveModel, language: str, classes: int) -> list[str]:
    """The expected outcome from the link scales eta0, eta1, ...; of two classes the probability of either."""
    etas = [f"eta{i}" for i in range(len(model.intercept))]
    name = model.family.name
    exp = "exp({})" if language == "sql" else "math.exp(min({}, 709.0))"
    if name == "multinomial":
        return [f"1.0 / ({' + '.join(exp.format(f'{other} - {eta}') for other in etas)})" for eta in etas]
    if name == "binomial":
        ends = [f"1.0 / (1.0 + {exp.format(f'{sign}{etas[0]}')})" for sign in ("", "-")]
        return ends if classes == 2 else ends[1:]
    if model.family.log_link or name == "cox":
        return [exp.format(eta) for eta in etas]
    return etas


def _argument(axis: object, x: str, language: str) -> str:
    """The argument of the pieces: of a circle the share of the period that has passed."""
    if not isinstance(axis, CircleAxis):
        return x
    share = f"(({x} - {_signed(axis.low)}) / {number(axis.period)})"
    return f"({share} - floor({share}))" if language == "sql" else f"({share} - math.floor({share}))"


def _sql_term(term: Term, output: int) -> str:
    columns = [quoted(part.name) for part in term.inputs]
    x = [_argument(axis, column, "sql") for axis, column in zip(term.axes, columns, strict=True)]
    first, c = pieces_of(term.axes[0]), term.coef[output]
    cases = []
    for piece in first:
        if len(term.axes) == 1:
            value = _horner([_signed(v) for v in piece.powers @ c], _sql_local(piece, x[0]))
        else:
            value = _sql_row(piece, c, pieces_of(term.axes[1]), x, columns[1])
        cases.append(f"WHEN {_sql_condition(piece, x[0], columns[0])} THEN {value}")
    return "CASE " + "\n    ".join(cases) + " ELSE 0.0 END" if cases else "0.0"


def _sql_row(piece: Piece, c: np.ndarray, others: list[Piece], x: list[str], column: str) -> str:
    cases = []
    for other in others:
        rows = [
            _horner([_signed(v) for v in row], _sql_local(other, x[1])) for row in piece.powers @ c @ other.powers.T
        ]
        cases.append(f"WHEN {_sql_condition(other, x[1], column)} THEN {_horner(rows, _sql_local(piece, x[0]))}")
    return "CASE " + "\n      ".join(cases) + " ELSE 0.0 END"


def _sql_condition(piece: Piece, x: str, column: str) -> str:
    if piece.kind == "missing":
        return f"{column} IS NULL"
    if piece.kind == "level":
        text = str(piece.at)
        if "\0" in text:
            raise ValueError(f"the level {text!r} cannot be written in SQL; rename it in the table")
        return f"{column} = '" + text.replace("'", "''") + "'"
    return _order(piece, x, "AND")


def _order(piece: Piece, x: str, both: str) -> str:
    if piece.kind in ("below", "above"):
        return f"{x} {'<' if piece.kind == 'below' else '>'} {_signed(float(piece.at))}"
    return f"{x} {'<=' if piece.last else '<'} {_signed(piece.end)} {both} {x} >= {_signed(piece.start)}"


def _sql_local(piece: Piece, x: str) -> str:
    return "" if piece.kind in ("level", "missing") else f"({x} - {_signed(float(piece.at))})"


def _python_term(term: Term, output: int) -> list[str]:
    """The statements of a function of x, or of x and y."""
    c, lines = term.coef[output], []
    first, *rest = (pieces_of(axis) for axis in term.axes)
    for axis, name in zip(term.axes, "xy", strict=False):
        if isinstance(axis, CircleAxis):
            lines += [f"    if not _missing({name}):", f"        {name} = {_argument(axis, name, 'python')}"]
    for piece in first:
        lines += [f"    if {_python_condition(piece, 'x')}:", *_python_local(piece, "d", "x", 8)]
        if not rest:
            lines.append(f"        return {_horner([_signed(v) for v in piece.powers @ c], 'd')}")
            continue
        for other in rest[0]:
            rows = [_horner([_signed(v) for v in row], "e") for row in piece.powers @ c @ other.powers.T]
            lines += [f"        if {_python_condition(other, 'y')}:", *_python_local(other, "e", "y", 12)]
            lines.append(f"            return {_horner(rows, 'd')}")
    return [*lines, "    return 0.0"]


def _python_condition(piece: Piece, x: str) -> str:
    if piece.kind == "missing":
        return f"_missing({x})"
    if piece.kind == "level":
        return f"{x} == {str(piece.at)!a}"
    return f"not _missing({x}) and {_order(piece, x, 'and')}"


def _python_local(piece: Piece, name: str, x: str, indent: int) -> list[str]:
    return [] if piece.kind in ("level", "missing") else [f"{' ' * indent}{name} = {x} - {_signed(float(piece.at))}"]


def _horner(powers: Sequence[str], d: str) -> str:
    text = powers[-1]
    for c in powers[-2::-1]:
        text = f"({text} * {d} + {c})"
    return text


def _signed(value: float) -> str:
    text = number(float(value))
    return f"({text})" if text.startswith("-") else text
