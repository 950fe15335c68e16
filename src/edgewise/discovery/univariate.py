r"""Searches functions behind curves of one variable: short compositions for one curve, bases of the space of several.

A composition is searched through the inverse of its outer function: where $F^{-1}(v x^k)$ is a function f of the
library, $v = x^{-k} F(f)$. A space of curves has no preferred basis; functions are searched that lie in it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.invertible import Invertible, chosen
from edgewise.expressions.constants import minimize_residual
from edgewise.functional import least_squares
from edgewise.nn import Library, SymbolicFn
from edgewise.progress import Pulse
from edgewise.symbolic.edges import BITS_PER_COMPLEXITY, Candidate, edge_expression, judge, search_edge, tidy
from edgewise.symbolic.inner import coarse_grids, defined

OUTSIDES = chosen("1/x", "sqrt", "1/sqrt", "x^2", "exp", "log")
"""Outer functions of compositions."""

MONOMIALS = (1, 2, -1, -2)
"""Powers k of compositions $x^{-k} F(f(x))$."""


@dataclass(frozen=True)
class Composition:
    r"""A function of one variable with rough constants, $x^{-k} F(c f(a x + b) + d)$.

    Attributes:
        inside: the function of the library with its parameters.
        outside: the outer function F, or None for the identity.
        power: the exponent k.
        bits: description length of the curve by this function.
        missing: share of the variance of the curve that is left.
    """

    inside: Candidate
    outside: Invertible | None
    power: int
    bits: float
    missing: float

    def expression(self, x: Any) -> Any:
        """The function as sympy."""
        inside = self.inside.expression(x)
        return (inside if self.outside is None else self.outside.sympy(inside)) * x**-self.power

    def value(self, x: Tensor) -> Tensor:
        """The function at x."""
        return _value(self.inside, self.outside, self.power, x)


def search_curve(
    x: Float[Tensor, " samples"], v: Float[Tensor, " samples"], library: Library, resolution: float, pulse: Pulse
) -> list[Composition]:
    """Functions for a curve whose scale and zero are known: of the library, or one outside around one of it.

    The compositions are tried only where every function of the library leaves more than the resolution of the curve.
    """
    found = [Composition(c, None, 0, c.score, 1 - c.r2) for c in _ranked(x, v, library, resolution)[:4]]
    if found and found[0].missing <= (3 * resolution) ** 2:
        return found
    variance = v.var(correction=0)
    for outside, power in itertools.product((None, *OUTSIDES), (0, *MONOMIALS)):
        if outside is None and power == 0:
            continue
        pulse("functions of functions for a curve")
        moved = v * x**power
        moved = moved if outside is None else outside.inverse(moved)
        if not torch.isfinite(moved).all() or moved.abs().amax() > 1e6 * moved.abs().mean() or not moved.var() > 0:
            continue
        for c in _ranked(x, moved, library, resolution)[:2]:
            missing = ((_value(c, outside, power, x) - v).square().mean() / variance).item()
            if math.isfinite(missing):
                extra = (outside is not None) + (abs(power) + 1) * (power != 0)
                bits = 0.5 * 32 * math.log2(max(missing, resolution**2)) + BITS_PER_COMPLEXITY * (c.complexity + extra)
                found.append(Composition(c, outside, power, bits, missing))
    return sorted(found, key=lambda t: t.bits)


def _value(inside: Candidate, outside: Invertible | None, power: int, x: Tensor) -> Tensor:
    value = inside.value(x)
    return (value if outside is None else outside(value)) * x**-power


def _ranked(x: Tensor, v: Tensor, library: Library, resolution: float) -> list[Candidate]:
    """`search_edge` with the plain functions f(x), f(2x), ... among its candidates; their parameters cost less."""
    candidates = []
    for c in search_edge(x, v, library=library, resolution=resolution):
        a, b, _, _ = c.affine
        candidates.append(replace(c, score=c.score + BITS_PER_COMPLEXITY * ((abs(a) != 1) + (b != 0))))
    for fn in library.values():
        for a in (1.0, 2.0, 0.5, -1.0):
            f = fn(a * x)
            if torch.isfinite(f).all() and f.std() > 1e-9:
                c = judge(fn, a, 0.0, x, v, resolution)
                candidates.append(replace(c, score=c.score + BITS_PER_COMPLEXITY * 0.5 * (abs(c.affine[0]) != 1)))
    return sorted(candidates, key=lambda c: (round(c.score, 2), c.complexity))


@dataclass(frozen=True)
class Member:
    """A function f(a x + b) that lies in a space of curves."""

    fn: SymbolicFn
    a: float
    b: float

    def expression(self, x: Any) -> Any:
        """The function as sympy."""
        return edge_expression(self.fn, (self.a, self.b, 1.0, 0.0), x)

    def value(self, x: Tensor) -> Tensor:
        """The function at x."""
        return self.fn(self.a * x + self.b)

    @property
    def bits(self) -> float:
        """What the function and its parameters cost to describe."""
        return BITS_PER_COMPLEXITY * (self.fn.complexity + (self.a != 1) + (self.b != 0))


def search_space(
    x: Float[Tensor, " samples"], curves: Float[Tensor, "samples curves"], resolution: float, library: Library
) -> list[tuple[Member, ...]]:
    """Bases of the space of the curves and the constant made of library functions, best first.

    Args:
        x: points.
        curves: values there, each scaled by its contribution.
        resolution: the absolute error of the curves.
        library: functions to try.
    """
    centred = curves - curves.mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    rank = int((s > resolution * math.sqrt(len(x))).sum())
    if rank == 0:
        return [()]
    weights = s[:rank]
    q = u[:, :rank]
    if rank == 1:
        level = resolution / weights[0].item() * math.sqrt(len(x))
        found = _ranked(x, q[:, 0] * math.sqrt(len(x)), library, level)
        return [(Member(c.fn, c.affine[0], c.affine[1]),) for c in found[:4]]
    level = min(resolution * math.sqrt(len(x)) / weights[-1].item(), 0.07)
    members = _members(x, q, library, level)
    if len(members) < rank:
        return []
    bases = []
    for basis in itertools.combinations(members[:14], rank):
        left = _outside_span(x, q * weights, [m.value(x) for m in basis])
        missing = (left.square().sum() / weights.square().sum()).item()
        bits = 0.5 * 32 * math.log2(max(missing, resolution**2, 1e-14))
        bases.append((bits + sum(m.bits for m in basis), basis))
    return [basis for _, basis in sorted(bases, key=lambda b: b[0])[:4]]


def _outside_span(x: Tensor, target: Tensor, values: list[Tensor]) -> Tensor:
    columns = torch.stack([v - v.mean() for v in values], -1)
    columns = columns / columns.norm(dim=0).clamp_min(1e-300)
    return target - columns @ least_squares(columns, target)


def _members(x: Tensor, q: Float[Tensor, "samples rank"], library: Library, level: float) -> list[Member]:
    """Functions in the span of q, known to `level`: plain f(x), f(-x), f(2x), and the best (a, b) of every function."""
    middle, half = (x.amax() + x.amin()) / 2, (x.amax() - x.amin()) / 2
    t = (x - middle) / half
    scored: list[tuple[float, Member]] = []
    for fn in library.values():
        for a in (1.0, 2.0, 0.5, -1.0):
            value = fn(a * x)
            if torch.isfinite(value).all() and value.std() > 1e-9:
                member = Member(fn, *tidy(fn.name, (a, 0.0, 1.0, 0.0))[:2])
                scored.append((_missing(value, q), member))
    for fn in library.values():
        if fn.name not in ("0", "x"):
            for missing, alpha, beta in _shifted(fn, t, q):
                a = alpha / half.item()
                affine = tidy(fn.name, (a, beta - a * middle.item(), 1.0, 0.0))
                scored.append((missing, Member(fn, affine[0], affine[1])))
    scored = [(m, member) for m, member in scored if m < max(1e-3, (3 * level) ** 2)]
    scored.sort(key=lambda p: 16 * math.log2(max(p[0], level**2, 1e-14)) + p[1].bits)
    different: list[Member] = []
    for _, member in scored:
        value = member.value(x)
        if all(_missing(value, _unit(other.value(x))) > 1e-8 for other in different):
            different.append(member)
    return different


def _shifted(fn: SymbolicFn, t: Tensor, q: Tensor) -> list[tuple[float, float, float]]:
    """What the best two (alpha, beta) of a coarse grid leave after refinement, and these parameters."""
    grid = torch.cat(coarse_grids())
    f = fn(grid[:, :1] * t + grid[:, 1:])
    f = f - f.mean(-1, keepdim=True)
    norm = f.square().sum(-1)
    share = (f @ q).square().sum(-1) / norm
    usable = defined(fn, grid, 1.0) & torch.isfinite(norm) & (norm > 1e-20)
    share = torch.where(usable, share, -1.0)
    return [_refine(fn, t, q, grid[k]) for k in share.topk(2).indices.tolist() if share[k] > 0.9]


def _unit(v: Tensor) -> Tensor:
    v = v - v.mean()
    return (v / v.norm())[:, None]


def _missing(value: Tensor, q: Tensor) -> float:
    f = value - value.mean()
    energy = f.square().sum()
    return (1 - (q.T @ f).square().sum() / energy).clamp_min(0).item()


def _refine(fn: SymbolicFn, t: Tensor, q: Tensor, start: Tensor) -> tuple[float, float, float]:
    """Levenberg-Marquardt on (alpha, beta) for the part of f outside the space."""

    def outside(p: Tensor) -> Tensor:
        f = fn(p[0] * t + p[1])
        f = f - f.mean()
        f = f / f.norm()
        return f - q @ (q.T @ f)

    p, cost = minimize_residual(outside, start, steps=20)
    return cost * len(t), p[0].item(), p[1].item()
