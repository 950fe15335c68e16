r"""Variables that act only together: $x_i - x_j$, $x_i + x_j$, $x_i x_j$, $x_i / x_j$, $x_i^2 + x_j^2$.

A function of $x_i - x_j$ has $\partial_i f + \partial_j f = 0$; each of the others has an equation of its own. The
gradient comes from a polynomial of total degree fitted to the samples, which is accurate enough to propose; the
proposal is then tested by a fit in the new variables.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.factors import chebyshev


@dataclass(frozen=True)
class Pairing:
    """A way two variables may act together: the value, its sympy form, and the equation of the gradient."""

    name: str
    value: Callable[[Any, Any], Any]
    defect: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


PAIRINGS = (
    Pairing("difference", lambda p, q: p - q, lambda p, q, dp, dq: dp + dq),
    Pairing("sum", lambda p, q: p + q, lambda p, q, dp, dq: dp - dq),
    Pairing("product", lambda p, q: p * q, lambda p, q, dp, dq: p * dp - q * dq),
    Pairing("ratio", lambda p, q: p / q, lambda p, q, dp, dq: p * dp + q * dq),
    Pairing("squares", lambda p, q: p**2 + q**2, lambda p, q, dp, dq: q * dp - p * dq),
)


@dataclass(frozen=True)
class Variables:
    """Samples of the variables that a law is sought in, and what each is in terms of the inputs."""

    x: Float[Tensor, "samples variables"]
    expressions: tuple[Any, ...]

    def joined(self, i: int, j: int, pairing: Pairing) -> Variables:
        """Both variables replaced by their pairing."""
        keep = [k for k in range(len(self.expressions)) if k not in (i, j)]
        column = pairing.value(self.x[:, i], self.x[:, j])
        value = pairing.value(self.expressions[i], self.expressions[j])
        return Variables(
            torch.cat([self.x[:, keep], column[:, None]], 1), (*(self.expressions[k] for k in keep), value)
        )

    def exchanged(self, i: int, j: int, pairing: Pairing) -> Variables:
        """Variable i replaced by its pairing with j, which stays."""
        x = self.x.clone()
        x[:, i] = pairing.value(self.x[:, i], self.x[:, j])
        expressions = list(self.expressions)
        expressions[i] = pairing.value(self.expressions[i], self.expressions[j])
        return Variables(x, tuple(expressions))


def join_variables(
    variables: Variables,
    y: Float[Tensor, " samples"],
    tolerance: float = 0.1,
    possible: Callable[[Any], bool] = lambda expression: True,
) -> list[Variables]:
    """The given variables, then with pairs joined for as long as the joined fit is as good as the one before.

    Only expressions that are `possible` are made.
    """
    chain = [variables]
    while chain[-1].x.shape[1] > 1:
        here = chain[-1]
        error, slopes = surface(here.x, y)
        proposals = []
        for i, j in itertools.combinations(range(here.x.shape[1]), 2):
            p, q, dp, dq = here.x[:, i], here.x[:, j], slopes[:, i], slopes[:, j]
            for pairing in PAIRINGS:
                defect = pairing.defect(p, q, dp, dq)
                size = pairing.defect(p.abs(), -q.abs(), dp.abs(), dq.abs()).abs()
                size = torch.maximum(size, pairing.defect(p.abs(), q.abs(), dp.abs(), dq.abs()).abs())
                share = (defect.square().mean() / size.square().mean().clamp_min(1e-300)).sqrt().item()
                if share < tolerance:
                    proposals.append((share, i, j, pairing))
        for _, i, j, pairing in sorted(proposals, key=lambda p: p[0]):
            joined = here.joined(i, j, pairing)
            if not possible(joined.expressions[-1]):
                continue
            if torch.isfinite(joined.x).all() and surface(joined.x, y)[0] < 1.3 * error + 1e-9:
                chain.append(joined)
                break
        else:
            break
    return chain


def surface(x: Tensor, y: Tensor) -> tuple[float, Float[Tensor, "samples variables"]]:
    """A polynomial of total degree: its relative error on the last fifth of the samples, and its gradient at all."""
    n, d = x.shape
    degree = {1: 14, 2: 12, 3: 9, 4: 7, 5: 6, 6: 5}.get(d, 3)
    powers = _total_degree(d, degree)
    while len(powers) > n // 3 and degree > 1:
        degree -= 1
        powers = _total_degree(d, degree)
    low, high = x.amin(0), x.amax(0)
    cut = n - max(n // 5, 1)

    def design(u: Tensor) -> list[Tensor]:
        basis = chebyshev(u, low, high, degree + 1)
        return [basis[:, j, powers[:, j]] for j in range(d)]

    parts = design(x)
    A = reduce(torch.mul, parts)
    w = (y - y.mean()) / y.std(correction=0)
    c = torch.linalg.lstsq(A[:cut], w[:cut, None]).solution[:, 0]
    error = (A[cut:] @ c - w[cut:]).square().mean().sqrt().item()
    slope_basis = torch.func.jvp(lambda u: chebyshev(u, low, high, degree + 1), (x,), (torch.ones_like(x),))[1]
    slopes = []
    for j in range(d):
        others = [parts[k] for k in range(d) if k != j]
        slopes.append(reduce(torch.mul, others, slope_basis[:, j, powers[:, j]]) @ c)
    return error, torch.stack(slopes, -1)


def _total_degree(d: int, degree: int) -> Tensor:
    exponents = [e for e in itertools.product(range(degree + 1), repeat=d) if sum(e) <= degree] if d <= 6 else None
    if exponents is None:
        exponents = [(0,) * d]
        for k in range(1, degree + 1):
            for members in itertools.combinations_with_replacement(range(d), k):
                exponents.append(tuple(members.count(j) for j in range(d)))
    return torch.tensor(exponents)
