r"""Find the sizes of a problem in its own units: of its fields, and of the terms of every residual.

A residual $r(x, D^\alpha u)$ is measured by its terms, not by their sum, which vanishes for a solution:

$$ S = \sum_\alpha \Big\|\frac{\partial r}{\partial D^\alpha u}\Big\|\, \|D^\alpha u\|_\Omega
   + \Big\| r - \sum_\alpha \frac{\partial r}{\partial D^\alpha u} D^\alpha u \Big\| $$

with root mean squares as norms, those of the derivatives over the domain. The last norm is that of the source. Before a
solve the fields are those of a coarse solution, sines with random frequencies whose amplitudes are fitted; a problem
whose sizes are far from 1 is solved in units in which they are near 1. After a solve $\|r\| / S$ tells how well an
equation holds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import skip_init

from edgewise.jets import Index, Sine
from edgewise.nn import Affine
from edgewise.optim.least_squares import levenberg_marquardt
from edgewise.pde.collocation_loss import CollocationLoss
from edgewise.pde.operators import algebra_of
from edgewise.pde.problem import Problem, ResidualTerm, derivative_of, stacked

# Sizes for which a solve needs no units: within these a small solve lost less than a factor of 10.
FIELDS, EQUATIONS, CONDITIONS = (0.08, 4.0), (1 / 16, 2.0**9), (1 / 32, 2.0**7)
EQUATION = 16.0  # the size of an equation where its unit is chosen: that of a second derivative of a wave
SINES, FREQUENCY, STEPS = 32, 2.0, 12  # of the coarse solution
POINTS, BOUNDARY_POINTS = 128, 32


Slopes = Mapping[tuple[str, Index], Tensor]  # a value for every derivative of every field


@dataclass(frozen=True)
class OwnUnits:
    """The sizes that count as 1.

    Attributes:
        outputs: of every output of the network.
        terms: of the residuals of the equation and of every condition; None where all sizes are near 1.
    """

    outputs: Float[Tensor, " fields"]
    terms: tuple[Float[Tensor, " equations"], ...] | None

    def of(self, terms: Sequence[ResidualTerm]) -> list[ResidualTerm]:
        """The terms in these units."""
        if self.terms is None:
            return list(terms)
        return [dataclasses.replace(t, unit=unit) for t, unit in zip(terms, self.terms, strict=True)]


def own_units(problem: Problem) -> OwnUnits:
    """The units of a problem from a coarse solution; all 1 where its sizes are near 1."""
    generator = torch.Generator().manual_seed(0)
    terms = problem.terms(POINTS, BOUNDARY_POINTS, generator)
    probe = _sines(problem, generator)
    outputs, unknowns = torch.ones(len(problem.fields), dtype=torch.float64), dict(problem.unknowns)
    sizes = term_sizes(problem, probe, terms, unknowns, source=False)
    scaled = OwnUnits(outputs, tuple(_power_of_two(s) for s in sizes)).of(terms)
    loss = CollocationLoss(problem, probe, scaled)
    theta = loss.theta(unknowns)
    theta[:, : theta.shape[1] - len(unknowns)] = 0
    unknowns = loss.write(levenberg_marquardt(loss, theta, STEPS, mu=1e-6, patience=4, tolerance=0.5).theta)
    with torch.no_grad():
        values = probe(problem.inputs_of(torch.cat([t.points.flatten(0, 1) for t in terms])))
    outputs, sizes = _rms(values.T), term_sizes(problem, probe, terms, unknowns)
    near = [_within(outputs, FIELDS), _within(sizes[0], EQUATIONS), *(_within(s, CONDITIONS) for s in sizes[1:])]
    if all(near):
        return OwnUnits(torch.ones_like(outputs), None)
    return OwnUnits(_power_of_two(outputs), (_power_of_two(sizes[0] / EQUATION), *map(_power_of_two, sizes[1:])))


def term_sizes(
    problem: Problem,
    model: nn.Module,
    terms: Sequence[ResidualTerm],
    unknowns: Mapping[str, float],
    *,
    source: bool = True,
) -> list[Float[Tensor, " equations"]]:
    r"""$S$ of every residual of every term, with or without its source; the first term is the equation."""
    coordinates, values = problem.domain.coordinates, {k: torch.tensor(v) for k, v in unknowns.items()}
    used = [sorted(problem.rehearse(t.residual, boundary=t.normals is not None)[0]) for t in terms]
    algebra = algebra_of({index for part in used for _, index in part}, coordinates)
    with torch.no_grad():
        inside = problem.jets(model, terms[0].points[0], algebra)
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
        over = {key: _rms(derivative_of(inside, coordinates, *key)) for key in part}
        pairs = zip(residuals.detach(), slopes, strict=True)
        sizes.append(torch.stack([_size(r, s, leaves, over, source) for r, s in pairs]))
    return sizes


def relative_residuals(problem: Problem, model: nn.Module, unknowns: Mapping[str, float]) -> dict[str, float]:
    r"""$\|r\| / S$ of the equation and of every condition at fresh points, of its worst residual."""
    terms = problem.terms(1000, 200, torch.Generator().manual_seed(1))
    values = {k: torch.tensor(v) for k, v in unknowns.items()}
    result = {}
    for term, sizes in zip(terms, term_sizes(problem, model, terms, unknowns), strict=True):
        with torch.no_grad():
            off = _rms(problem.residuals(model, term, values))
        result[term.name] = float(torch.where(sizes > 0, off / sizes, 0.0).max())
    return result


def _size(r: Tensor, slopes: Slopes, leaves: Slopes, over: Slopes, source: bool) -> Tensor:
    terms = [_rms(slope) * over[key] for key, slope in slopes.items()]
    if source:
        linear = [(slope * leaves[key].detach()).unflatten(0, (-1, len(r))).sum(0) for key, slope in slopes.items()]
        terms.append(_rms(r - sum(linear)))
    return sum(terms, r.new_zeros(()))


def _slopes(r: Tensor, leaves: Slopes) -> dict[tuple[str, Index], Tensor]:
    if not r.requires_grad:
        return {}
    found = torch.autograd.grad(r.sum(), list(leaves.values()), retain_graph=True, allow_unused=True)
    return {key: slope for key, slope in zip(leaves, found, strict=True) if slope is not None}


def _sines(problem: Problem, generator: torch.Generator) -> nn.Module:
    """A layer of sines of the inputs with fixed frequencies, and trainable amplitudes."""
    low, high = problem.input_bounds().T
    # A plain `nn.Linear` would draw from the global generator, and other networks would begin elsewhere.
    hidden, last = (skip_init(nn.Linear, *n) for n in ((len(low), SINES), (SINES, len(problem.fields))))
    with torch.no_grad():
        for part, spread in ((hidden.weight, FREQUENCY), (hidden.bias, math.pi), (last.weight, SINES**-0.5)):
            part.copy_(torch.randn(part.shape, generator=generator) * spread)
        last.bias.zero_()
    hidden.requires_grad_(False)
    return nn.Sequential(Affine(2 / (high - low), -(high + low) / (high - low)), hidden, Sine(), last).double()


def _power_of_two(sizes: Tensor) -> Tensor:
    """The nearest powers of 2, by which numbers are divided without rounding; 1 for 0 and for what is not finite."""
    usable = torch.isfinite(sizes) & (sizes > 0)
    return torch.where(usable, torch.exp2(torch.log2(torch.where(usable, sizes, 1.0)).round()), 1.0)


def _within(sizes: Tensor, limits: tuple[float, float]) -> bool:
    return bool((((sizes >= limits[0]) & (sizes <= limits[1])) | (sizes == 0) | ~torch.isfinite(sizes)).all())


def _rms(values: Tensor) -> Tensor:
    return values.detach().square().mean(-1).sqrt()
