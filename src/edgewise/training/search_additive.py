"""Data that oscillate or jump: the sum of curves on a grid fine enough for them, fitted to all inputs at once.

On a coarse grid an oscillation averages out, and no random start has a gradient towards it. A sum of curves is linear
in its parameters, so that every number of intervals can be tried. The network of the search begins at the sum where the
samples determine it on such a grid. Where they do not, and the sum leaves less than all that was trained, the sum is
the answer, written as the network.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.nn import KAN, ProductNodes
from edgewise.optim import Network, NetworkLeastSquares, Parameters, Smoothing, levenberg_marquardt
from edgewise.training.samples import Samples
from edgewise.training.search_stages import WORTH_IT, AdditiveFit, Search, Starts
from edgewise.training.search_starts import flat_curves, random_lines, track

SAMPLES = 4000  # that a sum is fitted to, at most
WORK = 4e9  # multiplications of one fit, at most
SPARE = 0.6  # parameters per sample; the held-out error decides
COARSE = 10  # intervals that random starts reach
FEWEST = 3  # intervals of hidden layers that hand a sum on
GAIN = 0.5  # a finer grid must leave this share of the error
ENOUGH = 0.02  # a share of the error that later grids reduce further
NEIGHBOURS = 5


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
    parameters = _embedded(network, chosen, search.run.seed)
    if parameters is None:
        return None
    prior = None if search.method.smoothing is False else Smoothing.weak(network, 1, len(search.train))
    return Starts(network, parameters, prior=prior)


def additive_fits(search: Search) -> list[AdditiveFit]:
    """The sums on 10, 20, 40, ... intervals, as far as samples and time allow; the search keeps them."""
    some = _some(search.train)
    basis = BSpline(COARSE, search.method.degrees[0], extrapolation=search.extrapolation)
    while not search.budget.over:
        fit = _fitted(search, basis, some)
        if fit is None:
            break
        search.sums.append(fit)
        basis = basis.resized(2 * basis.intervals)
    return search.sums


def or_the_sum(search: Search, at: Starts) -> None:
    """Let the best sum of curves, as a network like `at`, be the result where it leaves less than all that was trained.

    Its degree is chosen as its intervals are, by the held-out loss.
    """
    if not search.least_sum < WORTH_IT * search.best.value or search.stopped != "finished":
        return
    best = min(search.sums, key=lambda fit: fit.error)
    for degree in search.method.degrees[1:] if not search.budget.over else ():
        higher = _fitted(search, dataclasses.replace(best.basis, degree=degree), _some(search.train))
        if higher is None or not higher.error < best.error:
            break
        best = higher
    begun, before = _written_as(search, at.network, best), search.best.value
    most = search.method.max_parameters
    if begun is None or (most is not None and begun.network.parameters > most):
        return
    what = f"sum of curves on {best.basis.intervals} intervals"
    search.note(begun, best.basis, what, search.loss_on(search.train, begun))
    if search.best.value < before:
        left, trained = ((search.share(value), value)[not search.loss.units] for value in (search.best.value, before))
        unit = " of the spread of the targets" if search.loss.units else ""
        search.notes.append(
            f"the network is a {what}, one per input and output, through the first nodes of every layer: its held-out "
            f"error is {left:.2g}{unit}, where training all nodes left {trained:.2g}; more samples allow finer grids"
        )


def sum_of_all(search: Search, at: Starts) -> Starts:
    """The sum of curves that the network `at` is, fitted to all samples as well."""
    assert at.sum is not None
    fit = _fitted(search, at.sum.basis, _some(search.whole))
    again = None if fit is None else _written_as(search, at.network, fit)
    return at if again is None else again


def neighbours_error(x: Tensor, y: Tensor) -> float:
    """The mean squared error of the mean of the nearest samples: every second one predicts the others."""
    x, y = x[: 2 * SAMPLES], y[: 2 * SAMPLES]
    known, asked = slice(0, None, 2), slice(1, None, 2)
    if len(x) < 4 * NEIGHBOURS:
        return math.inf
    near = torch.cdist(x[asked], x[known]).topk(NEIGHBOURS, largest=False).indices
    return float((y[known][near].mean(1) - y[asked]).square().mean())


def _some(samples: Samples) -> Samples:
    return samples[:SAMPLES] if len(samples) > SAMPLES else samples  # their order is random


def _fitted(search: Search, basis: BSpline, samples: Samples) -> AdditiveFit | None:
    """The sum of curves on a basis; None where it has too many parameters for the samples or the work."""
    widths, count = [search.model.in_features, search.model.out_features], len(samples)
    sums = Network.of(KAN(widths, BSpline(FEWEST), residual=None, dtype=torch.float64))[0]
    network, parameters = flat_curves(sums, basis, samples.x.T.contiguous())
    spare = SPARE * count * (1 if search.loss.labels else widths[1])
    if network.parameters > spare or network.parameters**2 * count > WORK:
        return None
    problem = NetworkLeastSquares(network, parameters.grids, samples.x, samples.y, samples.weights, search.loss)
    prior = Smoothing.weak(network, 1, count)
    steps = 2 if search.loss.units else 10
    end = levenberg_marquardt(problem, parameters.theta, steps, mu=1e-9, prior=prior, budget=search.budget)
    parameters = Parameters(end.theta, parameters.grids)
    error = float(search.held_loss(Starts(network, parameters))[0])
    return AdditiveFit(basis, network, parameters, error if math.isfinite(error) else math.inf)


def _written_as(search: Search, network: Network, fit: AdditiveFit) -> Starts | None:
    """The sum as a network of the same nodes, on few intervals behind its first layer; None where it is too narrow."""
    hidden = fit.basis.resized(FEWEST)
    network = network.with_bases([fit.basis] + [hidden] * (len(network.edges) - 1), None)
    parameters = _embedded(network, fit, search.run.seed)
    if parameters is None:
        return None
    x = search.whole.x.T.contiguous()
    network, parameters = track(network, parameters, x, fit.basis, box=search.box, hidden=hidden)
    return Starts(network, parameters, sum=fit)


def _embedded(network: Network, fit: AdditiveFit, seed: int) -> Parameters | None:
    """The sum as a network: output i goes through node i of every layer; other edges are small random lines.

    None where a layer has too few nodes.
    """
    start = random_lines(network, 1, torch.Generator().manual_seed(seed))
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
