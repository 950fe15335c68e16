"""Writes a network of integers as C: the same bits as `IntegerKAN`, from tables of one or two bytes per entry.

The nodes between layers pass through `volatile` variables, so that no compiler joins a product and a difference into
one operation with another rounding.
"""

from __future__ import annotations

from torch import Tensor

from edgewise.exporting.source_text import number, rows
from edgewise.nn import Affine, IntegerEdges, IntegerKAN, ProductNodes
from edgewise.nn.integer import ACCUMULATOR, FAR, FRACTION_BITS, GAIN_BITS, SLOPE_BITS

_TYPES = {1: "int8_t", 2: "int16_t", 4: "int32_t", 8: "int32_t"}


def integer_program(model: IntegerKAN, name: str) -> list[str]:
    """The lines of the header between its guards."""
    lines = ["#include <stdint.h>", "", "#if (-1 >> 1) != -1", "#error shifts of negative numbers must keep the sign"]
    lines += ["#endif", "", f"/* {model.nbytes} bytes of tables; a row with an input that is not finite gives NaN. */"]
    lines += [f"static void {name}(const float *x, float *y)", "{"]
    body: list[str] = []
    at, steps = "x", [*model.layers, *([] if model.output_affine is None else [model.output_affine])]
    for n, step in enumerate(steps):
        to = "y" if n == len(steps) - 1 else f"h{n}"
        if to != "y":
            body.append(f"  volatile float {to}[{_width(step)}];")
        if isinstance(step, IntegerEdges):
            lines += _tables(step, n)
            body += _edges(step, n, at, to)
        elif isinstance(step, ProductNodes):
            body += _products(step, at, to)
        elif isinstance(step, Affine):
            body += _affine(step, at, to)
        at = to
    return [*lines, *body, *_finite(model), "}"]


def _width(step: object) -> int:
    return len(step.scale) if isinstance(step, Affine) else step.out_features  # type: ignore[attr-defined]


def _array(kind: str, name: str, values: list[str]) -> list[str]:
    return [f"  static const {kind} {name}[{len(values)}] = {{", rows(values, indent="    "), "  };"]


def _integers(name: str, values: Tensor, kind: str = "") -> list[str]:
    chosen = kind or _TYPES[values.element_size()]
    return _array(chosen, name, [str(v) for v in values.flatten().tolist()])


def _floats(name: str, values: Tensor) -> list[str]:
    return _array("float", name, [f"{number(v, 9)}f" for v in values.tolist()])


def _tables(step: IntegerEdges, n: int) -> list[str]:
    lines = _floats(f"low{n}", step.low) + _floats(f"inverse{n}", step.inverse)
    lines += _integers(f"table{n}", step.tables) + _integers(f"slope{n}", step.slopes)
    lines += _integers(f"gain{n}", step.gain) + _integers(f"bias{n}", step.bias) + _floats(f"unit{n}", step.unit)
    if _shared(step):
        lines += _integers(f"shape{n}", step.table, _unsigned(len(step.tables) - 1))
    if not _dense(step):
        counts = step.sources.bincount(minlength=step.in_features)
        most = _unsigned(step.out_features)
        lines += _integers(f"target{n}", step.targets, most) + _integers(f"count{n}", counts, most)
    return lines


def _unsigned(most: int) -> str:
    return "uint8_t" if most < 1 << 8 else "uint16_t" if most < 1 << 16 else "uint32_t"


def _shared(step: IntegerEdges) -> bool:
    return len(step.tables) != len(step.gain)


def _dense(step: IntegerEdges) -> bool:
    return len(step.gain) == step.in_features * step.out_features


def _edges(step: IntegerEdges, n: int, at: str, to: str) -> list[str]:
    ins, outs, points = step.in_features, step.out_features, step.segments + 1
    span = step.segments << FRACTION_BITS
    low, high = f"{-FAR * span}.0f", f"{(FAR + 1) * span}.0f"
    edges = (
        f"for (int32_t i = 0; i < {outs}; i++, e++)" if _dense(step) else f"for (int32_t c = count{n}[j]; c; c--, e++)"
    )
    target = "i" if _dense(step) else f"target{n}[e]"
    shape = f"shape{n}[e]" if _shared(step) else "e"
    kind = _TYPES[step.tables.element_size()]
    return [
        "  {",
        f"    int64_t sum[{outs}] = {{0}};",
        "    int32_t e = 0;",
        f"    for (int32_t j = 0; j < {ins}; j++) {{",
        f"      float v = ({at}[j] - low{n}[j]) * inverse{n}[j];",
        f"      v = v >= {low} ? (v <= {high} ? v : {high}) : {low};",
        "      int32_t p = (int32_t)v;",
        f"      int32_t u = p < 0 ? 0 : (p > {span} ? {span} : p);",
        f"      int32_t m = u >> {FRACTION_BITS};",
        f"      if (m == {step.segments}) m--;",
        f"      int32_t f = u - (m << {FRACTION_BITS});",
        f"      {edges} {{",
        f"        const {kind} *t = table{n} + {shape} * {points} + m;",
        f"        int64_t a = t[0] * {1 << FRACTION_BITS} + (t[1] - t[0]) * f;",
        f"        if (p != u) a += ((int64_t)slope{n}[2 * e + (p > u)] * (p - u)) >> {SLOPE_BITS};",
        f"        sum[{target}] += (a * gain{n}[e]) >> {GAIN_BITS};",
        "      }",
        "    }",
        f"    for (int32_t i = 0; i < {outs}; i++) {{",
        f"      int64_t s = sum[i] + bias{n}[i];",
        f"      s = s > {ACCUMULATOR} ? {ACCUMULATOR} : (s < -{ACCUMULATOR} ? -{ACCUMULATOR} : s);",
        f"      {to}[i] = (float)(int32_t)s * unit{n}[i];",
        "    }",
        "  }",
    ]


def _products(step: ProductNodes, at: str, to: str) -> list[str]:
    lines = [f"  for (int32_t i = 0; i < {step.sums}; i++) {to}[i] = {at}[i];"] if step.sums else []
    start = step.sums
    for m, arity in enumerate(step.arities):
        factors = " * ".join(f"{at}[{start + f}]" for f in range(arity))
        lines.append(f"  {to}[{step.sums + m}] = {factors};")
        start += arity
    return lines


def _affine(step: Affine, at: str, to: str) -> list[str]:
    lines = []
    for i, (scale, shift) in enumerate(zip(step.scale.tolist(), step.shift.tolist(), strict=True)):
        lines += [f"  {{ volatile float p = {at}[{i}] * {number(scale, 9)}f; {to}[{i}] = p + {number(shift, 9)}f; }}"]
    return lines


def _finite(model: IntegerKAN) -> list[str]:
    return [
        f"  for (int32_t j = 0; j < {model.in_features}; j++)",
        "    if (!(x[j] - x[j] == 0.0f))",
        f"      for (int32_t i = 0; i < {model.out_features}; i++) y[i] = x[j] - x[j];",
    ]
