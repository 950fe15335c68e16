"""Expressions with rough numbers for a structure: the functions behind its curves, and how they combine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import reduce
from typing import Any

import sympy
import torch
from torch import Tensor

from edgewise.discovery.factors import Factors, fit_factors
from edgewise.discovery.structure import Structure
from edgewise.discovery.univariate import Member, search_curve, search_space
from edgewise.nn import Library

Symbols = tuple[sympy.Symbol, ...]


def rough_expressions(structure: Structure, symbols: Symbols, y: Tensor, library: Library, seed: int) -> Iterator[Any]:
    """Expressions with rough numbers for the curves of a structure, in one symbol per variable."""
    x = structure.variables.x
    z = structure.outer.inverse(y)
    sizes = (9, 13, 18, 28) if len(x) > 300 else (6, 9)
    fits = [
        fit_factors(
            x, z, structure.products, sums=structure.sums, size=s, steps=60, seed=seed, weight=structure.weight(z)
        )
        for s in sizes
    ]
    fit = min(fits, key=lambda f: f.error)
    grids = [torch.linspace(low, high, 128, dtype=torch.float64) for low, high in zip(fit.low, fit.high, strict=True)]
    if structure.products == 1 and not structure.sums:
        yield from _product(structure, symbols, fit, grids, library, z)
    elif structure.products == 0 and structure.outer.name == "exp":
        yield from _exponential(structure, symbols, fit, grids, library, y)
        yield from _expanded(structure, symbols, fit, grids, z, library)
    elif structure.products == 0 and x.shape[1] == 1:
        yield from _single(structure, symbols, fit, grids[0], library)
    else:
        yield from _expanded(structure, symbols, fit, grids, z, library)


def _single(structure: Structure, symbols: Symbols, fit: Factors, t: Tensor, library: Library) -> Iterator[Any]:
    values = fit(t[:, None])
    for term in search_curve(t, values, library, resolution=max(1e-7, _curve_error(fit, 1000)))[:3]:
        yield structure.outer.sympy(term.expression(symbols[0]))


def _product(
    structure: Structure, symbols: Symbols, fit: Factors, grids: list[Tensor], library: Library, z: Tensor
) -> Iterator[Any]:
    """A pure product: every factor is known up to its scale, so that compositions can be searched."""
    options = []
    for j, t in enumerate(grids):
        g = fit.curves(j, t)[:, 1]
        g = g / g.abs().amax() * g.mean().sign()
        options.append(search_curve(t, g, library, resolution=max(1e-7, 2 * _curve_error(fit, len(z))))[:3])
    yield from _combined(structure, symbols, options, z)


def _exponential(
    structure: Structure, symbols: Symbols, fit: Factors, grids: list[Tensor], library: Library, y: Tensor
) -> Iterator[Any]:
    """exp of a sum is a product of factors exp(h_j)."""
    options = []
    for j, t in enumerate(grids):
        h = fit.curves(j, t)[:, 0]
        if h.amax() - h.amin() > 50:
            return
        g = torch.exp(h - h.mean())
        options.append(search_curve(t, g, library, resolution=max(1e-7, 2 * _curve_error(fit, len(y))))[:3])
    yield from _combined(structure, symbols, options, y, outer=False)


def _combined(
    structure: Structure, symbols: Symbols, options: list[list[Any]], z: Tensor, outer: bool = True
) -> Iterator[Any]:
    """The best products of one function per variable, scaled to z."""
    combinations = sorted(itertools.product(*options), key=lambda c: sum(t.bits for t in c))
    for terms in combinations[:3]:
        factors = [t.expression(v) for t, v in zip(terms, symbols, strict=True)]
        product = reduce(lambda p, q: p * q, factors)
        values = [t.value(structure.variables.x[:, j]) for j, t in enumerate(terms)]
        value = reduce(torch.mul, values)
        scale = ((value @ z) / (value @ value)).item()
        if math.isfinite(scale):
            yield structure.outer.sympy(sympy.Float(scale, 17) * product) if outer else sympy.Float(scale, 17) * product


def _expanded(
    structure: Structure, symbols: Symbols, fit: Factors, grids: list[Tensor], z: Tensor, library: Library
) -> Iterator[Any]:
    """Sums and products of library functions: the functions of every variable first, then which products of them."""
    spread = z.std(correction=0).item()
    seen = set()
    x = structure.variables.x
    for times in (10, 1):
        resolution = times * max(_curve_error(fit, len(x)), 1e-7) * spread
        bases = [search_space(t, fit.curves(j, t), resolution, library) for j, t in enumerate(grids)]
        if not all(bases) or str(bases) in seen:
            continue
        seen.add(str(bases))
        yield from _choices(structure, symbols, bases, x, z)


def _curve_error(fit: Factors, samples: int) -> float:
    """The relative error of the curves: what is left, or where that is noise, its share in the curves' numbers."""
    numbers = fit.sums.numel() + fit.products.numel()
    return fit.error if fit.error < 1e-4 else 1.5 * fit.error * math.sqrt(min(1.0, numbers / samples))


def _choices(
    structure: Structure, symbols: Symbols, bases: list[list[tuple[Member, ...]]], x: Tensor, z: Tensor
) -> Iterator[Any]:
    choices = sorted(itertools.product(*(range(len(b)) for b in bases)), key=sum)[:3]
    for choice in choices:
        picked = [basis[k] for basis, k in zip(bases, choice, strict=True)]
        if math.prod(len(p) + 1 for p in picked) > 300:
            continue
        expression = _tensor_fit(structure, symbols, picked, x, z)
        if expression is not None:
            yield structure.outer.sympy(expression)


def _tensor_fit(structure: Structure, symbols: Symbols, picked: list[tuple[Member, ...]], x: Tensor, z: Tensor) -> Any:
    """Least squares on products of the functions of different variables; useless ones are dropped one by one."""
    values = [[torch.ones(len(x), dtype=x.dtype), *(m.value(x[:, j]) for m in p)] for j, p in enumerate(picked)]
    functions = [[sympy.Integer(1), *(m.expression(v) for m in p)] for p, v in zip(picked, symbols, strict=True)]
    columns = torch.stack([reduce(torch.mul, c) for c in itertools.product(*values)], -1)
    terms = [sympy.Mul(*c) for c in itertools.product(*functions)]
    if not torch.isfinite(columns).all():
        return None
    weight = structure.weight(z)
    weight = weight / weight.square().mean().sqrt()
    z = z * weight
    columns = columns * weight[:, None]
    size = columns.square().mean(0).sqrt().clamp_min(1e-300)
    A = columns / size
    keep = list(range(len(terms)))
    c = torch.linalg.lstsq(A, z[:, None]).solution[:, 0]
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
        if rise[k] > max(20.0 / len(z), 0.0) * full + floor and rise[k] > 0.5 * full:
            break
        if rise[k] > 30.0 / len(z) * full + floor and full > 1e-6 * z.var().item():
            break
        keep.pop(k)
    c = torch.linalg.lstsq(A[:, keep], z[:, None]).solution[:, 0] / size[keep]
    return sympy.Add(*(sympy.Float(v, 17) * terms[k] for v, k in zip(c.tolist(), keep, strict=True)))
