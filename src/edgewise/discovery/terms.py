"""Finds the functions behind the curves of a structure and combines them: expressions with rough constants."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.separable import SeparableFit, fit_separable
from edgewise.discovery.structure import Structure
from edgewise.discovery.univariate import Composition, Member, search_curve, search_space
from edgewise.functional import least_squares
from edgewise.nn import Library
from edgewise.progress import Pulse

NOTHING = 1e-9
"""A term smaller than this share of the largest one is zero."""


@dataclass(frozen=True)
class CurvesOfStructure:
    """A structure with its fitted curves, the targets $z = F^{-1}(y)$, and the library of functions."""

    structure: Structure
    curves: SeparableFit
    z: Float[Tensor, " samples"]
    library: Library
    pulse: Pulse

    @property
    def x(self) -> Float[Tensor, "samples variables"]:
        """The samples of the variables."""
        return self.structure.variables.x

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The symbols of the variables."""
        return self.structure.variables.symbols

    def resolution(self, samples: int) -> float:
        """The relative error of the curves: what is left, or where that is noise, its share in their coefficients."""
        error, coefficients = self.curves.error, self.curves.sums.numel() + self.curves.products.numel()
        return error if error < 1e-4 else 1.5 * error * math.sqrt(min(1.0, coefficients / samples))

    def grid(self, j: int) -> Float[Tensor, " points"]:
        """Points over the range of variable j."""
        return torch.linspace(self.curves.low[j].item(), self.curves.high[j].item(), 128, dtype=torch.float64)

    def searched(self, j: int, g: Float[Tensor, " points"]) -> list[Composition]:
        """The three best functions for a factor g of variable j, given on its grid."""
        return search_curve(self.grid(j), g, self.library, max(1e-7, 2 * self.resolution(len(self.z))), self.pulse)[:3]


def laws_of_structure(
    structure: Structure, y: Float[Tensor, " samples"], library: Library, seed: int, pulse: Pulse
) -> Iterator[Any]:
    """Expressions with rough constants for the curves of a structure, in the symbols of its variables."""
    x, z = structure.variables.x, structure.outer.inverse(y)
    fit = partial(fit_separable, x, z, structure.products, sums=structure.sums, weight=structure.outer.slope(z))
    pulse(f"curves of {structure}")
    fits = [fit(size=size, steps=60, seed=seed) for size in ((9, 13, 18, 28) if len(x) > 300 else (6, 9))]
    found = CurvesOfStructure(structure, min(fits, key=lambda f: f.error), z, library, pulse)
    if structure.products == 1 and not structure.sums:
        yield from map(structure.outer.sympy, _product(found))
    elif structure.products == 0 and structure.outer.name == "exp":
        yield from _exponential(found, y)
        yield from map(structure.outer.sympy, _expanded(found))
    elif structure.products == 0 and x.shape[1] == 1:
        yield from map(structure.outer.sympy, _single(found))
    else:
        yield from map(structure.outer.sympy, _expanded(found))


def _single(found: CurvesOfStructure) -> Iterator[Any]:
    """One curve of one variable; its resolution is that of a thousand samples, whatever their number."""
    t = found.grid(0)
    resolution = max(1e-7, found.resolution(1000))
    for composition in search_curve(t, found.curves(t[:, None]), found.library, resolution, found.pulse)[:3]:
        yield composition.expression(found.symbols[0])


def _product(found: CurvesOfStructure) -> Iterator[Any]:
    """A pure product: every factor is known up to its scale, so that compositions can be searched."""
    options = []
    for j in range(len(found.symbols)):
        g = found.curves.curves(j, found.grid(j))[:, 1]
        g = g / g.abs().amax() * g.mean().sign()
        options.append(found.searched(j, g))
    yield from _combined(found, options, found.z)


def _exponential(found: CurvesOfStructure, y: Tensor) -> Iterator[Any]:
    """exp of a sum is a product of factors exp(h_j)."""
    options = []
    for j in range(len(found.symbols)):
        h = found.curves.curves(j, found.grid(j))[:, 0]
        if h.amax() - h.amin() > 50:
            return
        g = torch.exp(h - h.mean())
        options.append(found.searched(j, g))
    yield from _combined(found, options, y)


def _combined(found: CurvesOfStructure, options: list[list[Composition]], target: Tensor) -> Iterator[Any]:
    """The best products of one function per variable, scaled to the target."""
    combinations = sorted(itertools.product(*options), key=lambda c: sum(t.bits for t in c))
    for factors in combinations[:3]:
        product = reduce(lambda p, q: p * q, (f.expression(v) for f, v in zip(factors, found.symbols, strict=True)))
        value = reduce(torch.mul, (f.value(found.x[:, j]) for j, f in enumerate(factors)))
        scale = ((value @ target) / (value @ value)).item()
        if math.isfinite(scale):
            yield sympy.Float(scale, 17) * product


def _expanded(found: CurvesOfStructure) -> Iterator[Any]:
    """Sums and products of library functions: the functions of every variable first, then which products of them."""
    spread = found.z.std(correction=0).item()
    seen = set()
    for times in (10, 1):
        resolution = times * max(1e-7, found.resolution(len(found.z))) * spread
        grids = [found.grid(j) for j in range(len(found.symbols))]
        found.pulse("functions for curves")
        bases = [search_space(t, found.curves.curves(j, t), resolution, found.library) for j, t in enumerate(grids)]
        if all(bases) and str(bases) not in seen:
            seen.add(str(bases))
            yield from _choices(found, bases)


def _choices(found: CurvesOfStructure, bases: list[list[tuple[Member, ...]]]) -> Iterator[Any]:
    for choice in sorted(itertools.product(*(range(len(b)) for b in bases)), key=sum)[:3]:
        picked = [basis[k] for basis, k in zip(bases, choice, strict=True)]
        if math.prod(len(p) + 1 for p in picked) <= 300:
            expression = _tensor_fit(found, picked)
            if expression is not None:
                yield expression


def _tensor_fit(found: CurvesOfStructure, picked: list[tuple[Member, ...]]) -> Any:
    """Least squares on products of functions of different variables, useless ones dropped; None if undefined."""
    found.pulse("products of functions")
    x, z = found.x, found.z
    values = [[torch.ones(len(x), dtype=x.dtype), *(m.value(x[:, j]) for m in p)] for j, p in enumerate(picked)]
    functions = [[sympy.Integer(1), *(m.expression(v) for m in p)] for p, v in zip(picked, found.symbols, strict=True)]
    columns = torch.stack([reduce(torch.mul, c) for c in itertools.product(*values)], -1)
    terms = [sympy.Mul(*c) for c in itertools.product(*functions)]
    if not torch.isfinite(columns).all():
        return None
    weight = found.structure.outer.slope(z)
    weight = weight / weight.square().mean().sqrt()
    z = z * weight
    columns = columns * weight[:, None]
    keep = useful(columns, z)
    c = coefficients(columns[:, keep], z)
    return sympy.Add(*(sympy.Float(v, 17) * terms[k] for v, k in zip(c.tolist(), keep, strict=True)))


def coefficients(A: Float[Tensor, "samples terms"], z: Float[Tensor, " samples"], nothing: float = 0.0) -> Tensor:
    """Least squares on columns of equal size; terms smaller than this share of the largest one are left out."""
    size = A.square().mean(0).sqrt().clamp_min(1e-300)
    c = least_squares(A / size, z[:, None])[:, 0]
    return torch.where(c.abs() > nothing * c.abs().amax(), c / size, 0.0)


def useful(A: Float[Tensor, "samples terms"], z: Float[Tensor, " samples"]) -> list[int]:
    """The columns that are left after those are dropped, one by one, whose loss chance explains."""
    A = A / A.square().mean(0).sqrt().clamp_min(1e-300)
    keep = list(range(A.shape[1]))
    c = least_squares(A, z[:, None])[:, 0]
    full = (A @ c - z).square().mean().item()
    floor = 1e-24 * z.square().mean().item()
    while len(keep) > 1:
        Q, R = torch.linalg.qr(A[:, keep])
        c = torch.linalg.solve_triangular(R, Q.T @ z[:, None], upper=True)[:, 0]
        inverse = torch.linalg.inv(R) if torch.isfinite(c).all() else None
        if inverse is None:
            keep.pop()
            continue
        rise = c.square() / inverse.square().sum(1) / len(z)
        k = int(rise.argmin())
        # Curves known to a part in 10^4 leave a small systematic residual that needless terms soak up.
        if rise[k] > 20.0 / len(z) * full + floor and rise[k] > 0.5 * full:
            break
        if rise[k] > 30.0 / len(z) * full + floor and full > 1e-6 * z.var().item():
            break
        keep.pop(k)
    return keep


def exact_number(value: float) -> Any:
    """The number as an expression; whole numbers are whole."""
    whole = abs(value - round(value)) <= 1e-12 * abs(value)
    return sympy.Integer(round(value)) if whole else sympy.Float(value, 17)
