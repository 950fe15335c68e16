r"""Finds which structure fits: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ with curves h, g.

Variables u that act only together ($x_i - x_j$, $x_i + x_j$, $x_i x_j$, $x_i / x_j$, $x_i^2 + x_j^2$) are joined first.
A function of $x_i - x_j$ has $\partial_i f + \partial_j f = 0$; each of the others has an equation of its own. The
gradient of a polynomial fitted to the samples is accurate enough to propose a pair; a fit in the new variables decides.
Then the outer function F and the number of products are chosen by the error that curves leave on held-out samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.invertible import INVERTIBLE, Invertible, chosen
from edgewise.discovery.separable import SeparableFit, fit_separable, surface, surface_error
from edgewise.progress import Pulse

SHAPES = ((0, True), (1, False), (1, True), (2, True), (3, True))
"""Numbers of products, with or without sums, in the order in which they are tried."""

STRUCTURE_ROWS = 800
"""Samples that structures are fitted to and, the last fifth, judged on."""

NO_LIMIT = Pulse()


@dataclass(frozen=True)
class Pairing:
    """A way two variables may act together: the value (of tensors and of sympy), and the equation of the gradient."""

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
    """Samples of the variables of a law, and the expression of each in the inputs."""

    x: Float[Tensor, "samples variables"]
    expressions: tuple[Any, ...]

    @cached_property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """A symbol per variable, so that no refit takes a joined variable apart."""
        return tuple(sympy.Dummy(f"u{j}", real=True) for j in range(len(self.expressions)))

    @property
    def finite(self) -> bool:
        """True where every variable is finite at all samples."""
        return bool(torch.isfinite(self.x).all())

    def joined(self, i: int, j: int, pairing: Pairing) -> Variables:
        """Variables i and j replaced by their pairing."""
        keep = [k for k in range(len(self.expressions)) if k not in (i, j)]
        column = pairing.value(self.x[:, i], self.x[:, j])
        value = pairing.value(self.expressions[i], self.expressions[j])
        return Variables(
            torch.cat([self.x[:, keep], column[:, None]], 1), (*(self.expressions[k] for k in keep), value)
        )

    def exchanged(self, i: int, j: int, pairing: Pairing) -> Variables:
        """Variable i replaced by its pairing with j, which is kept."""
        x = self.x.clone()
        x[:, i] = pairing.value(self.x[:, i], self.x[:, j])
        expressions = list(self.expressions)
        expressions[i] = pairing.value(self.expressions[i], self.expressions[j])
        return Variables(x, tuple(expressions))

    def exchanges(self) -> Iterator[Variables]:
        """The variables with one of them replaced by its pairing with another, where that is finite."""
        for i, j in itertools.permutations(range(len(self.expressions)), 2):
            for pairing in PAIRINGS[:4]:
                if pairing.name in ("difference", "sum") and i > j:
                    continue
                new = self.exchanged(i, j, pairing)
                if new.finite:
                    yield new


@dataclass(frozen=True)
class Structure:
    """Variables, outer function and number of products that a fit with curves supports."""

    variables: Variables
    outer: Invertible
    products: int
    sums: bool
    error: float
    bits: float

    def __str__(self) -> str:
        kind = f"{'sums + ' if self.sums else ''}{self.products} products"
        names = ", ".join(map(str, self.variables.expressions))
        outer = "identity" if self.outer.name == "x" else self.outer.name
        return f"{outer} of {kind} in ({names}), curves leave {self.error:.2g}"


def join_variables(
    variables: Variables,
    y: Float[Tensor, " samples"],
    tolerance: float = 0.1,
    possible: Callable[[Any], bool] = lambda expression: True,
    pulse: Pulse = NO_LIMIT,
) -> list[Variables]:
    """The given variables, then with pairs joined for as long as the joined fit is as good as the one before.

    Only expressions that are `possible` are made. The transform of y that a polynomial fits best replaces y: which
    variables act together does not depend on it.
    """
    y = easiest_transform(variables.x, y)
    chain = [variables]
    while chain[-1].x.shape[1] > 1:
        here = chain[-1]
        error, slopes = surface(here.x, y)
        for i, j, pairing in _proposals(here.x, slopes, tolerance, pulse):
            pulse("which inputs act together")
            joined = here.joined(i, j, pairing)
            if possible(joined.expressions[-1]) and joined.finite and surface_error(joined.x, y) < 1.3 * error + 1e-9:
                chain.append(joined)
                break
        else:
            break
    return chain


def easiest_transform(x: Float[Tensor, "samples variables"], y: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
    """The inverse of an outer function, applied to y, that a polynomial fits best."""
    return min(_transforms(y), key=lambda z: surface_error(x, z))


def _transforms(y: Tensor) -> list[Tensor]:
    candidates = (f for f in chosen("x", "1/x", "sqrt", "1/sqrt", "exp") if f.low < y.amin() and y.amax() < f.high)
    values = [f.inverse(y) for f in candidates]
    return [z for z in values if torch.isfinite(z).all() and z.std() > 0]


def _proposals(x: Tensor, slopes: Tensor, tolerance: float, pulse: Pulse) -> list[tuple[int, int, Pairing]]:
    """Pairs whose gradient satisfies the equation of a pairing within the tolerance, the best first."""
    proposals = []
    for i, j in itertools.combinations(range(x.shape[1]), 2):
        pulse("which inputs act together")
        p, q, dp, dq = x[:, i], x[:, j], slopes[:, i], slopes[:, j]
        for pairing in PAIRINGS:
            defect = pairing.defect(p, q, dp, dq)
            size = pairing.defect(p.abs(), -q.abs(), dp.abs(), dq.abs()).abs()
            size = torch.maximum(size, pairing.defect(p.abs(), q.abs(), dp.abs(), dq.abs()).abs())
            share = (defect.square().mean() / size.square().mean().clamp_min(1e-300)).sqrt().item()
            if share < tolerance:
                proposals.append((share, i, j, pairing))
    return [(i, j, pairing) for _, i, j, pairing in sorted(proposals, key=lambda p: p[0])]


def find_structures(
    variables: Variables, y: Float[Tensor, " samples"], seed: int, pulse: Pulse, extra: float = 0.0
) -> list[Structure]:
    """Every outer function with sums and up to three products, by how well curves fit; those found within the budget.

    Args:
        variables: of the law; the first samples are used.
        y: targets.
        seed: of the random starts of the fits.
        pulse: called before every fit; no outer function is begun after the end of its budget.
        extra: bits that the choice of these variables costs.
    """
    found = []
    spread = y.std(correction=0)
    x, y = variables.x[:STRUCTURE_ROWS], y[:STRUCTURE_ROWS]
    d, cut = x.shape[1], len(x) - max(len(x) // 5, 1)
    if not torch.isfinite(x).all():
        return []
    for outer in INVERTIBLE.values():
        if pulse.budget.over:
            break
        if not (outer.low <= y.amin() and y.amax() <= outer.high):
            continue
        z = outer.inverse(y)
        if not torch.isfinite(z).all() or z.abs().amax() > 1e8 * z.abs().median():
            continue
        weight = outer.slope(z)
        error_of = partial(_relative_error, outer, x[cut:], y[cut:], spread)
        for products, sums in SHAPES:
            if (products and d == 1) or (products == 3 and d < 4):
                continue
            pulse(f"structures of {len(variables.expressions)} variables, {outer.name} outside")
            fit = partial(fit_separable, x, z, products, sums=sums, starts=2, steps=25, seed=seed, weight=weight)
            error = _least_error(fit, error_of, d, products)
            if error < 0.3:
                bits = 8 * math.log2(max(error, 1e-7)) + 6 * products + 2 * sums + 3 * (outer.name != "x") + extra
                found.append(Structure(variables, outer, products, sums, error, bits))
    return found


def _least_error(
    fit: Callable[..., SeparableFit], error_of: Callable[[SeparableFit], float], variables: int, products: int
) -> float:
    """The least held-out error of curves of several sizes; the largest size only where it may help."""
    least = math.inf
    for size in (6, 11, 24):
        if size == 24 and variables > 1 and (variables > 3 or products > 1 or not 1e-3 < least < 0.7):
            continue
        error = error_of(fit(size=size))
        least = min(least, error) if math.isfinite(error) else least
    return least


def _relative_error(outer: Invertible, x: Tensor, y: Tensor, spread: Tensor, curves: SeparableFit) -> float:
    return ((outer(curves(x)) - y).square().mean().sqrt() / spread).item()
