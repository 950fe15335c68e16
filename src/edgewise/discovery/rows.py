"""Rows of inputs and a target: expressions judged on them, and the split into regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._columns import as_tensor, column_names
from edgewise.discovery.separable import chebyshev, products_of, total_degree
from edgewise.expressions.evaluate import evaluate
from edgewise.functional import least_squares

MIN_ROWS = 30
"""Fewer different rows cannot prove a law."""

FEW_VALUES = 8
"""An input with fewer different values is not known between them, and has no outside."""

OUTSIDE = 0.1
"""The share of the rows outside the region that laws are fitted in."""

MOST_BESIDE = 6
"""With more inputs pieces and oscillations are searched in one input alone."""

MAX_ROWS = 20_000
"""Of a longer table so many rows, chosen at random, are searched and judged."""


@dataclass(frozen=True)
class Table:
    """Rows of the inputs and of the target, on which expressions are evaluated and judged."""

    inputs: tuple[sympy.Symbol, ...]
    x: Float[Tensor, "rows inputs"]
    y: Float[Tensor, " rows"]

    def values(self, *expressions: Any) -> Float[Tensor, "rows expressions"]:
        """The expressions of the inputs at every row."""
        return evaluate(expressions, self.inputs, self.x)

    @property
    def size(self) -> float:
        """The root mean square of the target."""
        return self.y.square().mean().sqrt().item() if len(self.y) else 0.0

    def error(self, expression: Any) -> float:
        """The root mean square error of an expression of the target; infinite where undefined, NaN without rows."""
        if len(self.y) == 0:
            return math.nan
        error = (self.values(expression)[:, 0] - self.y).square().mean().sqrt().item()
        return error if math.isfinite(error) else math.inf

    def without_abs(self, expression: Any) -> Any:
        """The expression with u or -u for |u| where all rows show one sign: simpler, for other rows to judge."""
        for part in expression.atoms(sympy.Abs):
            value = self.values(part.args[0])
            if (value > 0).all() or (value < 0).all():
                expression = expression.xreplace({part: part.args[0] * (1 if value[0] > 0 else -1)})
        return expression

    def cancels(self, expression: Any) -> bool:
        """True for the far end of one function that imitates another: sums far below their terms, wild powers."""
        if any(abs(float(power.args[1])) > 12 for power in expression.atoms(sympy.Pow) if power.args[1].is_Float):
            return True
        whole = expression.as_coeff_Mul()[1]
        for total in expression.atoms(sympy.Add):
            # The level of the law itself cancels nothing; inside a function it is the far end of that.
            members = [term for term in total.args if term.free_symbols or total != whole]
            if members and total.atoms(sympy.Float):
                terms = self.values(*members)
                if terms.square().mean(0).sqrt().amax() > 1e4 * terms.sum(-1).std():
                    return True
        return False

    def head(self, rows: int) -> Table:
        """The first rows."""
        return Table(self.inputs, self.x[:rows], self.y[:rows])

    def split(self, seed: int) -> tuple[Table, Table, Table]:
        """A random split into rows to fit, held-out rows and rows outside the region of both.

        Outside is about the tenth of all rows that is nearest to the ends of any input with enough different values;
        equal values are on one side, so that no row outside has a value of a fitted one. A sixth of the rest is held
        out. No row is outside where that is impossible.
        """
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(seed))
        x, y = self.x[order], self.y[order]
        outside = _outside(x)
        cut = int((~outside).sum()) // 6
        parts = (x[~outside][cut:], y[~outside][cut:]), (x[~outside][:cut], y[~outside][:cut]), (x[outside], y[outside])
        fitted, held_out, far = (Table(self.inputs, *part) for part in parts)
        return fitted, held_out, far


def read_samples(x: Any, y: Any, names: Sequence[str] | None) -> tuple[Tensor, Tensor, tuple[sympy.Symbol, ...]]:
    """Samples in float64 and symbols of the inputs; raises `ValueError` that names what is wrong with them.

    Names are those of the columns of a frame or x1, x2, ... by default.
    """
    names = column_names(x) if names is None else names
    x, y = _float64(x), _float64(y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y):
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x must be (samples, variables) and the target (samples,); got {shapes}")
    bad = (~(torch.isfinite(x).all(-1) & torch.isfinite(y))).nonzero()[:, 0].tolist()
    if bad:
        raise ValueError(f"{len(bad)} rows are not finite, the first is row {bad[0]}; drop them")
    names = [f"x{j + 1}" for j in range(x.shape[1])] if names is None else [str(name) for name in names]
    if len(names) != x.shape[1] or len(set(names)) != len(names):
        raise ValueError(f"names must be {x.shape[1]} different names, got {names}")
    return x, y, tuple(sympy.Symbol(name, real=True) for name in names)


def _float64(data: Any) -> Tensor:
    if not isinstance(data, Tensor) and not hasattr(data, "to_numpy"):
        data = np.asarray(data)
        data = data if data.dtype.kind == "c" else np.array(data, dtype=np.float64)
    return as_tensor(data).detach().cpu().double()


def _outside(x: Tensor) -> Tensor:
    """The rows at the ends of columns, of both where values are many and at the upper one of a single column else."""
    columns = [u.contiguous() for u in x.T if len(torch.unique(u)) >= FEW_VALUES]
    if not columns:
        return torch.zeros(len(x), dtype=torch.bool)
    pairs = [(u, u.sort().values) for u in columns]
    below = torch.stack([torch.searchsorted(s, u, right=True) for u, s in pairs], -1) / len(x)
    above = 1 - torch.stack([torch.searchsorted(s, u) for u, s in pairs], -1) / len(x)
    centrality = torch.minimum(below, above).amin(-1)
    outside = centrality <= centrality.kthvalue(math.ceil(OUTSIDE * len(x))).values
    if outside.double().mean() <= 2 * OUTSIDE:
        return outside
    ends = [side <= max(OUTSIDE, side.amin().item()) for u in (above, below) for side in u.T]
    smallest = min(ends, key=lambda end: int(end.sum()))
    return smallest if smallest.double().mean() <= 3 * OUTSIDE else torch.zeros_like(smallest)


def explained_by(j: int, x: Float[Tensor, "rows inputs"], y: Float[Tensor, " rows"]) -> bool:
    """Whether input j in a polynomial of degree two explains more than four standard deviations of chance do."""
    powers = total_degree(x.shape[1], 2)
    A = products_of(chebyshev(x, x.amin(0), x.amax(0), 3), powers)
    left = [y - B @ least_squares(B, y[:, None])[:, 0] for B in (A[:, powers[:, j] == 0], A)]
    less, more = (r.square().sum().clamp_min(1e-26 * y.square().sum()) for r in left)
    terms = int((powers[:, j] > 0).sum())
    return (len(y) - len(powers)) * (less / more).log().item() > terms + 4 * math.sqrt(2 * terms)
