r"""Frees the exponents of a sum of power laws, $y = \sum_k c_k \prod_j x_j^{p_{jk}}$, from the list they are found in.

Factors are linear and eliminated (variable projection, Golub and Pereyra 1973), so that Levenberg-Marquardt moves the
exponents alone; those of inputs that are not positive at all rows stay. What the rows say about names for the exponents
is decided where laws are judged.
"""

from __future__ import annotations

from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions.constants import minimize_residual
from edgewise.functional import least_squares

GAIN = 3.0
"""Free exponents are proposed where they save this many bits of the target."""

WILDEST = 12.0
"""A greater exponent imitates another function."""

CLOSEST = 1e-3
"""Terms whose columns are so nearly dependent imitate a derivative by an exponent."""


def freed(
    symbols: tuple[Any, ...],
    exponents: Float[Tensor, "terms inputs"],
    x: Float[Tensor, "rows inputs"],
    y: Float[Tensor, " rows"],
    size: Float[Tensor, " rows"],
) -> Any:
    """The sum with exponents and factors fitted to y as an expression; None where that explains no more.

    Args:
        symbols: of the inputs.
        exponents: of the sum to begin with.
        x: rows of the inputs.
        y: the target.
        size: what the noise of every row is proportional to.
    """
    open_ = (exponents != 0) & (x > 0).all(0)
    if not open_.any():
        return None
    z = y / size
    logs = torch.where(x > 0, x, 1.0).log()
    held = torch.where(open_, 0.0, exponents)
    fixed = torch.stack([(x**row).prod(-1) for row in held], -1) / size[:, None]
    place = open_.nonzero(as_tuple=True)

    def columns(p: Tensor) -> Tensor:
        powers = torch.zeros_like(exponents).index_put(place, p)
        A = fixed * torch.exp(logs @ powers.T)
        return A / A.norm(dim=0)

    def residual(p: Tensor) -> Tensor:
        q = torch.linalg.qr(columns(p)).Q
        return z - q @ (q.T @ z)

    before = residual(exponents[open_]).square().mean()
    p, after = minimize_residual(residual, exponents[open_], steps=60, target=1e-28 * z.square().mean().item())
    gained = 0.5 * len(y) * (before.log2() - torch.tensor(max(after, 1e-300)).log2())
    if not gained > GAIN or p.abs().amax() > WILDEST or torch.linalg.svdvals(columns(p))[-1] < CLOSEST:
        return None
    return _expression(symbols, exponents.masked_scatter(open_, p), x, y, size)


def _expression(symbols: tuple[Any, ...], exponents: Tensor, x: Tensor, y: Tensor, size: Tensor) -> Any:
    A = torch.stack([(x**row).prod(-1) for row in exponents], -1) / size[:, None]
    scale = A.square().mean(0).sqrt()
    c = least_squares(A / scale, (y / size)[:, None])[:, 0] / scale
    products = (sympy.Mul(*(s ** _number(p) for s, p in zip(symbols, row, strict=True))) for row in exponents.tolist())
    return sympy.Add(*(sympy.Float(v, 17) * product for v, product in zip(c.tolist(), products, strict=True)))


def _number(p: float) -> Any:
    """Zero and one as they are, so that no refit frees them without need; others to be refitted."""
    return sympy.Integer(int(p)) if p in (0.0, 1.0) else sympy.Float(p, 17)
