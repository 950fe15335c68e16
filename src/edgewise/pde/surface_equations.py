r"""The least-squares problem of a surface: sparse rows, and the banded normal equations of a Gauss-Newton step.

At a point the residual depends on the $(p+1)^d$ coefficients per field whose functions do not vanish there,

$$ \frac{\partial r}{\partial c_{k f}}
   = \sum_\alpha \frac{\partial r}{\partial D^\alpha u_f} \prod_j B_{k_j}^{(\alpha_j)}(x_j), $$

so that $J^T J$ is a band, if the axis with the most functions is counted slowest (a periodic axis is folded: its two
ends are neighbours). Its Cholesky factor costs P times the square of the band (Golub & Van Loan, Matrix Computations,
section 4.3). The steps: `edgewise.pde.surface_steps`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from edgewise.jets import Index
from edgewise.nn import Surface
from edgewise.optim.banded import OUTSIDE, BandedEquations
from edgewise.pde.operators import LAPLACIAN, Scope, second_derivatives
from edgewise.pde.problem import Problem, stacked
from edgewise.pde.surface_points import CellTerm
from edgewise.progress import Budget, TimeIsOver

BLOCK = 1_500_000  # numbers in the rows of a block of cells: more are not faster, they leave the cache


@dataclass(frozen=True)
class Weighted:
    """A term and the factor of its mean square, one for every residual."""

    term: CellTerm
    factor: Float[Tensor, " equations"]


class SurfaceEquations:
    r"""The loss $\sum_t \sum_e f_{te} \sum_q w_q r_{teq}^2$ of a surface over its free coefficients and the unknowns.

    Args:
        problem: what is solved.
        surface: its coefficients are changed in place by `moved`.
        terms: what is squared.
        free: which coefficients may change, of the shape of `surface.coef`; None for all.
        unknowns: the values of the unknowns of the problem, changed in place.
    """

    def __init__(
        self,
        problem: Problem,
        surface: Surface,
        terms: Sequence[Weighted],
        *,
        free: Tensor | None = None,
        unknowns: dict[str, float] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.problem, self.surface, self.terms = problem, surface, list(terms)
        self.unknowns = {} if unknowns is None else unknowns
        self.budget = budget or Budget()
        self.place, self.count = _places(surface, free)

    def residuals(self, term: CellTerm, cells: slice = slice(None)) -> Float[Tensor, "equations cells rows"]:
        """The residuals of a term."""
        local = local_leaves(self.problem, self.surface, term, self.unknowns, cells)
        with torch.no_grad():
            return stacked(term.residual(local.scope(local.leaves))).unflatten(1, (-1, term.shape[1]))

    def loss(self) -> float:
        """The loss at the coefficients as they are."""
        total = 0.0
        for weighted in self.terms:
            for cells in self._blocks(weighted.term, values_only=True):
                r = self.residuals(weighted.term, cells)
                total += float((weighted.factor[:, None, None] * weighted.term.weights[cells] * r.square()).sum())
        return total

    def moved(self, move: np.ndarray, unknowns: np.ndarray) -> None:
        """Change the free coefficients and the unknowns, in place, by a step."""
        self.surface.coef.data.view(-1)[self._flat] += torch.from_numpy(move)
        for name, m in zip(self.unknowns, unknowns, strict=True):
            self.unknowns[name] += float(m)

    @property
    def _flat(self) -> Int[Tensor, " free"]:
        """The flat index of the coefficient at every place."""
        flat = torch.empty(self.count, dtype=torch.int64)
        inside = self.place != OUTSIDE
        flat[self.place[inside]] = inside.nonzero()[:, 0]
        return flat

    def information(self) -> Float[np.ndarray, "unknowns unknowns"]:
        """The Gauss-Newton matrix of the unknowns after the coefficients have followed them."""
        return self.system().schur()

    def system(self) -> BandedEquations:
        """The normal equations at the coefficients as they are."""
        parts = [
            (cells, weighted) for weighted in self.terms for cells in self._blocks(weighted.term, values_only=False)
        ]
        system = BandedEquations(self.count, len(self.unknowns))
        for cells, weighted in parts:
            if self.budget.spent > 1.1 * self.budget.seconds + 2:
                raise TimeIsOver
            places, r, J, U = self._rows(weighted.term, cells)
            w = weighted.factor[:, None, None] * weighted.term.weights[cells]
            root = w.sqrt()
            shape = (root.shape[1], -1)
            r = (r * root).movedim(1, 0).reshape(shape)
            J = (J * root[..., None]).movedim(1, 0).reshape(*r.shape, J.shape[-1])
            U = (U * root[..., None]).movedim(1, 0).reshape(*r.shape, U.shape[-1])
            system.add(places, r, J, U)
        return system

    def _rows(self, term: CellTerm, cells: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Places of the local coefficients (cells, local), residuals (e, cells, rows), and their rows.

        The rows of the coefficients are (e, cells, rows, local), those of the unknowns (e, cells, rows, unknowns).
        """
        shape, fields, F = term.weights[cells].shape, list(self.problem.fields), self.surface.outputs
        local = local_leaves(self.problem, self.surface, term, self.unknowns, cells)
        targets = [v.requires_grad_() for v in (*local.leaves.values(), *local.free.values())]
        with torch.enable_grad():
            residuals = stacked(term.residual(local.scope(local.leaves)))
        rows, columns = [], []
        for r in residuals:
            slopes: Sequence[Tensor | None] = [None] * len(targets)
            if r.requires_grad:
                slopes = torch.autograd.grad(r.sum(), targets, retain_graph=True, allow_unused=True)
            J = r.new_zeros(*local.index.shape, F)
            for (name, a), slope in zip(local.leaves, slopes, strict=False):
                if slope is not None:
                    J[..., fields.index(name)].addcmul_(slope[:, None], local.products[a])
            rows.append(J.flatten(1).unflatten(0, shape))
            also = [torch.zeros_like(r) if s is None else s for s in slopes[len(local.leaves) :]]
            columns.append(torch.stack(also, -1).unflatten(0, shape) if also else r.new_zeros(*shape, 0))
        at = local.index.unflatten(0, shape)[:, 0]
        places = self.place[(at[..., None] * F + torch.arange(F)).flatten(1)]
        return places, residuals.unflatten(1, shape).detach(), torch.stack(rows).detach(), torch.stack(columns).detach()

    def _blocks(self, term: CellTerm, *, values_only: bool) -> list[slice]:
        local = (self.surface.degree + 1) ** self.surface.variables * (1 if values_only else 4)
        each = max(1, BLOCK // (local * term.shape[1] * self.surface.outputs))
        return [slice(a, a + each) for a in range(0, term.shape[0], each)]


@dataclass
class LocalLeaves:
    """The fields and derivatives that a residual uses, at the points of a block of cells.

    Attributes:
        index: the flat index of the local functions of every point.
        products: their derivatives.
        leaves: the fields and derivatives.
        free: the unknowns, at every point.
        scope: from leaves to the names that residuals may use.
    """

    index: Int[Tensor, "points local"]
    products: Mapping[Index, Float[Tensor, "points local"]]
    leaves: dict[tuple[str, Index], Float[Tensor, " points"]]
    free: dict[str, Float[Tensor, " points"]]
    scope: Callable[[Mapping[tuple[str, Index], Tensor]], Scope]


@torch.no_grad()
def local_leaves(
    problem: Problem, surface: Surface, term: CellTerm, unknowns: Mapping[str, float], cells: slice
) -> LocalLeaves:
    """What the residual of a term uses in some cells."""
    x, width = term.points(cells), term.shape[1]
    normals = None if term.normal is None else term.normal.expand_as(x)
    given = {name: column.unflatten(0, (-1, width))[cells].flatten() for name, column in term.columns.items()}
    used = sorted(problem.rehearse(term.residual, boundary=normals is not None)[0])
    squares = second_derivatives(problem.domain.coordinates)
    plain = {b for _, a in used for b in (squares if a == LAPLACIAN else [a])}
    orders = [max((a[j] for a in plain), default=0) for j in range(surface.variables)]
    parts = []
    for j, n in enumerate(orders):
        columns, values = surface.curves(j, term.lines[j], n)
        at = term.at[j][cells].flatten()
        parts.append((columns[at], [v[at] for v in values]))
    index = surface.columns([columns for columns, _ in parts])
    products = {a: _product([values[n] for (_, values), n in zip(parts, a, strict=True)]) for a in plain}
    if any(a == LAPLACIAN for _, a in used):
        products[LAPLACIAN] = sum((products[a] for a in squares[1:]), products[squares[0]])
    coef, fields = surface.coef.detach().flatten(0, -2), list(problem.fields)
    local = {name: coef[:, fields.index(name)][index] for name in {name for name, _ in used}}
    leaves = {(name, a): (products[a] * local[name]).sum(1) for name, a in used}
    free = {name: x.new_full((len(x),), value) for name, value in unknowns.items()}

    def scope(known: Mapping[tuple[str, Index], Tensor]) -> Scope:
        return problem.scope(x, normals, lambda f, a: known[f, a], free, given)

    return LocalLeaves(index, products, leaves, free, scope)


def _product(factors: Sequence[Tensor]) -> Float[Tensor, "points local"]:
    made = factors[0]
    for values in factors[1:]:
        made = (made[:, :, None] * values[:, None, :]).flatten(1)
    return made


def _places(surface: Surface, free: Tensor | None) -> tuple[Int[Tensor, " all"], int]:
    """The place of every coefficient in the band, by its flat index, and how many are free."""
    sizes = surface.sizes
    slow_first = sorted(range(len(sizes)), key=lambda j: -sizes[j])
    rank = torch.zeros(*sizes, surface.outputs, dtype=torch.int64)
    for j in slow_first:
        k = torch.arange(sizes[j])
        if j in surface.periodic:
            k = torch.where(k < (sizes[j] + 1) // 2, 2 * k, 2 * (sizes[j] - 1 - k) + 1)
        rank = rank * sizes[j] + k.reshape([-1 if i == j else 1 for i in range(len(sizes) + 1)])
    rank = (rank * surface.outputs + torch.arange(surface.outputs)).flatten()
    chosen = torch.ones_like(rank, dtype=torch.bool) if free is None else free.flatten()
    order = torch.argsort(torch.where(chosen, rank, rank.max() + 1 + rank))
    count = int(chosen.sum())
    place = torch.full_like(rank, OUTSIDE)
    place[order[:count]] = torch.arange(count)
    return place, count
