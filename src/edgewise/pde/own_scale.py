r"""Find the sizes of a problem in its own units: of its fields, and of the terms of every residual.

A residual $r(x, D^\alpha u)$ is measured by its terms, not by their sum, which vanishes for a solution:

$$ S = \sum_\alpha \Big\|\frac{\partial r}{\partial D^\alpha u}\Big\|\, \|D^\alpha u\|_\Omega
   + \Big\| r - \sum_\alpha \frac{\partial r}{\partial D^\alpha u} D^\alpha u \Big\| $$

with root mean squares as norms, those of the derivatives over the domain. The last norm is that of the source. Before a
solve the fields are those of a coarse solution, sines with random frequencies whose amplitudes are fitted; a problem
whose sizes are far from 1 is solved in its own units. After a solve $\|r\| / S$ tells how well an equation holds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.jets import Index, Sine
from edgewise.nn import Affine
from edgewise.optim.least_squares import levenberg_marquardt
from edgewise.pde.collocation_loss import CollocationLoss, nearest_power_of_two
from edgewise.pde.operators import LAPLACIAN, TIME, algebra_of, second_derivatives
from edgewise.pde.problem import Problem, ResidualTerm, derivative_of, stacked

# Sizes for which a solve needs no units: within these a small solve lost less than a factor of 10.
FIELDS, EQUATIONS, CONDITIONS = (0.08, 4.0), (1 / 16, 2.0**9), (1 / 32, 2.0**7)
CONSTANT = 8.0  # a mean above so many standard deviations is a level
SINES, FREQUENCY, STEPS = 32, 2.0, 12  # of the coarse solution
POINTS, BOUNDARY_POINTS = 128, 32

Slopes = Mapping[tuple[str, Index], Tensor]  # a value for every derivative of every field


@dataclass(frozen=True)
class OwnUnits:
    """The sizes that count as 1.

    Attributes:
        outputs: of every output of the network.
        levels: of every output, from which its sizes are counted: 0 but for small changes of a large constant, such as
            temperatures in kelvins.
        terms: of the residuals of the equation and of every condition; None where all sizes are near 1.
    """

    outputs: Float[Tensor, " fields"]
    levels: Float[Tensor, " fields"]
    terms: tuple[Float[Tensor, " equations"], ...] | None

    def of(self, terms: Sequence[ResidualTerm]) -> list[ResidualTerm]:
        """The terms in these units."""
        if self.terms is None:
            return list(terms)
        return [dataclasses.replace(t, unit=unit) for t, unit in zip(terms, self.terms, strict=True)]


def own_units(problem: Problem) -> OwnUnits:
    r"""The units of a problem from a coarse solution; all 1 where its sizes are near 1.

    The unit of a residual is its greatest coefficient, $\max_\alpha \|\partial r / \partial D^\alpha u\|\, U
    \prod_j L_j^{-\alpha_j}$ with the size U of the field and the lengths L of the domain, as one makes an equation
    dimensionless by hand.
    """
    generator = torch.Generator().manual_seed(0)
    terms = problem.terms(POINTS, BOUNDARY_POINTS, generator)
    probe, unknowns = _sines(problem, generator), dict(problem.unknowns)
    ones = torch.ones(len(problem.fields), dtype=torch.float64)
    first = map(nearest_power_of_two, term_sizes(problem, probe, terms, unknowns, kind="without source"))
    loss = CollocationLoss(problem, probe, OwnUnits(ones, 0 * ones, tuple(first)).of(terms))
    theta = loss.theta(unknowns)
    theta[:, : theta.shape[1] - len(unknowns)] = 0
    unknowns = loss.write(levenberg_marquardt(loss, theta, STEPS, mu=1e-6, patience=4, tolerance=0.5).theta)
    with torch.no_grad():
        values = probe(problem.inputs_of(torch.cat([t.points.flatten(0, 1) for t in terms]))).T
    levels = torch.stack([_level(v) for v in values])
    outputs, sizes = _rms(values - levels[:, None]), term_sizes(problem, probe, terms, unknowns)
    near = [_within(outputs, FIELDS), _within(sizes[0], EQUATIONS), *(_within(s, CONDITIONS) for s in sizes[1:])]
    if all(near) and bool((levels == 0).all()):
        return OwnUnits(ones, levels, None)
    units = term_sizes(problem, probe, terms, unknowns, kind="coefficients")
    return OwnUnits(nearest_power_of_two(outputs), levels, tuple(map(nearest_power_of_two, units)))


def term_sizes(
    problem: Problem,
    model: nn.Module,
    terms: Sequence[ResidualTerm],
    unknowns: Mapping[str, float],
    *,
    kind: Literal["all", "without source", "coefficients", "apart"] = "all",
) -> list[Float[Tensor, " equations"]]:
    r"""$S$ of every residual of every term; the first term is the equation.

    A field that is a constant but for small changes counts without that constant. "coefficients" is the greatest term
    where a derivative is the size of the field over a length of the domain. "apart" is "all" where the Laplacian counts
    as the sum of its second derivatives, not as one derivative, which vanishes for a solution of Laplace's equation.
    """
    coordinates, values = problem.domain.coordinates, {k: torch.tensor(v) for k, v in unknowns.items()}
    used = [sorted(problem.rehearse(t.residual, boundary=t.normals is not None)[0]) for t in terms]
    indices = {index for part in used for _, index in part}
    if kind == "apart" and LAPLACIAN in indices:
        indices = indices - {LAPLACIAN} | set(second_derivatives(coordinates))
    algebra = algebra_of(indices, coordinates)
    with torch.no_grad():
        inside = problem.jets(model, terms[0].points[0], algebra)
    levels = {f: _level(jet.value) for f, jet in inside.items()}
    sizes = []
    for term, part in zip(terms, used, strict=True):
        x = term.points.flatten(0, 1)
        normals = None if term.normals is None else term.normals.flatten(0, 1)
        with torch.no_grad():
            jets = problem.jets(model, x, term.algebra)
        leaves = {(f, a): derivative_of(jets, coordinates, f, a).detach().requires_grad_() for f, a in part}
        with torch.enable_grad():
            scope = problem.scope(x, normals, lambda f, a, known=leaves: known[f, a], values, term.columns)
            residuals = stacked(term.residual(scope))
            slopes = [_slopes(r, leaves) for r in residuals]
        changes = {k: leaf.detach() - _at_order_0(k, levels) for k, leaf in leaves.items()}
        over = {k: _rms(derivative_of(inside, coordinates, *k) - _at_order_0(k, levels)) for k in part}
        if kind == "apart":
            squares = second_derivatives(coordinates)
            over |= {(f, a): sum(_rms(inside[f].derivative(b)) for b in squares) for f, a in part if a == LAPLACIAN}
        if kind == "coefficients":
            over = {(f, a): _rms(inside[f].value - levels[f]) * _per_length(problem, a) for f, a in part}
        each = [torch.stack([x.new_zeros(()), *(_rms(g) * over[k] for k, g in s.items())]) for s in slopes]
        made = torch.stack([t.amax() if kind == "coefficients" else t.sum() for t in each])
        if kind in ("all", "apart"):
            made = made + torch.stack([_source(r, s, changes) for r, s in zip(residuals.detach(), slopes, strict=True)])
        sizes.append(made)
    return sizes


def relative_residuals(problem: Problem, model: nn.Module, unknowns: Mapping[str, float]) -> dict[str, float]:
    r"""$\|r\| / S$ of the equation and of every condition at fresh points, of its worst residual."""
    terms = problem.terms(1000, 200, torch.Generator().manual_seed(1))
    values = {k: torch.tensor(v) for k, v in unknowns.items()}
    result = {}
    for term, sizes in zip(terms, term_sizes(problem, model, terms, unknowns, kind="apart"), strict=True):
        with torch.no_grad():
            off = _rms(problem.residuals(model, term, values))
        result[term.name] = float(torch.where(sizes > 0, off / sizes, 0.0).max())
    return result


def _source(r: Tensor, slopes: Slopes, changes: Slopes) -> Tensor:
    linear = [(slope * changes[key]).unflatten(0, (-1, len(r))).sum(0) for key, slope in slopes.items()]
    return _rms(r - sum(linear))


def _level(values: Tensor) -> Tensor:
    """The mean of values that are a constant with small changes, else 0."""
    mean = values.mean()
    return mean if mean.abs() > CONSTANT * values.std() else torch.zeros_like(mean)


def _at_order_0(key: tuple[str, Index], levels: Mapping[str, Tensor]) -> Tensor | float:
    field, index = key
    return levels[field] if index != LAPLACIAN and sum(index) == 0 else 0.0


def _per_length(problem: Problem, index: Index) -> float:
    r"""$\prod_j L_j^{-\alpha_j}$; the greatest of its terms for the Laplacian."""
    lengths = [high - low for low, high in problem.domain.bounds]
    if index == LAPLACIAN:
        return max(n**-2.0 for c, n in zip(problem.domain.coordinates, lengths, strict=True) if c != TIME)
    return math.prod(n**-a for n, a in zip(lengths, index, strict=True))


def _slopes(r: Tensor, leaves: Slopes) -> dict[tuple[str, Index], Tensor]:
    if not r.requires_grad:
        return {}
    found = torch.autograd.grad(r.sum(), list(leaves.values()), retain_graph=True, allow_unused=True)
    return {key: slope for key, slope in zip(leaves, found, strict=True) if slope is not None}


def _sines(problem: Problem, generator: torch.Generator) -> nn.Module:
    """A layer of sines of the inputs with fixed frequencies, and trainable amplitudes."""
    low, high = problem.input_bounds().T
    # A plain `nn.Linear` would draw from the global generator, and other networks would begin elsewhere.
    hidden = nn.Linear(len(low), SINES, device="meta").to_empty(device="cpu")
    last = nn.Linear(SINES, len(problem.fields), device="meta").to_empty(device="cpu")
    with torch.no_grad():
        for part, spread in ((hidden.weight, FREQUENCY), (hidden.bias, math.pi), (last.weight, SINES**-0.5)):
            part.copy_(torch.randn(part.shape, generator=generator) * spread)
        last.bias.zero_()
    hidden.requires_grad_(False)
    return nn.Sequential(Affine(2 / (high - low), -(high + low) / (high - low)), hidden, Sine(), last).double()


def _within(sizes: Tensor, limits: tuple[float, float]) -> bool:
    return bool((((sizes >= limits[0]) & (sizes <= limits[1])) | (sizes == 0) | ~torch.isfinite(sizes)).all())


def _rms(values: Tensor) -> Tensor:
    return values.detach().square().mean(-1).sqrt()
