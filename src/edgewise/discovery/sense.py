"""Says where a formula makes no sense: poles and undefined places near the rows that it is for."""

from __future__ import annotations

from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions.evaluate import evaluate

COPIES = 4000
"""Points at least; every row is moved as often as that takes."""

NEAR = 0.05
"""A point is a row of which every input is moved by at most this share of its range, but not past zero."""

BLOW_UP = 20.0
"""A value that is so many times farther from the middle of the target than any row is near a pole."""


def nonsense(
    expression: Any, inputs: tuple[sympy.Symbol, ...], x: Float[Tensor, "rows inputs"], y: Float[Tensor, " rows"]
) -> str | None:
    """Why an expression of the target is not to be used near the rows; None where it may be.

    Points are rows with every input moved a little: a corner of the box where no row is may have its pole. A formula is
    finite at all of them and not far from all targets, and its denominators have one sign where they do at the rows.

    Args:
        expression: of the inputs.
        inputs: the symbols of the columns of x.
        x: rows of the inputs.
        y: the target.
    """
    near = _near(x)
    middle = y.median()
    values = evaluate((expression,), inputs, near)[:, 0]
    if not torch.isfinite(values).all():
        return "it is undefined near some rows"
    if (values - middle).abs().amax() > BLOW_UP * (y - middle).abs().amax():
        return "it has a pole near some rows"
    for part in _denominators(expression):
        moved, rows = (evaluate((part,), inputs, u)[:, 0] for u in (near, x))
        if bool((rows > 0).all() or (rows < 0).all()) and moved.amin() < 0 < moved.amax():
            return f"its denominator {part} is zero near some rows"
    return None


def _near(x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "points inputs"]:
    """Rows with every input moved by a share of its range, and one of one sign by at most half of itself."""
    generator = torch.Generator().manual_seed(0)
    rows = x.repeat(-(-COPIES // len(x)), 1)
    step = NEAR * (x.amax(0) - x.amin(0)).expand_as(rows)
    one_sign = (x > 0).all(0) | (x < 0).all(0)
    step = torch.where(one_sign, torch.minimum(step, 0.5 * rows.abs()), step)
    return rows + step * (2 * torch.rand(rows.shape, generator=generator, dtype=torch.float64) - 1)


def _denominators(expression: Any) -> list[Any]:
    """The bases of negative powers that are sums: products are zero where an input is."""
    powers = [p for p in expression.atoms(sympy.Pow) if p.args[1].is_number and p.args[1] < 0]
    return [p.args[0] for p in powers if p.args[0].is_Add]
