"""Writes a network or a formula as one C99 header without dependencies, and runs it by the compiler of this machine.

No memory is allocated and nothing is written but the outputs. The tables are constants in float; sums are computed in
double, and in float where the user of the header defines `NAME_REAL` so.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.c_integer import integer_program
from edgewise.exporting.c_like import Language, statements, width
from edgewise.exporting.file_format import Format, Runner
from edgewise.exporting.formula_code import formula_lines
from edgewise.exporting.network_tables import tables_of
from edgewise.exporting.source_text import flat_numbers, head, number, rows, word
from edgewise.exporting.subject import Subject
from edgewise.io.whole import write_whole
from edgewise.nn import IntegerKAN

_FLOAT_DIGITS = 9


def write_c(subject: Subject, path: Path) -> None:
    """The header, with one function of the name of the file: `void NAME(const float *x, float *y)`."""
    name = word(path.stem)
    lines = ["/*", *head(subject, path, " *"), " */", f"#ifndef {name}_H", f"#define {name}_H", ""]
    if isinstance(subject.model, IntegerKAN):
        lines += integer_program(subject.model, name)
    elif subject.formula is not None:
        lines += _of_formula(subject, name)
    else:
        lines += _of_network(subject, name)
    write_whole(path, "\n".join([*lines, "", "#endif", ""]))


def _of_network(subject: Subject, name: str) -> list[str]:
    real = f"{name.upper()}_REAL"
    steps = tables_of(subject.require_model("c"), "c")
    body = statements(steps, _language(real))
    tables = [line for key, values in body.tables.items() for line in _table(key, values)]
    return [
        "#include <math.h>",
        "#include <stdint.h>",
        "",
        "/* What is computed in: define it as float before the #include where double is slow. */",
        f"#ifndef {real}",
        f"#define {real} double",
        "#endif",
        "",
        _signature(len(subject.input_names), width(steps[-1]), name),
        *tables,
        *(f"  {line}" for line in body.lines),
        "}",
    ]


def _of_formula(subject: Subject, name: str) -> list[str]:
    assert subject.formula is not None
    inputs = [f"(double)x[{n}]" for n in range(len(subject.formula.inputs))]
    values, helpers = formula_lines(subject.formula, "c", inputs, f"{name}_")
    outputs = [f"  y[{n}] = (float)({value});" for n, value in enumerate(values)]
    return ["#include <math.h>", "", *helpers, _signature(len(inputs), len(values), name), *outputs, "}"]


def _signature(inputs: int, outputs: int, name: str) -> str:
    sizes = f"{inputs} inputs and {outputs} outputs"
    return f"/* {sizes}; x and y must not overlap. */\nstatic void {name}(const float *x, float *y)\n{{"


def _table(name: str, values: Tensor) -> list[str]:
    rounded = values.float()
    if not torch.isfinite(rounded).all():
        raise ValueError(f"{name} has a number that is none in float32")
    if rounded.numel() == 0:
        return []
    if name.startswith(("scale", "shift")):  # of units, such as years, which lose digits in float
        kind, digits = "double", flat_numbers(values, 17)
    else:
        kind, digits = "float", [f"{text}f" for text in flat_numbers(rounded, _FLOAT_DIGITS)]
    return [f"  static const {kind} {name}[{len(digits)}] = {{", rows(digits, indent="    "), "  };"]


def _language(real: str) -> Language:
    return Language(
        real=real,
        whole="int32_t",
        array=lambda name, size: f"{real} {name}[{size}];",
        number=number,
        call=str,
        units=lambda text: f"({real})({text})",
        output=lambda text: f"(float){text}",
    )


def load_c(path: Path, subject: Subject) -> Runner:
    """Compile the header and return its function on rows of float32."""
    (y,) = subject.reference(*subject.example)
    return compiled(path, subject.example[0].shape[-1], y.shape[-1])


def compiled(path: Path, inputs: int, outputs: int, *flags: str) -> Runner:
    """The function of a header on rows, compiled with these flags beside -O2."""
    name = word(path.stem)
    loop = f"for (; kan_rows_; kan_rows_--, kan_x_ += {inputs}, kan_y_ += {outputs}) {name}(kan_x_, kan_y_);"
    program = f"void kan_run_(long kan_rows_, const float *kan_x_, float *kan_y_) {{ {loop} }}\n"
    compiler = _compiler()
    assert compiler is not None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "program.so"
        command = [compiler, "-std=c99", "-O2", *flags, "-fPIC", "-shared", "-include", str(path.absolute()), "-x", "c"]
        done = subprocess.run(
            [*command, "-", "-o", library, "-lm"], input=program, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(f"{compiler} does not compile {path.name}: {done.stderr[:2000]}")
        run_rows = ctypes.CDLL(str(library)).kan_run_
    run_rows.argtypes = [ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    run_rows.restype = None

    def run(x: Tensor) -> tuple[Tensor, ...]:
        x = x.float().contiguous()
        y = torch.empty(len(x), outputs)
        run_rows(len(x), x.data_ptr(), y.data_ptr())
        return (y,)

    return run


def _compiler() -> str | None:
    return next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)


C = Format("c", ".h", write_c, load_c if _compiler() else None, Path(_compiler() or "").name)
