"""Reads a network whose edges are symbols as a formula in sympy, one expression per output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import sympy
from torch import Tensor

from edgewise.expressions import Formula
from edgewise.nn import KAN, Affine, KANLinear, ProductNodes, SymbolicFn
from edgewise.symbolic.edges import edge_expression, exact

MISSING = "symbolify(model, x)"


def formula(model: KAN, names: Sequence[str] | None = None) -> Formula:
    """The formula of a model whose edges are all symbols or absent.

    Args:
        model: a KAN after `symbolify`.
        names: names of the inputs; by default the model's own, else x1, x2, ...

    Raises:
        ValueError: where an edge is still a curve.
    """
    if not isinstance(model, KAN):
        raise TypeError(f"formula takes a KAN, got {type(model).__name__}; pass the KAN inside it")
    inputs = _input_symbols(model, names)
    functions: dict[str, Callable[[Tensor], Tensor]] = {}
    values: list[sympy.Expr] = _scaled(list(inputs), model.input_affine)
    for n, layer in enumerate(model.layers):
        if isinstance(layer, KANLinear):
            values = _sums(layer, values, f"layers.{n}", functions)
        elif isinstance(layer, ProductNodes):
            values = [sympy.Mul(*(values[f] for f in group)) for group in layer.groups()]
        else:
            raise TypeError(f"layers.{n} is a {type(layer).__name__}; a formula needs KANLinear and ProductNodes")
    values = _scaled(values, model.output_affine)
    count = len(values)
    outputs = model.output_names or (("y",) if count == 1 else tuple(f"y{i + 1}" for i in range(count)))
    return Formula(tuple(values), inputs, tuple(outputs), functions)


def _input_symbols(model: KAN, names: Sequence[str] | None) -> tuple[sympy.Symbol, ...]:
    names = names or model.input_names or [f"x{j + 1}" for j in range(model.in_features)]
    if len(names) != model.in_features or len(set(names)) != len(names):
        raise ValueError(f"names must be {model.in_features} different names, got {list(names)}")
    return tuple(sympy.Symbol(str(name), real=True) for name in names)


def _scaled(values: list[sympy.Expr], affine: Affine | None) -> list[sympy.Expr]:
    if affine is None:
        return values
    scale, shift = affine.scale.double().tolist(), affine.shift.double().tolist()
    return [exact(s) * v + exact(t) for v, s, t in zip(values, scale, shift, strict=True)]


def _sums(layer: KANLinear, values: list[sympy.Expr], name: str, functions: dict[str, Any]) -> list[sympy.Expr]:
    """The outputs of one layer as expressions of its inputs."""
    curves = layer.mask.nonzero().tolist()
    if curves:
        j, i = curves[0]
        raise ValueError(
            f"layer {name!r}: {len(curves)} edges are still curves, the first is (in={j}, out={i}); "
            f"fix them with `{MISSING}` or remove them with `prune`"
        )
    terms: list[list[sympy.Expr]] = [[] for _ in range(layer.out_features)]
    if layer.bias is not None:
        terms = [[exact(b)] for b in layer.bias.double().tolist()]
    symbols = layer.symbolic
    for n, (j, i) in enumerate(zip(symbols.sources.tolist(), symbols.targets.tolist(), strict=True)):
        terms[i].append(
            edge_expression(symbols.functions[n], cast(Tensor, symbols.affine)[n].double().tolist(), values[j])
        )
        _remember(symbols.functions[n], functions)
    return [sympy.Add(*t) for t in terms]


def _remember(fn: SymbolicFn, functions: dict[str, Any]) -> None:
    """Record the torch form of a function that sympy knows by name only."""
    from sympy.core.function import AppliedUndef

    for part in fn.sympy(sympy.Symbol("u", real=True)).atoms(AppliedUndef):
        functions[part.func.__name__] = fn.torch
