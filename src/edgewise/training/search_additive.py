"""A start for data that oscillate: the sum of curves on a grid fine enough for them, fitted to all inputs at once.

On a coarse grid an oscillation averages out, and no random start has a gradient towards it. A sum of curves is linear
in its parameters, so that every number of intervals can be tried.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.nn import KAN, ProductNodes
from edgewise.optim import Network, NetworkLeastSquares, Parameters, Smoothing, levenberg_marquardt
from edgewise.training.search_stages import Search, Starts
from edgewise.training.search_starts import flat_curves, random_lines

SAMPLES = 4000  # that a sum is fitted to, at most
WORK = 4e9  # multiplications of one fit, at most
SPARE = 0.6  # parameters per sample; the held-out error decides
COARSE = 10  # intervals that random starts reach
GAIN = 0.5  # a finer grid must leave this share of the error
ENOUGH = 0.02  # a share of the error that later grids reduce further
NEIGHBOURS = 5


@dataclasses.dataclass(frozen=True)
class AdditiveFit:
    """A sum of curves, one per input and output, on `basis`, with its held-out loss in the network's units."""

    basis: BSpline
    network: Network
    parameters: Parameters
    error: float


def additive_start(search: Search, at: Starts, fits: list[AdditiveFit]) -> Starts | None:
    """The network of the search, begun at the sum whose grid is fine enough; None where a finer grid gains little."""
    if len(fits) < 2:
        return None
    base = min(fits[0].error, float(search.held_loss(at)[0]))
    least = min(fit.error for fit in fits)
    chosen = next(fit for fit in fits if fit.error <= max(2 * least, ENOUGH * base))
    if not chosen.error < GAIN * base:
        return None
    network = at.network.with_bases([chosen.basis] * len(at.network.edges), None)
    parameters = _embedded(network, chosen, torch.Generator().manual_seed(search.run.seed))
    if parameters is None:
        return None
    prior = None if search.method.smoothing is False else Smoothing.weak(network, 1, len(search.train))
    return Starts(network, parameters, prior=prior)


def additive_fits(search: Search) -> list[AdditiveFit]:
    """The sums on 10, 20, 40, ... intervals, as far as samples and time allow; the search keeps the least error."""
    some = search.train[:SAMPLES]
    widths = [search.model.in_features, search.model.out_features]
    fits: list[AdditiveFit] = []
    basis = BSpline(COARSE, search.method.degrees[0], extrapolation=search.extrapolation)
    sums = Network.of(KAN(widths, basis, residual=None, dtype=torch.float64))[0]
    while not search.budget.over:
        network, parameters = flat_curves(sums, basis, some.x.T.contiguous())
        count = network.parameters
        if count > SPARE * len(some) * (1 if search.loss.labels else widths[1]) or count**2 * len(some) > WORK:
            break
        problem = NetworkLeastSquares(network, parameters.grids, some.x, some.y, some.weights, search.loss)
        prior = Smoothing.weak(network, 1, len(some))
        steps = 2 if search.loss.units else 10
        end = levenberg_marquardt(problem, parameters.theta, steps, mu=1e-9, prior=prior, budget=search.budget)
        parameters = Parameters(end.theta, parameters.grids)
        error = float(search.held_loss(Starts(network, parameters))[0])
        fits.append(AdditiveFit(basis, network, parameters, error if math.isfinite(error) else math.inf))
        search.least_sum = min(search.least_sum, fits[-1].error)
        basis = basis.resized(2 * basis.intervals)
    return fits


def neighbours_error(x: Tensor, y: Tensor) -> float:
    """The mean squared error of the mean of the nearest samples: every second one predicts the others."""
    x, y = x[: 2 * SAMPLES], y[: 2 * SAMPLES]
    known, asked = slice(0, None, 2), slice(1, None, 2)
    if len(x) < 4 * NEIGHBOURS:
        return math.inf
    near = torch.cdist(x[asked], x[known]).topk(NEIGHBOURS, largest=False).indices
    return float((y[known][near].mean(1) - y[asked]).square().mean())


def _embedded(network: Network, fit: AdditiveFit, generator: torch.Generator) -> Parameters | None:
    """The sum as a network: output i goes through node i of every layer; other edges are small random lines.

    None where a layer has too few nodes.
    """
    start = random_lines(network, 1, generator)
    coef, bias, _ = fit.network.split(fit.parameters.theta)[0]
    out = coef.shape[-1]
    if any(
        layer.sums < out if isinstance(layer, ProductNodes) else layer.mask.shape[1] < out for layer in network.layers
    ):
        return None
    parts, grids = [], list(start.grids)
    for n, (own, own_bias, affine) in enumerate(network.split(start.theta)):
        own, own_bias = own.clone(), own_bias.clone()
        if n == 0:
            own[..., :out] = coef
            if own_bias.numel():
                own_bias[:, :out] = bias
            grids[0] = fit.parameters.grids[0]
        else:
            basis = network.edges[n].basis
            assert isinstance(basis, BSpline)
            own[..., :out] = 0
            for i, line in enumerate(basis.greville(grids[n][0])[:out]):  # as coefficients they give x
                own[0, i, :, i] = line
        parts.append((own, own_bias, affine))
    return Parameters(network.join(parts), tuple(grids))
