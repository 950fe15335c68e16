r"""The formula of a network that still has curves: each curve is a function $f_n$ without a name of its own.

A curve that reads an input is written as a function of that input in the user's units, whatever the scale inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from edgewise.expressions import Formula
from edgewise.nn import KAN, SymbolicFn
from edgewise.nn.layers import EdgeKey, kan_layers
from edgewise.surgery import fix
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
    for key, name in curve_names(model).items():
        reads = sympy.Symbol(names[key.source], real=True) if key.layer == 0 else None
        model = fix(model, key, SymbolicFn(name, lambda u: u, _Unnamed(name, reads)))
    return formula(model, names)
