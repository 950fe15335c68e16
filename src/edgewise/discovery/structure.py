r"""Which structure fits: $y = F\big(c + \sum_j h_j(u_j) + \sum_m \prod_j g_{mj}(u_j)\big)$ with curves for h and g.

Variables u, outer function F and the number of products are chosen by the error that curves leave on held-out samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from edgewise.discovery.factors import fit_factors
from edgewise.discovery.outer import OUTERS, Outer, slope
from edgewise.discovery.variables import PAIRINGS, Variables, surface


@dataclass(frozen=True)
class Structure:
    """Variables, outer function and number of products that a fit with curves supports."""

    variables: Variables
    outer: Outer
    products: int
    sums: bool
    error: float
    bits: float

    def weight(self, z: Tensor) -> Tensor:
        """F'(z): what an error of z means for y."""
        return slope(self.outer, z)

    def __str__(self) -> str:
        kind = f"{'sums + ' if self.sums else ''}{self.products} products"
        names = ", ".join(map(str, self.variables.expressions))
        return f"{self.outer.name} of {kind} in ({names}), curves leave {self.error:.2g}"


def find_structures(
    variables: Variables, y: Tensor, seed: int, late: Callable[[], bool], extra: float = 0.0
) -> list[Structure]:
    """Every outer function with sums and up to three products, by how well curves fit; those so far once it is late."""
    found = []
    spread = y.std(correction=0)
    d = variables.x.shape[1]
    x, y = variables.x[:800], y[:800]
    if not torch.isfinite(x).all():
        return []
    for outer in OUTERS:
        if late():
            break
        if not (outer.low <= y.amin() and y.amax() <= outer.high):
            continue
        z = outer.inverse(y)
        if not torch.isfinite(z).all() or z.abs().amax() > 1e8 * z.abs().median():
            continue
        weight = slope(outer, z)
        for products, sums in ((0, True), (1, False), (1, True), (2, True), (3, True)):
            if (products and d == 1) or (products == 3 and d < 4):
                continue
            cut = len(x) - max(len(x) // 5, 1)
            best = math.inf
            for size in (6, 11, 24):
                if size == 24 and d > 1 and (d > 3 or products > 1 or not 1e-3 < best < 0.7):
                    continue
                fit = fit_factors(x, z, products, sums=sums, size=size, starts=2, steps=25, seed=seed, weight=weight)
                error = ((outer.torch(fit(x[cut:])) - y[cut:]).square().mean().sqrt() / spread).item()
                best = min(best, error) if math.isfinite(error) else best
            if best < 0.3:
                bits = 8 * math.log2(max(best, 1e-7)) + 6 * products + 2 * sums + 3 * (outer.name != "identity") + extra
                found.append(Structure(variables, outer, products, sums, best, bits))
    return found


def exchanged(variables: Variables) -> Iterator[Variables]:
    """The variables with one of them replaced by its pairing with another."""
    for i, j in itertools.permutations(range(len(variables.expressions)), 2):
        for pairing in PAIRINGS[:4]:
            if pairing.name in ("difference", "sum") and i > j:
                continue
            new = variables.exchanged(i, j, pairing)
            if torch.isfinite(new.x).all():
                yield new


def smoothest(x: Tensor, y: Tensor) -> Tensor:
    """The transform of y that a polynomial fits best; which variables act together does not depend on it."""
    candidates = [o.inverse(y) for o in OUTERS[:5] if o.low < y.amin() and y.amax() < o.high]
    usable = [z for z in candidates if torch.isfinite(z).all() and z.std() > 0]
    return min(usable, key=lambda z: surface(x, z)[0])
