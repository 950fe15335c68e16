"""Operations of torch as loops of C over arrays whose sizes are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from edgewise.exporting.index_maps import Located, index_expression, whole

_COMPARISONS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "eq": "==", "ne": "!="}
_FUNCTIONS = "exp log sqrt sin cos tan asin acos atan sinh cosh tanh erf floor ceil expm1 log1p"

ELEMENTWISE = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "rsub": "{1} - {0}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "relu": "{0} < 0 ? 0 : {0}",
    "clamp": "{0} < {1} ? {1} : ({0} > {2} ? {2} : {0})",
    "clamp_min": "{0} < {1} ? {1} : {0}",
    "clamp_max": "{0} > {1} ? {1} : {0}",
    "maximum": "{1} != {1} || {0} < {1} ? {1} : {0}",
    "minimum": "{1} != {1} || {0} > {1} ? {1} : {0}",
    "where": "{0} != 0 ? {1} : {2}",
    "sigmoid": "1 / (1 + exp(-{0}))",
    "silu": "{0} / (1 + exp(-{0}))",
    "gelu": "0.5 * {0} * (1 + erf({0} * 0.70710678118654752440))",
    "reciprocal": "1 / {0}",
    "rsqrt": "1 / sqrt({0})",
    "square": "{0} * {0}",
    "pow": "pow({0}, {1})",
    "abs": "fabs({0})",
    "sign": "{0} > 0 ? 1 : ({0} < 0 ? -1 : {0})",
    "logical_not": "{0} == 0",
    "logical_and": "{0} != 0 && {1} != 0",
    "logical_or": "{0} != 0 || {1} != 0",
    "bitwise_and": "{0} != 0 && {1} != 0",
    "bitwise_not": "{0} == 0",
    "trunc": "{0} < 0 ? ceil({0}) : floor({0})",
    **{name: f"{{0}} {sign} {{1}}" for name, sign in _COMPARISONS.items()},
    **{name: f"{name}({{0}})" for name in _FUNCTIONS.split()},
}
"""Expressions of C by the name of the operation: the operands are numbers without side effects."""


class LoopProgram:
    """Statements of C, the arrays and tables that they use."""

    def __init__(self, real: str) -> None:
        self.real = real
        self.lines: list[str] = []
        self.tables: dict[str, Tensor] = {}
        self._names: dict[tuple[int, ...], str] = {}
        self._count = 0

    def array(self, shape: Sequence[int]) -> Located:
        """A new array of real numbers."""
        name = f"h{self._count}"
        self._count += 1
        self.lines.append(f"{self.real} {name}[{max(1, prod(shape))}];")
        return whole(name, tuple(shape))

    def constant(self, values: Tensor) -> Located:
        """A table of numbers."""
        name = f"t{len(self.tables)}"
        self.tables[name] = values.detach().double().flatten()
        return whole(name, tuple(values.shape))

    def read(self, value: Located | float, shape: tuple[int, ...], variable: str = "o") -> str:
        """The number of an operand at a place of a result of this shape."""
        if not isinstance(value, Located):
            return real_number(value)
        return self.at(value.array, value.expanded(shape), variable)

    def at(self, array: str, index: Tensor, variable: str) -> str:
        """An element of an array, by an expression or a table of indices."""
        found = index_expression(index, variable)
        if found is None:
            key = tuple(index.flatten().tolist())
            if key not in self._names:
                self._names[key] = f"place{len(self._names)}"
                self.tables[self._names[key]] = index.flatten()
            found = f"{self._names[key]}[{variable}]"
        return f"{array}[{found}]"

    def loop(self, variable: str, count: int, body: str) -> None:
        """One loop with one statement or block."""
        self.lines.append(f"for (int32_t {variable} = 0; {variable} < {count}; {variable}++) {body}")


def elementwise(program: LoopProgram, name: str, operands: Sequence[Any]) -> Located:
    """One number from the numbers at the same place."""
    shapes = [value.shape if isinstance(value, Located) else () for value in operands]
    shape = tuple(torch.broadcast_shapes(*shapes))
    out = program.array(shape)
    parts = [f"v{n}" for n in range(len(operands))]
    reads = " ".join(f"{program.real} v{n} = {program.read(value, shape)};" for n, value in enumerate(operands))
    program.loop("o", prod(shape), f"{{ {reads} {out.array}[o] = {ELEMENTWISE[name].format(*parts)}; }}")
    return out


def copied(program: LoopProgram, value: Located, out: Located) -> None:
    """Write a tensor into places of an array."""
    read = program.at(value.array, value.index, "o")
    program.loop("o", value.index.numel(), f"{program.at(out.array, out.index, 'o')} = {read};")


def concatenated(program: LoopProgram, parts: Sequence[Located], dim: int) -> Located:
    """Tensors one behind the other."""
    parts = [part for part in parts if part.index.numel()]
    shape = list(parts[0].shape)
    shape[dim] = sum(part.shape[dim] for part in parts)
    out, start = program.array(shape), 0
    for part in parts:
        copied(program, part, Located(out.array, out.index.narrow(dim, start, part.shape[dim])))
        start += part.shape[dim]
    return out


def padded(program: LoopProgram, value: Located, widths: Sequence[int], fill: float = 0.0) -> Located:
    """A tensor with a margin, given as torch does: from the last dimension on, before and behind."""
    marked = torch.nn.functional.pad(value.index + 1, list(widths)) - 1
    out = program.array(marked.shape)
    program.loop("o", marked.numel(), f"{out.array}[o] = {real_number(fill)};")
    inner = out.index[marked >= 0].reshape(value.shape)
    copied(program, value, Located(out.array, inner))
    return out


def product(program: LoopProgram, a: Located, b: Located, bias: Located | None = None) -> Located:
    """Matrix products, (*b, n, k) and (*b, k, m); the bias is added."""
    inner, columns = a.shape[-1], b.shape[-1]
    out = program.array((*a.shape[:-1], columns))
    size = (*out.shape, inner)
    left = program.at(a.array, a.index.unsqueeze(-2).expand(size), f"(o * {inner} + k)")
    right = program.at(b.array, b.index.mT.unsqueeze(-3).expand(size), f"(o * {inner} + k)")
    first = "0" if bias is None else program.read(bias, out.shape)
    steps = f"for (int32_t k = 0; k < {inner}; k++) s += {left} * {right};"
    body = f"{{ {program.real} s = {first}; {steps} {out.array}[o] = s; }}"
    program.loop("o", out.index.numel(), body)
    return out


def convolution(
    program: LoopProgram, x: Located, weight: Located, bias: Located | None, settings: Sequence[Any]
) -> Located:
    """A convolution as a product with the patches, which are found by their indices. Not a transposed one."""
    stride, padding, dilation, groups = (*settings[:3], settings[-1])
    dims = len(stride)
    if any(padding):
        x = padded(program, x, [p for p in reversed(padding) for _ in range(2)])
    batch, channels = x.shape[:2]
    kernel = weight.shape[2:]
    sizes = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    patches = x.index.reshape(batch, groups, channels // groups, *x.shape[2:])
    for n in range(dims):  # every axis becomes (kernel, places)
        axis = 3 + 2 * n
        taps = torch.arange(kernel[n])[:, None] * dilation[n] + torch.arange(sizes[n]) * stride[n]
        patches = patches.index_select(axis, taps.flatten()).unflatten(axis, taps.shape)
    # (batch, groups, channels, k1, p1, k2, p2, ...) to (batch, groups, places, channels and taps)
    order = [0, 1, *(4 + 2 * n for n in range(dims)), 2, *(3 + 2 * n for n in range(dims))]
    columns = patches.permute(order).reshape(batch, groups, prod(sizes), -1)
    rows = weight.index.reshape(groups, -1, columns.shape[-1]).mT.expand(batch, -1, -1, -1)
    y = product(program, Located(x.array, columns), Located(weight.array, rows))
    y = Located(y.array, y.index.mT.reshape(batch, -1, *sizes))
    if bias is None:
        return y
    return elementwise(program, "add", [y, Located(bias.array, bias.index.reshape(-1, *[1] * dims))])


def reduced(program: LoopProgram, name: str, value: Located, dims: Sequence[int], keep: bool) -> Located:
    """Sums, means and largest numbers over dimensions."""
    dims = sorted(d % value.index.ndim for d in dims) if dims else list(range(value.index.ndim))
    kept = [d for d in range(value.index.ndim) if d not in dims]
    index = value.index.permute(*kept, *dims)
    shape = [value.shape[d] for d in kept]
    count = prod(value.shape[d] for d in dims)
    out = program.array(shape)
    read = program.at(value.array, index.reshape(*shape, count), f"(o * {count} + k)")
    start, step = {
        "sum": ("0", "s += v"),
        "mean": ("0", f"s += v / {count}"),
        "amax": ("-INFINITY", "s = s > v ? s : v"),
        "any": ("0", "s = s != 0 || v != 0"),
    }[name]
    steps = f"for (int32_t k = 0; k < {count}; k++) {{ {program.real} v = {read}; {step}; }}"
    body = f"{{ {program.real} s = {start}; {steps} {out.array}[o] = s; }}"
    program.loop("o", prod(shape), body)
    final = [1 if d in dims else n for d, n in enumerate(value.shape)] if keep else shape
    return Located(out.array, out.index.reshape(final))


def real_number(value: float) -> str:
    """A constant of C."""
    value = float(value)
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    text = f"{value:.9g}" if float(f"{value:.9g}") == value else repr(value)
    text = text if any(sign in text for sign in ".e") else f"{text}.0"
    return f"({text})" if value < 0 else text
