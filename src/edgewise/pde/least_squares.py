r"""The residuals of a problem as a least-squares problem in the numbers of its model, with an analytic Jacobian.

The loss is $L(\theta) = \sum_t w_t\, \frac{1}{n_t} \sum_b r_{tb}(\theta)^2$ over the terms t. A layer computes
$y_{abi} = \sum_p W_{abp}\, c_{pi}$ for every coefficient a of its jets, and no sample sees another, so that one reverse
sweep from $\sum_b r_b$ leaves the derivatives $G_{abi} = \partial r_b / \partial y_{abi}$ of all samples at once and

$$ \frac{\partial r_b}{\partial c_{pi}} = \sum_a W_{abp}\, G_{abi}. $$
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from edgewise.jets.tape import Tape
from edgewise.optim.bfgs import self_scaled_bfgs
from edgewise.optim.least_squares import NormalEquations
from edgewise.pde.problem import Problem, Term

BLOCK = 8_000_000  # entries of the Jacobian at a time: 64 MB


class Collocation:
    r"""Problem, model and terms as a function of $\theta$: the free parameters of the model, then the unknowns.

    The model is written to: its parameters are those of the last evaluation.
    """

    def __init__(self, problem: Problem, model: nn.Module, terms: Sequence[Term]) -> None:
        self.problem, self.model, self.terms = problem, model, list(terms)
        self.parameters = [p for p in model.parameters() if p.requires_grad]

    def numbers(self, unknowns: dict[str, float]) -> Float[Tensor, "1 P"]:
        """The numbers of the model as it is."""
        values = torch.tensor([unknowns[name] for name in self.problem.unknowns], dtype=torch.float64)
        theta = torch.cat([parameters_to_vector(self.parameters).detach().double(), values])
        return theta[None]

    def write(self, numbers: Float[Tensor, "1 P"]) -> dict[str, float]:
        """Put the numbers into the model; returns the unknowns."""
        theta = numbers[0].detach()
        count = len(theta) - len(self.problem.unknowns)
        vector_to_parameters(theta[:count], self.parameters)
        return dict(zip(self.problem.unknowns, theta[count:].tolist(), strict=True))

    def losses(self, numbers: Float[Tensor, "1 P"]) -> Float[Tensor, " 1"]:
        """The loss."""
        unknowns = {name: torch.tensor(v) for name, v in self.write(numbers).items()}
        with torch.no_grad():
            return self._loss(unknowns)[None]

    def mean_squares(self, numbers: Float[Tensor, "1 P"]) -> dict[str, float]:
        """The mean square of the residuals of every term, without its weight."""
        unknowns = {name: torch.tensor(v) for name, v in self.write(numbers).items()}
        with torch.no_grad():
            return {term.name: float(self._mean_square(term, unknowns)) for term in self.terms}

    def normal_equations(self, numbers: Float[Tensor, "1 P"]) -> NormalEquations:
        """Gauss-Newton matrix, gradient and loss, summed over blocks of points."""
        values = self.write(numbers)
        p = numbers.shape[1]
        gram, gradient, loss = numbers.new_zeros(p, p), numbers.new_zeros(p), numbers.new_zeros(1)
        for term in self.terms:
            n = term.points.shape[1]
            for rows in _blocks(n, p * term.points.shape[0]):
                for r, J in self._rows(term, rows, values):
                    w = _weight(term) / n
                    _add_gram(gram, J, 2 * w)
                    gradient.addmv_(J.T, r, alpha=2 * w)
                    loss += w * r.square().sum()
        gram = gram.triu() + gram.triu(1).T
        return NormalEquations(gram[None], gradient[None], loss)

    def jacobian(
        self, numbers: Float[Tensor, "1 P"], term: Term
    ) -> tuple[Float[Tensor, "e n"], Float[Tensor, "e n P"]]:
        """The residuals of a term and their Jacobian, whole."""
        parts = self._rows(term, slice(None), self.write(numbers))
        return torch.stack([r for r, _ in parts]), torch.stack([J for _, J in parts])

    def self_scaled_bfgs(self, numbers: Float[Tensor, "1 P"], steps: int) -> Float[Tensor, "1 P"]:
        """Steps of self-scaled BFGS on the loss, by reverse mode through the jets."""

        def objective(theta: Tensor) -> tuple[float, Tensor]:
            unknowns = self._free(self.write(theta[None]))
            free = [*self.parameters, *unknowns.values()]
            with torch.enable_grad():
                loss = self._loss(unknowns)
                slopes = torch.autograd.grad(loss, free)
            return loss.item(), torch.cat([slope.flatten().double() for slope in slopes])

        return self_scaled_bfgs(objective, numbers[0], steps)[None]

    def first_order(
        self, numbers: Float[Tensor, "1 P"], steps: int, method: str, *, rate: float = 1e-3
    ) -> Float[Tensor, "1 P"]:
        """Steps of L-BFGS or Adam on the loss, by reverse mode through the jets."""
        unknowns = self._free(self.write(numbers))
        free = [*self.parameters, *unknowns.values()]
        if method == "lbfgs":
            optimizer = torch.optim.LBFGS(free, max_iter=steps, history_size=50, line_search_fn="strong_wolfe")
        else:
            optimizer = torch.optim.Adam(free, lr=rate)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = self._loss(unknowns)
            loss.backward()
            return loss

        for _ in range(1 if method == "lbfgs" else steps):
            optimizer.step(closure)
        return self.numbers({name: float(v) for name, v in unknowns.items()})

    def balance(self, numbers: Float[Tensor, "1 P"], *, most: float) -> None:
        r"""Weigh every term without a weight so that its squared Jacobian is as large as that of the equation.

        $w_t = \operatorname{tr} J_0^T J_0 / \operatorname{tr} J_t^T J_t$ per point, between 1 and `most`, as the neural
        tangent kernel suggests (Wang, Yu & Perdikaris, arXiv 2007.14527, section 6).
        """
        values = self.write(numbers)
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

    def _free(self, unknowns: Mapping[str, float]) -> dict[str, nn.Parameter]:
        return {name: nn.Parameter(torch.tensor(v, dtype=torch.float64)) for name, v in unknowns.items()}

    def _loss(self, unknowns: Mapping[str, Tensor]) -> Tensor:
        means = [self._mean_square(term, unknowns) * _weight(term) for term in self.terms]
        return sum(means[1:], means[0])

    def _mean_square(self, term: Term, unknowns: Mapping[str, Tensor]) -> Tensor:
        n = term.points.shape[1]
        parts = [
            self.problem.residuals(self.model, term, unknowns, rows).square().sum()
            for rows in _blocks(n, 64 * term.algebra.size)
        ]
        return torch.stack(parts).sum() / n

    def _rows(self, term: Term, rows: slice, values: dict[str, float]) -> list[tuple[Tensor, Tensor]]:
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
            by_parameter = {
                record.parameter: record.rows(slope)
                for record, slope in zip(tape, slopes, strict=False)
                if slope is not None
            }
            blocks = [
                by_parameter[p] if p in by_parameter else p.new_zeros(copies * n, p.numel()) for p in self.parameters
            ]
            J = torch.cat(blocks, dim=1).unflatten(0, (copies, n)).sum(0) if copies > 1 else torch.cat(blocks, dim=1)
            for slope in slopes[len(tape) :]:
                column = r.new_zeros(n) if slope is None else slope.unflatten(0, (-1, n)).sum(0)
                J = torch.cat([J, column[:, None]], dim=1)
            result.append((r.detach(), J.detach()))
        return result


def _add_gram(gram: Tensor, J: Tensor, weight: float) -> None:
    """The upper triangle of $J^T J$, by bands of columns: half of the work of the whole product."""
    p = J.shape[1]
    width = max(128, -(-p // 8))
    for start in range(0, p, width):
        band = slice(start, min(start + width, p))
        gram[band, start:].addmm_(J[:, band].T, J[:, start:], alpha=weight)


def _weight(term: Term) -> float:
    return 1.0 if term.weight is None else term.weight


def _blocks(n: int, width: int) -> list[slice]:
    step = max(1, BLOCK // max(1, width))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
