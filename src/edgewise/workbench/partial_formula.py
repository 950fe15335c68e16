r"""The formula of a network that still has curves: each curve is a function $f_n$ without a name of its own.

A curve that reads an input is written as a function of that input in the user's units, whatever the scale inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import sympy
import torch
from torch import Tensor

from edgewise.expressions import Formula
from edgewise.nn import KAN, KANLinear, SymbolicEdges, SymbolicFn
from edgewise.nn.layers import EdgeKey, kan_layers, replaced, with_layers
from edgewise.symbolic import formula


@dataclass(frozen=True)
class _Unnamed:
    """The sympy form of a curve: $f_n$ of what it reads, or of the input itself."""

    name: str
    reads: sympy.Symbol | None

    def __call__(self, u: Any) -> Any:
        return sympy.Function(self.name)(u if self.reads is None else self.reads)


def curve_names(model: KAN) -> dict[EdgeKey, str]:
    """The names f_1, f_2, ... of the edges that are curves, in the order of layers, targets and sources."""
    keys = [
        EdgeKey(l, j, i)
        for l, layer in enumerate(kan_layers(model).values())
        for i, j in layer.mask.T.nonzero().tolist()
    ]
    return {key: f"f_{n + 1}" for n, key in enumerate(keys)}


def partial_formula(model: KAN, names: Sequence[str]) -> Formula:
    """The formula of any network, to be read: its curves cannot be evaluated."""
    layers = kan_layers(model)
    functions: dict[str, dict[tuple[int, int], SymbolicFn]] = {name: {} for name in layers}
    for (l, j, i), name in curve_names(model).items():
        reads = sympy.Symbol(names[j], real=True) if l == 0 else None
        functions[list(layers)[cast(int, l)]][j, i] = SymbolicFn(name, _same, _Unnamed(name, reads))
    new = {name: _unnamed(layers[name], edges) for name, edges in functions.items() if edges}
    return formula(with_layers(model, new) if new else model, names)


def _unnamed(layer: KANLinear, functions: Mapping[tuple[int, int], SymbolicFn]) -> KANLinear:
    """The layer with its curves, by (source, target), as functions f(x) without parameters."""
    old = layer.symbolic
    sources, targets = (torch.tensor(index).to(old.sources) for index in zip(*functions, strict=True))
    rows = torch.tensor([[1.0, 0.0, 1.0, 0.0]]).to(layer.coef).expand(len(functions), 4)
    symbolic = SymbolicEdges(
        (*old.functions, *functions.values()),
        torch.cat([old.sources, sources]),
        torch.cat([old.targets, targets]),
        rows if old.affine is None else torch.cat([old.affine.detach(), rows]),
    )
    return replaced(layer, mask=torch.zeros_like(layer.mask), symbolic=symbolic)


def _same(u: Tensor) -> Tensor:
    return u
