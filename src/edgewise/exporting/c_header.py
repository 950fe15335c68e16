"""Writes a network or a formula as one C99 header without dependencies, and runs it by the compiler of this machine.

No memory is allocated and nothing is written but the outputs. The tables are constants in float; sums are computed in
double, and in float where the user of the header defines `NAME_REAL` so.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from edgewise.exporting.c_graph import graph_program
from edgewise.exporting.c_integer import integer_program
from edgewise.exporting.c_like import Language, statements, width
from edgewise.exporting.c_operations import real_number
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
    elif _has_tables(subject):
        lines += _of_network(subject, name)
    else:
        lines += _of_graph(subject, name)
    write_whole(path, "\n".join([*lines, "", "#endif", ""]))


def _of_network(subject: Subject, name: str) -> list[str]:
    real = f"{name.upper()}_REAL"
    steps = tables_of(subject.require_model("c"), "c")
    body = statements(steps, _language(real))
    tables = [line for key, values in body.tables.items() for line in _table(key, values)]
    return [
        *_real(real),
        _signature(len(subject.input_names), width(steps[-1]), name),
        *tables,
        *(f"  {line}" for line in body.lines),
        "}",
    ]


def _has_tables(subject: Subject) -> bool:
    """Whether the model is layers one after the other; any other one is written from its graph."""
    try:
        tables_of(subject.require_model("c"), "c")
    except TypeError:
        return False
    return True


def _of_graph(subject: Subject, name: str) -> list[str]:
    real = f"{name.upper()}_REAL"
    program, shapes = graph_program(subject, real)
    tables = [line for key, values in program.tables.items() for line in _graph_table(key, values)]
    sizes = f"{prod(subject.example[0].shape[1:])} inputs and {sum(map(prod, shapes))} outputs, row by row"
    return [
        *_real(real),
        f"/* {sizes}; x and y must not overlap. */",
        f"static void {name}(const float *x, float *y)",
        "{",
        *tables,
        *(f"  {line}" for line in program.lines),
        "}",
    ]


def _real(name: str) -> list[str]:
    return [
        "#include <math.h>",
        "#include <stdint.h>",
        "",
        "/* What is computed in: define it as float before the #include where double is slow. */",
        f"#ifndef {name}",
        f"#define {name} double",
        "#endif",
        "",
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


def _graph_table(name: str, values: Tensor) -> list[str]:
    """Numbers, among them the infinite ones of a mask, or places in arrays."""
    whole = not values.is_floating_point()
    digits = [str(v) if whole else real_number(v) for v in (values if whole else values.float()).tolist()]
    kind = "int32_t" if whole else "float"
    return [f"  static const {kind} {name}[{len(digits)}] = {{", rows(digits, indent="    "), "  };"] if digits else []


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
    outputs = [y.shape[1:] for y in subject.reference(*subject.example)]
    sizes = [prod(shape) for shape in outputs]
    run = compiled(path, prod(subject.example[0].shape[1:]), sum(sizes))

    def split(x: Tensor) -> tuple[Tensor, ...]:
        parts = run(x.flatten(1))[0].split(sizes, -1)
        return tuple(y.unflatten(-1, shape) if shape else y[:, 0] for y, shape in zip(parts, outputs, strict=True))

    return split


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
