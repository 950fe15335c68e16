r"""Evaluate the loss of a problem as a least-squares problem in the parameters of its model, with an analytic Jacobian.

The loss is $L(\theta) = \sum_t w_t\, \frac{1}{n_t} \sum_b r_{tb}(\theta)^2$ over the terms t. A layer computes
$y_{abi} = \sum_p W_{abp}\, c_{pi}$ for every coefficient a of its jets, and no sample sees another, so that one reverse
sweep from $\sum_b r_b$ gives the derivatives $G_{abi} = \partial r_b / \partial y_{abi}$ of all samples at once and

$$ \frac{\partial r_b}{\partial c_{pi}} = \sum_a W_{abp}\, G_{abi}. $$
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from edgewise.jets import Tape
from edgewise.optim.least_squares import NormalEquations
from edgewise.pde.problem import Problem, ResidualTerm
from edgewise.progress import Budget, TimeIsOver

BLOCK = 8_000_000  # entries of the Jacobian at a time: 64 MB
NEAR = (1e-3, 1e3)  # first guesses of unknowns that need no unit

Theta = Float[Tensor, "1 P"]


class CollocationLoss:
    r"""The loss as a function of $\theta$: the trainable parameters of the model, then the unknowns of the problem.

    An evaluation writes $\theta$ into the model, which keeps the parameters of the last one. Unknowns whose first guess
    is far from 1 are counted in units of it.

    Attributes:
        budget: an evaluation raises `TimeIsOver` once it is over; `best` has what was reached.
        watch: called before every gradient.
        best: the least loss that was evaluated, with its parameters.
    """

    def __init__(self, problem: Problem, model: nn.Module, terms: Sequence[ResidualTerm]) -> None:
        self.problem, self.model, self.terms = problem, model, list(terms)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.units = {name: _size(guess) for name, guess in problem.unknowns.items()}
        self.budget = Budget()
        self.watch: Callable[[], None] | None = None
        self.steps = 0  # gradients so far
        self.best: tuple[float, Theta] | None = None

    def theta(self, unknowns: Mapping[str, float]) -> Float[Tensor, "1 P"]:
        r"""$\theta$ of the model as it is."""
        values = torch.tensor([unknowns[name] / unit for name, unit in self.units.items()], dtype=torch.float64)
        return torch.cat([parameters_to_vector(self.parameters).detach().double(), values])[None]

    def write(self, theta: Float[Tensor, "1 P"]) -> dict[str, float]:
        r"""Write $\theta$ into the model and return the unknowns."""
        values = theta[0].detach()
        count = len(values) - len(self.problem.unknowns)
        vector_to_parameters(values[:count], self.parameters)
        return {n: v * s for (n, s), v in zip(self.units.items(), values[count:].tolist(), strict=True)}

    def losses(self, theta: Float[Tensor, "1 P"]) -> Float[Tensor, " 1"]:
        """The loss."""
        unknowns = {name: torch.tensor(v) for name, v in self.write(theta).items()}
        with torch.no_grad():
            return self._noted(self._loss(unknowns), theta)[None]

    def mean_squares(self, theta: Float[Tensor, "1 P"]) -> dict[str, float]:
        """The mean square of the residuals of every term, without its weight."""
        unknowns = {name: torch.tensor(v) for name, v in self.write(theta).items()}
        plain = [dataclasses.replace(term, unit=None) for term in self.terms]
        with torch.no_grad():
            return {term.name: float(self._mean_square(term, unknowns)) for term in plain}

    def normal_equations(self, theta: Float[Tensor, "1 P"]) -> NormalEquations:
        """Gauss-Newton matrix, gradient and loss, summed over blocks of points."""
        values = self.write(theta)
        self._count()
        p = theta.shape[1]
        width = max(p, sum(q.numel() for q in self.model.parameters()))  # an update has rows as wide as what it updates
        gram, gradient, loss = theta.new_zeros(p, p), theta.new_zeros(p), theta.new_zeros(1)
        for term in self.terms:
            n = term.points.shape[1]
            for rows in _blocks(n, width * term.points.shape[0]):
                self._check_time()
                for r, J in self._rows(term, rows, values):
                    w = _weight(term) / n
                    _add_gram(gram, J, 2 * w)
                    gradient.addmv_(J.T, r, alpha=2 * w)
                    loss += w * r.square().sum()
        self._noted(loss[0], theta)
        gram = gram.triu() + gram.triu(1).T
        return NormalEquations(gram[None], gradient[None], loss)

    def jacobian(
        self, theta: Float[Tensor, "1 P"], term: ResidualTerm
    ) -> tuple[Float[Tensor, "e n"], Float[Tensor, "e n P"]]:
        """The residuals of a term and their Jacobian, whole."""
        parts = self._rows(term, slice(None), self.write(theta))
        return torch.stack([r for r, _ in parts]), torch.stack([J for _, J in parts])

    def value_and_gradient(self, theta: Float[Tensor, " P"]) -> tuple[float, Float[Tensor, " P"]]:
        """The loss and its gradient, by reverse mode through the jets."""
        leaves = self.leaves(theta[None])
        loss = self.backward_(leaves)
        return float(loss), torch.cat([leaf.grad.flatten().double() for leaf in leaves if leaf.grad is not None])

    def leaves(self, theta: Float[Tensor, "1 P"]) -> list[nn.Parameter]:
        r"""The parts of $\theta$ that torch can optimise: the parameters of the model, a scalar for every unknown."""
        self.write(theta)
        values = theta[0, theta.shape[1] - len(self.units) :].detach().clone()
        return [*self.parameters, *map(nn.Parameter, values)]

    def backward_(self, leaves: Sequence[Tensor]) -> Tensor:
        """The loss at these leaves, whose `grad` becomes its gradient; one graph at a time, of a block of points."""
        self._count()
        for leaf in leaves:
            leaf.grad = torch.zeros_like(leaf)
        total = leaves[0].new_zeros((), dtype=torch.float64)
        for term in self.terms:
            n = term.points.shape[1]
            for rows in point_blocks(self.model, term):
                self._check_time()
                with torch.enable_grad():
                    values = zip(self.units.items(), leaves[len(self.parameters) :], strict=True)
                    unknowns = {name: v * unit for (name, unit), v in values}
                    part = self.problem.residuals(self.model, term, unknowns, rows).square().sum() * (_weight(term) / n)
                if part.requires_grad:
                    part.backward()
                total += part.detach()
        return self._noted(total, leaves)

    def gathered(self, leaves: Sequence[Tensor]) -> Float[Tensor, "1 P"]:
        r"""$\theta$ of these leaves."""
        return torch.cat([leaf.detach().flatten().double() for leaf in leaves])[None]

    def balance(self, theta: Float[Tensor, "1 P"], *, most: float) -> None:
        r"""Weight every term that has no weight such that its squared Jacobian is as large as that of the equation.

        $w_t = \operatorname{tr} J_0^T J_0 / \operatorname{tr} J_t^T J_t$ per point, between 1 and `most`, as the neural
        tangent kernel suggests (Wang, Yu & Perdikaris, arXiv 2007.14527, section 6).
        """
        values = self.write(theta)
        sizes = []
        for term in self.terms:
            step = max(1, term.points.shape[1] // 128)
            sizes.append(
                sum(float(J.square().mean(0).sum()) for _, J in self._rows(term, slice(None, None, step), values))
            )
        self.terms = [
            dataclasses.replace(term, weight=min(most, max(1.0, sizes[0] / max(size, 1e-300))))
            if term.weight is None
            else term
            for term, size in zip(self.terms, sizes, strict=True)
        ]

    def _count(self) -> None:
        """Before every gradient."""
        if self.watch is not None:
            self.watch()
        self._check_time()
        self.steps += 1

    def _check_time(self) -> None:
        if self.budget.over:
            raise TimeIsOver

    def _noted(self, loss: Tensor, at: Theta | Sequence[Tensor]) -> Tensor:
        """The loss, with its parameters kept if it is the least so far."""
        value = float(loss.detach())
        if value < (math.inf if self.best is None else self.best[0]):
            self.best = value, (at if isinstance(at, Tensor) else self.gathered(at)).detach().clone()
        return loss

    def _loss(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        means = [self._mean_square(term, unknowns) * _weight(term) for term in self.terms]
        return sum(means[1:], means[0])

    def _mean_square(self, term: ResidualTerm, unknowns: Mapping[str, Tensor]) -> Tensor:
        n = term.points.shape[1]
        parts = []
        for rows in point_blocks(self.model, term):
            self._check_time()
            parts.append(self.problem.residuals(self.model, term, unknowns, rows).square().sum())
        return torch.stack(parts).sum() / n

    def _rows(self, term: ResidualTerm, rows: slice, values: dict[str, float]) -> list[tuple[Tensor, Tensor]]:
        """The residuals of every equation of a term at some points, and the rows of their Jacobian."""
        copies, n = term.points[:, rows].shape[:2]
        unknowns = {
            name: torch.full((copies * n,), value, dtype=torch.float64, requires_grad=True)
            for name, value in values.items()
        }
        tape: Tape = []
        with torch.enable_grad():
            residuals = self.problem.residuals(self.model, term, unknowns, rows, tape)
        leaves = [*(record.output for record in tape), *unknowns.values()]
        result = []
        for e, r in enumerate(residuals):
            last = e == len(residuals) - 1
            with torch.enable_grad():
                slopes = torch.autograd.grad(r.sum(), leaves, retain_graph=not last, allow_unused=True)
            by_parameter: dict[Tensor, Tensor] = {}
            for record, slope in zip(tape, slopes, strict=False):
                if slope is not None:
                    parts = record.rows(slope).split([p.numel() for p in record.parameters], dim=1)
                    by_parameter |= zip(record.parameters, parts, strict=True)
            blocks = [
                by_parameter[p] if p in by_parameter else p.new_zeros(copies * n, p.numel()) for p in self.parameters
            ]
            J = torch.cat(blocks, dim=1).unflatten(0, (copies, n)).sum(0) if copies > 1 else torch.cat(blocks, dim=1)
            for slope, unit in zip(slopes[len(tape) :], self.units.values(), strict=True):
                column = r.new_zeros(n) if slope is None else slope.unflatten(0, (-1, n)).sum(0)
                J = torch.cat([J, column[:, None] * unit], dim=1)
            result.append((r.detach(), J.detach()))
        return result


def point_blocks(model: nn.Module, term: ResidualTerm) -> list[slice]:
    """Blocks of the points of a term whose jets, in the widest layer, fit into memory."""
    curves = [p.shape[0] * max(p.shape[1:]) for p in model.parameters() if p.ndim == 3]
    matrices = [max(p.shape) for p in model.parameters() if p.ndim == 2]
    return _blocks(term.points.shape[1], max(64, *curves, *matrices) * term.algebra.size)


def _add_gram(gram: Tensor, J: Tensor, weight: float) -> None:
    """Add the upper triangle of $J^T J$, by bands of columns: half of the work of the whole product."""
    p = J.shape[1]
    width = max(128, -(-p // 8))
    for start in range(0, p, width):
        band = slice(start, min(start + width, p))
        gram[band, start:].addmm_(J[:, band].T, J[:, start:], alpha=weight)


def _size(guess: float) -> float:
    """What counts as 1 for an unknown: 1, or the power of 2 next to its first guess."""
    size = abs(guess)
    return 1.0 if NEAR[0] <= size <= NEAR[1] else float(nearest_power_of_two(torch.tensor(size, dtype=torch.float64)))


def nearest_power_of_two(sizes: Tensor) -> Tensor:
    """The nearest powers of 2, by which numbers are divided without rounding; 1 for 0 and for what is not finite."""
    usable = torch.isfinite(sizes) & (sizes > 0)
    return torch.where(usable, torch.exp2(torch.log2(torch.where(usable, sizes, 1.0)).round()), 1.0)


def _weight(term: ResidualTerm) -> float:
    return 1.0 if term.weight is None else term.weight


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, BLOCK // max(1, width))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
