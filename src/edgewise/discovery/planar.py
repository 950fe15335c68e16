r"""Laws of one variable that no outer function of y alone makes simple: conics, and functions of a function.

A conic $A + B x + C y + D x^2 + E x y + F y^2 = 0$ is linear in its numbers, and y follows by a square root. A function
of a function is found by the library in $\log x$, $\sqrt x$, $1/x$, $x^2$ or $e^x$ in the place of x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import Library
from edgewise.symbolic.edges import search_edge
from edgewise.symbolic.read import edge_expression

INNERS: tuple[tuple[Callable[[Any], Any], Callable[[Tensor], Tensor]], ...] = (
    (sympy.log, torch.log),
    (sympy.sqrt, torch.sqrt),
    (lambda u: 1 / u, torch.reciprocal),
    (lambda u: u**2, torch.square),
    (sympy.exp, torch.exp),
)


def planar_laws(
    x: Float[Tensor, " samples"], y: Float[Tensor, " samples"], variable: Any, library: Library, tolerance: float = 1e-6
) -> Iterator[Any]:
    """Expressions of the variable, with rough numbers, that leave no more than the tolerance of the variance of y."""
    yield from _conics(x, y, variable, tolerance)
    order = torch.linspace(0, len(x) - 1, min(len(x), 400)).round().long()
    for expression, transform in INNERS:
        u = transform(x)
        if not torch.isfinite(u).all() or u.abs().amax() > 1e6 * u.abs().mean():
            continue
        for c in search_edge(u[order], y[order], library=library)[:2]:
            if 1 - c.r2 < tolerance:
                yield edge_expression(c.fn, c.affine, expression(variable))


def _conics(x: Tensor, y: Tensor, variable: Any, tolerance: float) -> Iterator[Any]:
    """The two branches of the conic through the points, where there is one that is no ratio of polynomials."""
    p, q = x / x.abs().amax().clamp_min(1e-300), y / y.abs().amax().clamp_min(1e-300)
    columns = torch.stack([torch.ones_like(p), p, q, p**2, p * q, q**2], -1)
    size = columns.norm(dim=0)
    _, s, v = torch.linalg.svd(columns / size, full_matrices=False)
    if s[-2] < 1e-9 * s[0]:
        return  # a line, or two of them: simpler laws exist
    a, b, c, d, e, f = (v[-1] / size).tolist()
    if abs(f) < 1e-9 * max(map(abs, (a, b, c, d, e))):
        return
    b, c, d, e, f = (k / f for k in (b, c, d, e, f))
    a = a / (v[-1] / size)[-1].item()
    for sign in (1, -1):
        root = ((c + e * p) ** 2 - 4 * (a + b * p + d * p**2)).clamp_min(0).sqrt()
        value = (-(c + e * p) + sign * root) / 2
        if (value - q).square().mean() < tolerance * q.var():
            scale_x, scale_y = x.abs().amax().item(), y.abs().amax().item()
            t = variable / scale_x
            inside = sympy.expand((c + e * t) ** 2 - 4 * (a + b * t + d * t**2))
            inside = sympy.Add(*(term for term in inside.args if abs(term.as_coeff_Mul()[0]) > 1e-10))
            yield sympy.expand(scale_y * (-(c + e * t)) / 2) + sign * scale_y / 2 * sympy.sqrt(inside)
