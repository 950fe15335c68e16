r"""Weighs laws of noisy rows: the bits of the target by a law, of its free numbers, of its names and of its form.

Laplace's evidence of k free numbers $\theta$ with likelihood L and the matrix $G_{ij} = \theta_i\theta_j\,
(J^\top J)_{ij}/s^2$ of their relative changes is $-\log_2 L + \frac12\log_2\det(1 + G) + k b$ (MacKay, Neural
Computation 4, 1992): a number costs the digits that the rows determine, and terms that imitate one another cost what
they are known by together. A name such as 3/2 is a number that needs no digits; it costs the bits of the name, so that
a name in a wide interval saves nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.expressions.constants import name_bits
from edgewise.expressions.uncertainty import Numbers

if TYPE_CHECKING:
    from edgewise.discovery.rows import Table

OPERATION = 4.0
"""The bits of an operation of a formula: which it is, and where."""

NUMBER = 3.0
"""The bits of a number beside its digits or its name: its sign and its size."""

EXPONENT = 6.0
"""The bits more of an exponent without a name: of laws that people found nearly all have exponents such as 2 or 1/2."""

CERTAINTY = 0.99
"""The intervals of the free numbers of a law, which hold all true values with this probability, hold no zero."""


UNSEEN = 1e-6
"""The rows do not see a number that, doubled, moves them by so small a share of the noise (its square)."""

JUMPS = (sympy.Heaviside, sympy.sign, sympy.floor, sympy.ceiling)
"""Functions whose slope is zero between their jumps."""


def weighed_numbers(
    expression: Any, table: Table, floor: float, weight: Float[Tensor, " rows"] | None = None
) -> tuple[float, bool]:
    """The bits of a formula with its numbers, and whether the rows tell every free number from zero.

    Args:
        expression: the formula.
        table: the rows.
        floor: the least standard deviation of the noise: rounding.
        weight: the inverse of the standard deviation of the noise of every row, up to a factor; even by default.
    """
    numbers = Numbers.of(expression)
    bits = form_bits(expression)
    free, theta = numbers.free, numbers.start
    if not free:
        return bits, True
    bits += NUMBER * len(free) + EXPONENT * len({p.exp for p in expression.atoms(sympy.Pow) if p.exp.is_Float})
    weight = torch.ones_like(table.y) if weight is None else weight
    r, J = numbers.slopes(table.inputs, table.x, table.y, weight, theta)
    J = J[:, free] * theta[free]
    s = max((r.square().sum() / max(len(r) - len(free), 1)).sqrt().item(), floor)
    if not torch.isfinite(J).all():
        return math.inf, False
    G = J.T @ J / s**2
    digits = 0.5 * torch.linalg.slogdet(torch.eye(len(free), dtype=G.dtype) + G).logabsdet.item() / math.log(2)
    return bits + digits, _none_is_zero(G) and not _unseen(numbers, G)


def form_bits(expression: Any) -> float:
    """The bits of a formula without those of its free numbers: operations and numbers with a name."""
    return sum(map(_own_bits, sympy.preorder_traversal(expression)))


def count_numbers(expression: Any) -> int:
    """How many numbers a formula has, with a name or without; the factor one of the terms of sums counts too."""
    return len(Numbers.of(expression).values) + sum(map(_ones, expression.atoms(sympy.Add)))


def _ones(e: Any) -> int:
    return sum(abs(term.as_coeff_Mul()[0]) == 1 and not term.is_number for term in e.args)


def _own_bits(e: Any) -> float:
    """What an expression costs beside its arguments.

    The terms of a sum that have the factor one have a number with a name; an exponent is a part of its power.
    """
    if e.is_Add:
        return OPERATION * (len(e.args) - 1) + NUMBER * _ones(e)
    if e.is_Mul:
        number, rest = e.as_independent(*e.free_symbols, as_Add=False)
        named = number != 1 and abs(number) != 1 and not number.atoms(sympy.Float)
        factors = len(sympy.Mul.make_args(rest)) if rest != 1 else 1
        return OPERATION * (factors - 1) + (NUMBER + name_bits(number) if named else 0.0)
    if e.is_Pow and e.exp.is_Rational:
        return 1.0 + name_bits(e.exp) + float(e.exp.is_negative)
    return 0.0 if not e.args else OPERATION


def _unseen(numbers: Numbers, G: Float[Tensor, "numbers numbers"]) -> bool:
    """Whether no row sees a change of some free number, but for places of jumps: one that stands for a limit."""
    places = {jump: sympy.Dummy() for jump in numbers.expression.atoms(*JUMPS)}
    slopes = numbers.expression.xreplace(places).free_symbols
    flat = (G.diagonal() < UNSEEN).tolist()
    return any(no and numbers.symbols[n] in slopes for no, n in zip(flat, numbers.free, strict=True))


def _none_is_zero(G: Float[Tensor, "numbers numbers"]) -> bool:
    """Whether no number is zero by its relative error, the root of the diagonal of the inverse of G."""
    from scipy.special import ndtri

    size = G.diagonal().clamp_min(1e-300).sqrt()
    inverse = torch.linalg.pinv(G / size / size[:, None], rtol=1e-14, hermitian=True)
    errors = inverse.diagonal().clamp_min(0).sqrt() / size
    return bool((errors * float(ndtri(1 - (1 - CERTAINTY) / (2 * len(G)))) < 1).all())
