"""Writes a network or a formula as one ES module without dependencies, and runs it in node where node is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.c_like import Language, statements, width
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.formula_code import formula_lines
from edgewise.exporting.network_tables import tables_of
from edgewise.exporting.source_text import flat_numbers, head, number, rows
from edgewise.exporting.subject import Subject
from edgewise.io.whole import write_whole

_ERF = [
    "// The error function by its series of positive terms; beyond 6 it is one in every digit.",
    "function erf(u) {",
    "  const a = Math.abs(u);",
    "  if (a > 6) return Math.sign(u);",
    "  let term = a, sum = a;",
    "  for (let n = 1; term > sum * 1e-17; n++) { term *= (2 * a * a) / (2 * n + 1); sum += term; }",
    "  return ((Math.sign(u) * 2) / Math.sqrt(Math.PI)) * Math.exp(-a * a) * sum;",
    "}",
    "",
]


def write_js(subject: Subject, path: Path) -> None:
    """The module, which exports `predict(x)` from an array of inputs to an array of outputs, and their names."""
    lines = head(subject, path, "//")
    lines += [f"export const inputs = {_texts(subject.input_names)};"]
    lines += [f"export const outputs = {_texts(subject.output_names)};", ""]
    if subject.formula is not None:
        inputs = [f"x[{n}]" for n in range(len(subject.formula.inputs))]
        values, _ = formula_lines(subject.formula, "js", inputs)
        lines += ["export function predict(x) {", "  return [", *(f"    {value}," for value in values), "  ];", "}"]
    else:
        lines += _of_network(subject)
    write_whole(path, "\n".join([*lines, ""]))


def _texts(names: tuple[str, ...]) -> str:
    """JSON is JavaScript, once the two line ends are escaped that JSON allows; `json.dumps` escapes them."""
    return json.dumps(list(names))


def _of_network(subject: Subject) -> list[str]:
    steps = tables_of(subject.require_model("js"), "js")
    body = statements(steps, _JS)
    lines = [line for key, values in body.tables.items() for line in _table(key, values)]
    used = any("erf(" in line for line in body.lines)
    y = _JS.array("y", width(steps[-1]))
    return [
        *lines,
        "",
        *(_ERF if used else []),
        "export function predict(x) {",
        *(f"  {line}" for line in [y, *body.lines]),
        "  return Array.from(y);",
        "}",
    ]


def _table(name: str, values: Tensor) -> list[str]:
    return [f"const {name} = new Float64Array([", rows(flat_numbers(values, 17)), "]);"]


_JS = Language(
    real="let",
    whole="let",
    array=lambda name, size: f"const {name} = new Float64Array({size});",
    number=number,
    call=lambda name: {"erf": "erf", "fabs": "Math.abs"}.get(name, f"Math.{name}"),
)


def load_js(path: Path, subject: Subject) -> Runner:
    """Run the module in node on rows of numbers, as JSON; what is not finite travels as text."""
    node = shutil.which("node")
    assert node is not None

    def run(x: Tensor) -> tuple[Tensor, ...]:
        given = [[v if abs(v) < float("inf") else str(v) for v in row] for row in x.double().tolist()]
        program = (
            "import { readFileSync } from 'node:fs';"
            f"const text = readFileSync({json.dumps(str(path.absolute()))}).toString('base64');"
            "const m = await import(`data:text/javascript;base64,${text}`);"
            "const x = JSON.parse(readFileSync(0)).map(r => r.map(v => v === 'nan' ? NaN : v === 'inf' ? Infinity :"
            " v === '-inf' ? -Infinity : v));"
            "console.log(JSON.stringify(x.map(r => m.predict(r).map(v => Number.isFinite(v) ? v : String(v)))));"
        )
        done = subprocess.run(
            [node, "--input-type=module", "-e", program],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(f"node does not run {path.name}: {done.stderr[:2000]}")
        values = [[float(v) for v in row] for row in json.loads(done.stdout)]
        return (torch.tensor(values, dtype=torch.float64),)

    return run


JS = Format("js", ".mjs", write_js, load_js if shutil.which("node") else None, "node")
