r"""How large the residuals of a surface are, in units of the error that they stand for, and which grid is to blame.

A residual $r = a\,\partial_t^m u + \dots$ changes the field over the time T by about $T^m \|r\| / |a|$ at most, which
is counted relative to the size U of the fields. A residual without a time derivative is counted in units of its
greatest coefficient, $\max_\alpha |\partial r / \partial D^\alpha u| \prod_j L_j^{-\alpha_j}$. So all terms have one
unit, and none outweighs the others. How large the error is, is for `edgewise.pde.surface_checks` to say.

Along an axis whose grid is too coarse, the residual that least squares leaves changes its sign within every interval;
along one that is fine enough it is smooth. So the squared differences between neighbouring points of an axis,
$\frac12 \sum_q w_q (r_{q+1} - r_q)^2$, say which axis is to blame, and which of its intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.jets import Index
from edgewise.nn import Surface
from edgewise.pde.operators import LAPLACIAN, TIME, Scope, second_derivatives
from edgewise.pde.problem import Problem, stacked
from edgewise.pde.surface_equations import local_leaves
from edgewise.pde.surface_points import CellTerm

Leaf = tuple[str, Index]
LEFT = 0.01  # of the root of the summed squares: what may stay in intervals that are not halved
STRONGEST = 1e8  # the largest factor of a condition: beyond, rounding errors show
FEW = 0.2  # of the intervals: fewer ones are halved twice
SPARE = 1 / 4  # of its share: what an interval of the next window is made for
SAMPLED = 200  # cells, at most, from which the sizes of slopes are taken


@dataclass(frozen=True)
class Sensitivity:
    """A residual: how it depends on fields and their derivatives, as root mean squares.

    Attributes:
        slopes: of the residual in every derivative.
        values: of every derivative.
        rest: the residual without what is linear in them: its source.
    """

    slopes: Mapping[Leaf, float]
    values: Mapping[Leaf, float]
    rest: float

    @property
    def terms(self) -> float:
        """The size of what the residual is a sum of."""
        return sum(s * self.values[k] for k, s in self.slopes.items()) + self.rest


def sensitivities(
    problem: Problem, surface: Surface, term: CellTerm, unknowns: Mapping[str, float]
) -> list[Sensitivity]:
    """One for every residual of a term, from a sample of its cells."""
    step = max(1, term.shape[0] // SAMPLED)
    local = local_leaves(problem, surface, term, unknowns, slice(None, None, step))
    with torch.enable_grad():
        leaves = {k: v.requires_grad_() for k, v in local.leaves.items()}
        residuals = stacked(term.residual(local.scope(leaves)))
        found = []
        for r in residuals:
            slopes = (
                torch.autograd.grad(r.sum(), list(leaves.values()), retain_graph=True, allow_unused=True)
                if r.requires_grad
                else [None] * len(leaves)
            )
            known = {k: s for k, s in zip(leaves, slopes, strict=True) if s is not None}
            rest = r.detach() - sum((s * leaves[k].detach() for k, s in known.items()), torch.zeros(()))
            sizes = {k: _rms(s) for k, s in known.items()}
            found.append(Sensitivity(sizes, {k: _rms(leaves[k]) for k in known}, _rms(rest)))
    return found


def unit(problem: Problem, sensitivity: Sensitivity, over: float | None) -> float:
    """The residual that stands for an error of 1; `over` is the whole time, None where time is no different."""
    c, lengths = problem.domain.coordinates, [b - a for a, b in problem.domain.bounds]
    t = c.index(TIME) if TIME in c else None
    apart = [(s, a) for (_, index), s in sensitivity.slopes.items() for a in _each(index, c)]
    if t is not None and over is not None and (highest := max((a[t] for _, a in apart if _ > 0), default=0)):
        return max(s for s, a in apart if a[t] == highest) * over**-highest
    sizes = [s * math.prod(n**-m for n, m in zip(lengths, a, strict=True)) for s, a in apart]
    return max(sizes, default=0.0) or 1.0


def boundary_factor(problem: Problem, surface: Surface, term: CellTerm) -> float:
    r"""The factor of the squares of a condition of an equation of order m above two, $h^{-(2 (m - k) - 1)}$.

    k is the order of the condition, h the mean width of intervals as a share of the axis. Least squares of derivatives
    of high order would leave the conditions on a coarse grid otherwise (Bramble & Schatz, Comm. Pure Appl. Math. 23,
    1970).
    """
    t = problem.domain.coordinates.index(TIME) if TIME in problem.domain.coordinates else None

    def order(residual: Callable[[Scope], Any], *, boundary: bool) -> int:
        used, _ = problem.rehearse(residual, boundary=boundary)
        parts = [a for _, index in used for a in _each(index, problem.domain.coordinates)]
        return max((sum(a) - (a[t] if t is not None else 0) for a in parts), default=0)

    m = order(problem.equation_of, boundary=False)
    if m <= 2 or term.normal is None or (t is not None and float(term.normal[t]) != 0):
        return 1.0
    intervals = max(len(g) - 1 for j, g in enumerate(surface.grids) if j != t)
    return min(STRONGEST, float(intervals) ** (2 * (m - order(term.residual, boundary=True)) - 1))


def highest_order(problem: Problem, axis: int) -> int:
    """The highest order of the derivatives along an axis in the equation."""
    used, _ = problem.rehearse(problem.equation_of, boundary=False)
    return max((a[axis] for _, index in used for a in _each(index, problem.domain.coordinates) if a), default=0)


def roughness(
    r: Float[Tensor, "equations cells rows"],
    weights: Float[Tensor, "equations cells rows"],
    term: CellTerm,
    axis: int,
) -> Float[Tensor, " intervals"]:
    """The weighted squared differences of residuals between neighbours along an axis, half of them, by interval."""
    d, shape = len(term.grid), (len(r), *term.grid, *term.each)

    def in_line(values: Tensor) -> Float[Tensor, "line rest"]:
        line = values.reshape(shape).movedim((1 + axis, 1 + d + axis), (0, 1))
        return line.flatten(2).flatten(0, 1)

    r, w = in_line(r), in_line(weights)
    squares = w[1:] * r.diff(dim=0).square() / 2
    energy = torch.cat([squares, squares[-1:]]).sum(1)
    return energy.unflatten(0, (term.grid[axis], term.each[axis])).sum(1)


def bisected(
    grid: Float[Tensor, " points"], errors: Float[Tensor, " intervals"], target: float
) -> Float[Tensor, " finer"]:
    """The grid with intervals halved whose errors are above an equal share of the target; twice, if these are few.

    Of these only the largest, which hold nearly all of the squared errors (Doerfler, SIAM J. Numer. Anal. 33, 1996):
    near a kink the others are not to blame.
    """
    squares, order = errors.square().sort(descending=True)
    behind = squares.sum() - squares.cumsum(0)
    needed = 1 + int((behind > LEFT**2 * squares.sum()).sum())
    marked = torch.zeros_like(errors, dtype=torch.bool)
    marked[order[:needed]] = True
    marked &= errors * math.sqrt(len(errors)) > target
    marked[errors.argmax()] = True
    times = torch.where(marked, 2 if int(marked.sum()) <= FEW * len(errors) else 1, 0)
    h = grid.diff()
    parts = [grid[i] + h[i] * torch.arange(2**n, dtype=grid.dtype) / 2**n for i, n in enumerate(times.tolist())]
    return torch.cat([*parts, grid[-1:]])


def regraded(
    grid: Float[Tensor, " points"],
    errors: Float[Tensor, " intervals"],
    target: float,
    order: int,
    change: tuple[float, float],
) -> Float[Tensor, " other"]:
    """A grid on which every interval would have a share of the target, if errors fall with this power of its width.

    Widths change by factors between the two of `change`, those of neighbours together, as what they follow moves.
    """
    shares = SPARE * target / math.sqrt(len(errors)) / errors.clamp(min=target * 1e-30)
    factors = shares.pow(1 / order).clamp(*change)
    padded = torch.cat([factors[:1], factors[:1], factors, factors[-1:], factors[-1:]])
    needed = padded.unfold(0, 5, 1).amin(1).reciprocal()  # new intervals within every old one
    passed = torch.cat([needed.new_zeros(1), needed.cumsum(0)])
    count = max(1, math.ceil(float(passed[-1]) - 1e-9))
    at = torch.linspace(0, float(passed[-1]), count + 1, dtype=torch.float64)[1:-1]
    i = torch.searchsorted(passed, at, right=True) - 1
    inner = grid[i] + (at - passed[i]) / needed[i] * grid.diff()[i]
    return torch.cat([grid[:1], inner, grid[-1:]])


def _each(index: Index, coordinates: Sequence[str]) -> list[Index]:
    return second_derivatives(coordinates) if index == LAPLACIAN else [index]


def _rms(values: Tensor) -> float:
    return float(values.detach().square().mean().sqrt())
