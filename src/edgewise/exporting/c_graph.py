"""A C program from the graph of a model: convolutions, attention, recurrent cells and modules of torch, one row a call.

Sizes are known, so every operation is a loop over arrays on the stack; what does not depend on the input is computed
beforehand, and movements of data become indices (`index_maps`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.fx.node import map_arg

from edgewise.exporting import c_operations as c
from edgewise.exporting.c_operations import LoopProgram
from edgewise.exporting.exported_graph import exported_graph, quietly
from edgewise.exporting.index_maps import Located, whole
from edgewise.exporting.subject import Subject

MOVES = [
    "view",
    "reshape",
    "_unsafe_view",
    "permute",
    "transpose",
    "t",
    "unsqueeze",
    "squeeze",
    "expand",
    "slice",
    "select",
    "split_with_sizes",
    "split",
    "unbind",
    "clone",
    "alias",
    "detach",
    "lift_fresh_copy",
    "flip",
]
"""Operations that only move numbers: torch carries them out on the indices."""


def graph_program(subject: Subject, real: str) -> tuple[LoopProgram, list[tuple[int, ...]]]:
    """The program for one row, from `x` to `y`, and the shapes of the outputs, which lie behind one another in `y`.

    Raises `ValueError` for an operation that has no program.
    """
    if len(subject.example) != 1:
        raise ValueError("the format 'c' takes models of one input; this one has several")
    x = subject.example[0]
    one = dataclasses.replace(subject, example=(x[:1],), any_batch=False)
    with quietly():
        exported = exported_graph(one, "c").run_decompositions()
    program = LoopProgram(real)
    found: dict[fx.Node, Any] = {}
    outputs: list[Located] = []
    state = {**exported.state_dict, **exported.constants}
    names = {spec.arg.name: spec.target for spec in exported.graph_signature.input_specs if spec.target is not None}
    for node in exported.graph.nodes:
        if node.op == "placeholder":
            known = state[names[node.name]] if node.name in names else None
            found[node] = whole("x", (1, *x.shape[1:])) if known is None else known
        elif node.op == "call_function":
            found[node] = _computed(program, node, found)
        elif node.op == "output":
            outputs = [_placed(program, found[value]) for value in cast(Any, node.args)[0]]
    start = 0
    for value in outputs:
        index = torch.arange(value.index.numel()) + start
        program.loop(
            "o",
            len(index),
            f"{program.at('y', index, 'o')} = (float){program.at(value.array, value.index.flatten(), 'o')};",
        )
        start += len(index)
    return program, [value.shape[1:] for value in outputs]


def _computed(program: LoopProgram, node: fx.Node, found: dict[fx.Node, Any]) -> Any:
    """The value of a node: of constants beforehand, else a tensor that the program has computed."""
    operation = cast(Callable[..., Any], node.target)
    args: Any = map_arg(node.args, lambda n: found[n])
    kwargs: Any = map_arg(node.kwargs, lambda n: found[n])
    if not _any_located((args, kwargs)):
        return operation(*args, **kwargs)
    name = getattr(operation, "__name__", str(operation)).split(".")[0]
    if name == "_assert_tensor_metadata":
        return None
    if name == "getitem":
        return args[0][args[1]]
    if name in MOVES:
        return _moved(name, operation, args, kwargs)
    shape = node.meta["val"].shape if isinstance(node.meta.get("val"), Tensor) else ()
    if name in c.ELEMENTWISE:
        return _elementwise(program, name, args, kwargs)
    if name not in _OTHERS:
        raise ValueError(
            f"the format 'c' has no program for the operation {name} of torch; export this model to 'onnx'"
        )
    return _OTHERS[name](program, [_as_operand(program, a) for a in args], kwargs, tuple(shape))


def _any_located(value: Any) -> bool:
    if isinstance(value, Located):
        return True
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    return any(map(_any_located, parts))


def _placed(program: LoopProgram, value: Any) -> Located:
    return value if isinstance(value, Located) else program.constant(torch.as_tensor(value))


def _as_operand(program: LoopProgram, value: Any) -> Any:
    """A constant tensor as a table; other arguments as they are."""
    if isinstance(value, Tensor):
        return program.constant(value)
    return [_as_operand(program, part) for part in value] if isinstance(value, tuple | list) else value


def _moved(name: str, operation: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    source = args[0]
    if name in ("view", "_unsafe_view"):  # of indices whose own layout may be another one
        return Located(source.array, source.index.reshape(args[1]))
    moved = operation(source.index, *args[1:], **{k: v for k, v in kwargs.items() if k != "memory_format"})
    if isinstance(moved, Tensor):
        return Located(source.array, moved)
    return [Located(source.array, part) for part in moved]


def _elementwise(program: LoopProgram, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Located:
    operands = [float(a) if isinstance(a, Tensor) and a.ndim == 0 else _as_operand(program, a) for a in args]
    if name == "clamp":
        low = operands[1] if len(operands) > 1 else kwargs.get("min")
        high = operands[2] if len(operands) > 2 else kwargs.get("max")
        bounds = [value for value in (low, high) if value is not None]
        name = "clamp" if len(bounds) == 2 else "clamp_min" if high is None else "clamp_max"
        operands = [operands[0], *bounds]
    if kwargs.get("alpha", 1) != 1 or kwargs.get("rounding_mode") or kwargs.get("approximate", "none") != "none":
        raise ValueError(f"the format 'c' has no program for {name} with {kwargs}; export this model to 'onnx'")
    return c.elementwise(program, name, operands)


def _softmax(program: LoopProgram, args: Sequence[Any], *_: Any) -> Located:
    value, dim = args[0], args[1]
    largest = c.reduced(program, "amax", value, [dim], keep=True)
    powers = c.elementwise(program, "exp", [c.elementwise(program, "sub", [value, largest])])
    return c.elementwise(program, "div", [powers, c.reduced(program, "sum", powers, [dim], keep=True)])


def _layer_norm(program: LoopProgram, args: Sequence[Any], *_: Any) -> list[Located]:
    value, sizes, weight, bias, eps = args
    dims = list(range(-len(sizes), 0))
    centred = c.elementwise(program, "sub", [value, c.reduced(program, "mean", value, dims, keep=True)])
    square = c.elementwise(program, "square", [centred])
    variance = c.elementwise(program, "add", [c.reduced(program, "mean", square, dims, keep=True), eps])
    y = c.elementwise(program, "mul", [centred, c.elementwise(program, "rsqrt", [variance])])
    for name, part in (("mul", weight), ("add", bias)):
        y = y if part is None else c.elementwise(program, name, [y, part])
    return [y]


def _gathered(program: LoopProgram, args: Sequence[Any], *_: Any) -> Located:
    """Rows of a table by computed numbers."""
    table, (rows,) = args
    each = table.index[0].numel()
    out = program.array((*rows.shape, *table.shape[1:]))
    place = program.at(rows.array, rows.index[(..., *[None] * (table.index.ndim - 1))].expand(out.shape), "o")
    program.loop("o", out.index.numel(), f"{out.array}[o] = {table.array}[(int32_t){place} * {each} + o % {each}];")
    return out


def _reduction(name: str) -> Callable[..., Located]:
    def reduce(program: LoopProgram, args: Sequence[Any], kwargs: dict[str, Any], _: tuple[int, ...]) -> Located:
        dims = args[1] if len(args) > 1 else []
        keep = bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
        return c.reduced(program, name, args[0], [dims] if isinstance(dims, int) else dims or [], keep)

    return reduce


_OTHERS: dict[str, Callable[..., Any]] = {
    "mm": lambda p, a, *_: c.product(p, a[0], a[1]),
    "bmm": lambda p, a, *_: c.product(p, a[0], a[1]),
    "addmm": lambda p, a, *_: c.product(p, a[1], a[2], a[0]),
    "cat": lambda p, a, *_: c.concatenated(p, a[0], a[1] if len(a) > 1 else 0),
    "constant_pad_nd": lambda p, a, *_: c.padded(p, a[0], *a[1:]),
    "convolution": lambda p, a, *_: _convolution(p, a),
    "_softmax": _softmax,
    "native_layer_norm": _layer_norm,
    "index": _gathered,
    "_to_copy": lambda p, a, k, _: a[0] if k.get("dtype") != torch.int64 else c.elementwise(p, "trunc", [a[0]]),
    "full_like": lambda p, a, k, shape: p.constant(torch.full(shape, a[1], dtype=torch.float64)),
    "zeros_like": lambda p, a, k, shape: p.constant(torch.zeros(shape)),
    "ones_like": lambda p, a, k, shape: p.constant(torch.ones(shape)),
    **{name: _reduction(name) for name in ("sum", "mean", "amax", "any")},
}
"""Operations that are neither moves nor elementwise: program, arguments, keywords and the shape of the result."""


def _convolution(program: LoopProgram, args: Sequence[Any]) -> Located:
    x, weight, bias, *settings = args
    if settings[3]:
        raise ValueError("the format 'c' has no program for transposed convolutions; export this model to 'onnx'")
    return c.convolution(program, x, weight, bias, settings)
