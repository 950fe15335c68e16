r"""The simplest model that held-out rows allow: linear, additive, or with hidden nodes.

A model replaces a simpler one where its loss on rows that neither saw is less by more than one standard error,

$$ \bar d > \operatorname{se}(d), \qquad d_n = \ell_{\text{simpler}}(n) - \ell_{\text{best}}(n), $$

the standard error being that of the paired differences (the rule of one standard error of Breiman et al., 1984, with
the pairing that equal rows permit). Few rows are held out in turn, so that each is held out once; of many, a fifth is.

The linear model has a ridge, the additive one a roughness penalty per curve; both strengths are those of greatest
evidence. The additive fit begins at the linear one. All models are `KAN`s on inputs in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.nn import KAN, Affine, KANLinear
from edgewise.optim import (
    Loss,
    Network,
    NetworkLeastSquares,
    Parameters,
    Smoothing,
    levenberg_marquardt,
)
from edgewise.optim.least_squares import Prior
from edgewise.training.samples import Samples

LINEAR_ROUNDS, CURVE_ROUNDS, STEPS = 12, 20, 1
LEAST_DAMPING, SINGULAR = 1e-9, 1e-12
SETTLED = 1e-4
"""A relative change of the loss by new strengths below which they stay."""
CURVE_INTERVALS, MOST_ADDITIVE = 10, 1500
"""Pieces of a curve of the additive model, and the parameters that it may have; with more it has three pieces."""

MOST_WORK = 1e10
"""Operations for a Gram matrix: about a second."""

FOLDS_OF_MANY, FOLDS_OF_FEW, FEW_ROWS = 5, 10, 100
BLOCK = 65_536

Fit = Callable[[Samples], KAN]


@dataclass(frozen=True)
class Trial:
    """How a model did on rows that it did not see.

    Args:
        name: "linear", "additive" or "network".
        loss: the mean held-out loss.
        excess: by how much that is above the least of all candidates.
        error: the standard error of the excess.
    """

    name: str
    loss: float
    excess: float
    error: float


def compare(
    values: Mapping[str, Float[Tensor, " rows"]], weights: Float[Tensor, " rows"] | None = None
) -> tuple[str, list[Trial]]:
    """The name of the simplest model within one standard error of the best, and how all did.

    Args:
        values: the held-out loss of every row by model, the simplest model first.
        weights: of the rows.
    """
    w = torch.ones_like(next(iter(values.values()))) if weights is None else weights
    w = w / w.sum()
    finite = {name: v for name, v in values.items() if bool(v.isfinite().all())}
    if not finite:
        raise ValueError("no model has a finite loss on the held-out rows; check the data")
    means = {name: float(w @ v) for name, v in finite.items()}
    best = min(means, key=lambda name: means[name])
    found = []
    for name, v in finite.items():
        d = v - finite[best]
        excess = float(w @ d)
        found.append(Trial(name, means[name], excess, float((w.square() @ (d - excess).square()).sqrt())))
    return next(c.name for c in found if c.excess <= c.error), found


def held_out_values(
    fits: Mapping[str, Fit], samples: Samples, loss: Loss, seed: int
) -> dict[str, Float[Tensor, " rows"]]:
    """The loss of every row under models that were fitted without it; equal rows are held out together."""
    folds = FOLDS_OF_FEW if len(samples) < FEW_ROWS else FOLDS_OF_MANY
    fold = _folds(samples, folds, seed)
    outputs: dict[str, Tensor] = {}
    for n in range(folds):
        rest, held = samples[fold != n], fold == n
        if not (bool(held.any()) and len(rest) > 1):
            continue
        for name, make in fits.items():
            model = make(rest)
            f = forward(model, samples.x[held])
            if loss.joint:  # a constant has no meaning: every part has its own
                f = f - forward(model, rest.x).mean(0)
            outputs.setdefault(name, f.new_zeros(len(samples), f.shape[1]))[held] = f
    return {name: loss.each(loss.values, f, samples.y, samples.weights) for name, f in outputs.items()}


def row_losses(model: nn.Module, held: Samples, loss: Loss) -> Float[Tensor, " rows"]:
    """The loss of every held-out row."""
    return loss.each(loss.values, forward(model, held.x), held.y, held.weights)


@torch.no_grad()
def forward(model: nn.Module, x: Float[Tensor, "rows in"]) -> Float[Tensor, "rows out"]:
    """The outputs at all rows, in blocks."""
    return torch.cat([model(part) for part in x.split(BLOCK)])


def units_of(x: Float[Tensor, "rows features"], weights: Float[Tensor, " rows"]) -> Affine:
    """The affine map of every feature's range, over rows of positive weight, to [-1, 1]; a constant maps to 0."""
    used = x[weights > 0]
    low, high = used.amin(0), used.amax(0)
    half = torch.where(high > low, (high - low) / 2, 1.0)
    return Affine(1 / half, -(low + high) / 2 / half)


def simple_fits(samples: Samples, loss: Loss, outputs: int) -> dict[str, Fit]:
    """How the linear and the additive model are fitted, each where its work is affordable, to as many rows as that is.

    The Gram matrix of p parameters takes p^2 operations per row and output. Without five values per parameter in the
    rows that can be afforded, a model is left out.
    """
    fits: dict[str, Fit] = {}
    for name, rows_of_basis, make in (("linear", 2, fit_linear), ("additive", 6, fit_additive)):
        parameters = rows_of_basis * samples.x.shape[1] * outputs
        most = int(MOST_WORK / (parameters**2 * outputs))
        if most >= len(samples) or most * outputs >= 5 * parameters:
            fits[name] = partial(_fit_some, make, most, loss, outputs)
    return fits


def _fit_some(make: Callable[[Samples, Loss, int], KAN], most: int, loss: Loss, outputs: int, samples: Samples) -> KAN:
    if len(samples) > most:
        samples = samples[torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:most]]
    return make(samples, loss, outputs)


def fit_linear(samples: Samples, loss: Loss, outputs: int) -> KAN:
    """A network of one layer whose curves are straight lines: a generalised linear model with a ridge by evidence."""
    slopes, at_zero, _ = _lines(samples, loss, outputs)
    return _one_layer(slopes, at_zero, BSpline(3, 3))


def fit_additive(samples: Samples, loss: Loss, outputs: int) -> KAN:
    """A network of one layer, every curve smoothed by evidence; the steps begin at the linear model, whose ridge stays.

    Without the ridge the slopes of perfectly separated classes have no minimum.
    """
    size = samples.x.shape[1] * outputs * (CURVE_INTERVALS + 3)
    fine = size <= min(MOST_ADDITIVE, len(samples)) and size**2 * len(samples) * outputs <= MOST_WORK
    intervals = CURVE_INTERVALS if fine else 3
    slopes, at_zero, ridge = _lines(samples, loss, outputs)
    start = _one_layer(slopes, at_zero, BSpline(intervals, 3))
    network, at, problem = _problem(start, samples, loss)
    count, theta, last = _count(samples), at.theta, math.inf
    prior = Smoothing.weak(network, 1, count)
    lines = _Slopes(ridge, prior.positions[0])
    for _ in range(CURVE_ROUNDS):
        end = levenberg_marquardt(problem, theta, STEPS, mu=LEAST_DAMPING, prior=_Sum((prior, lines)))
        theta, value, gram = end.theta, float(end.losses), end.gram.clone()
        if abs(value - last) <= SETTLED * abs(value):
            break
        last = value
        lines.add_to(gram)
        prior = prior.updated(theta, gram, end.losses, count, loss.known_noise)
    return network.model(Parameters(theta, at.grids), 0, start, None, None)


def _lines(samples: Samples, loss: Loss, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""The slopes (in, out) and values at 0 (out) of the linear model, and the ridge of every slope, (in * out).

    The ridge is one number in units of the standard deviations of the inputs, $\lambda = \gamma s / \lvert w\rvert^2$
    with $\gamma$ effective parameters and the variance s of the noise (MacKay, Neural Computation 4, 1992).
    """
    variance = _variances(samples).repeat_interleave(outputs)
    zero = samples.x.new_zeros(samples.x.shape[1], outputs)
    network, at, problem = _problem(_one_layer(zero, zero[0], BSpline(1, 1)), samples, loss)
    count, theta, last = _count(samples), at.theta, math.inf
    positions = torch.arange(2 * len(variance)).view(-1, 2, outputs).transpose(1, 2).reshape(-1, 2)
    strength = 1 / count
    for _ in range(LINEAR_ROUNDS):
        lines = _Slopes(strength * variance, positions)
        end = levenberg_marquardt(problem, theta, STEPS, mu=LEAST_DAMPING, prior=lines)
        theta, value, hessian = end.theta, float(end.losses), end.gram.clone()
        if abs(value - last) <= SETTLED * abs(value):
            break
        last = value
        lines.add_to(hessian)
        taken, size = lines.taken(hessian), float((lines.rises(theta).square() * variance).sum())
        gamma = min(max(len(variance) - taken, 1e-3 * len(variance)), len(variance))
        free = max(count - gamma - outputs, 0.05 * count)
        unit = 1 / count if loss.known_noise else 2 * value / free
        strength = min(max(gamma * unit / max(size, 1e-300), 1e-12), 1e6)
    coef, bias, _ = network.split(theta)[0]
    return (coef[0, :, 1] - coef[0, :, 0]) / 2, bias[0] + coef[0].mean(1).sum(0), strength * variance


def _problem(start: KAN, samples: Samples, loss: Loss) -> tuple[Network, Parameters, NetworkLeastSquares]:
    network, at = Network.of(start)
    return network, at, NetworkLeastSquares(network, at.grids, samples.x, samples.y, samples.weights, loss)


def _variances(samples: Samples) -> Float[Tensor, " in"]:
    """Of the inputs; 1 for a constant."""
    w = torch.ones(len(samples), dtype=samples.x.dtype) if samples.weights is None else samples.weights
    w = w / w.sum()
    found = w @ (samples.x - w @ samples.x).square()
    return torch.where(found > 1e-24, found, torch.ones_like(found))


def _count(samples: Samples) -> float:
    """The number of samples that these weights are worth."""
    w = samples.weights
    return float(len(samples)) if w is None else float(w.sum() ** 2 / w.square().sum())


def _one_layer(slope: Float[Tensor, "in out"], at_zero: Float[Tensor, " out"], basis: BSpline) -> KAN:
    """The lines with these slopes as a layer of splines over [-1, 1]."""
    grid = basis.init_grid(len(slope), dtype=slope.dtype)
    coef = slope[:, None, :] * basis.greville(grid)[:, :, None]
    mask = torch.ones(slope.shape, dtype=torch.bool)
    return KAN.assemble([KANLinear.assemble(basis, None, coef=coef, grid=grid, mask=mask, bias=at_zero)])


@dataclass(frozen=True)
class _Slopes:
    r"""The penalty $\frac12\sum_e r_e (c_{e,\mathrm{last}} - c_{e,\mathrm{first}})^2 / 4$ on the rise of curves."""

    ridge: Float[Tensor, " edges"]
    positions: Tensor

    def value(self, theta: Tensor) -> Tensor:
        return (self.rises(theta).square() * self.ridge).sum(-1) / 2

    def times(self, theta: Tensor) -> Tensor:
        product, pull = torch.zeros_like(theta), self.ridge * self.rises(theta) / 2
        product[:, self.positions[:, -1]] = pull
        product[:, self.positions[:, 0]] = -pull
        return product

    def add_to(self, gram: Tensor) -> None:
        first, last = self.positions[:, 0], self.positions[:, -1]
        for a, b, sign in ((first, first, 1), (last, last, 1), (first, last, -1), (last, first, -1)):
            gram[:, a, b] += sign * self.ridge / 4

    def rises(self, theta: Tensor) -> Float[Tensor, "S edges"]:
        """Half the difference of the last and the first coefficient: the slope of a line over [-1, 1]."""
        return (theta[:, self.positions[:, -1]] - theta[:, self.positions[:, 0]]) / 2

    def taken(self, hessian: Float[Tensor, "1 P P"]) -> float:
        """The parameters that the penalty takes away from lines: the trace of its matrix times the inverse Hessian.

        In coordinates of slopes and biases, for a constant may move between a curve of two coefficients and its bias.
        """
        first, last = self.positions[:, 0], self.positions[:, -1]
        edges, columns = len(self.ridge), torch.eye(hessian.shape[1], dtype=hessian.dtype)
        lines = torch.cat([columns[:, last] - columns[:, first], columns[:, 2 * edges :]], 1)
        matrix = lines.T @ hessian[0] @ lines
        matrix.diagonal().add_(SINGULAR * matrix.diagonal().amax())  # equal columns with hardly a ridge
        return float(self.ridge @ torch.linalg.inv(matrix).diagonal()[:edges])


@dataclass(frozen=True)
class _Sum:
    """Several penalties together."""

    parts: tuple[Prior, ...]

    def value(self, theta: Tensor) -> Tensor:
        return torch.stack([part.value(theta) for part in self.parts]).sum(0)

    def times(self, theta: Tensor) -> Tensor:
        return torch.stack([part.times(theta) for part in self.parts]).sum(0)

    def add_to(self, gram: Tensor) -> None:
        for part in self.parts:
            part.add_to(gram)


def _folds(samples: Samples, count: int, seed: int) -> Tensor:
    """The fold of every row; equal rows have one fold."""
    y = samples.y if samples.y.ndim == 2 else samples.y[:, None]
    _, group = torch.cat([samples.x, y.to(samples.x)], 1).unique(dim=0, return_inverse=True)
    order = torch.randperm(int(group.max()) + 1, generator=torch.Generator().manual_seed(seed))
    return order[group] % count


def simplest(fits: Mapping[str, Fit], samples: Samples, loss: Loss, seed: int) -> tuple[str, KAN, Sequence[Trial]]:
    """The simplest of these models by cross-validation, fitted to all samples: its name, the model, how all did."""
    chosen, found = compare(held_out_values(fits, samples, loss, seed), samples.weights)
    return chosen, fits[chosen](samples), found
