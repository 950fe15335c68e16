r"""The simplest model that held-out rows allow: linear, additive, or with hidden nodes.

A model replaces a simpler one where its loss on rows that neither saw is less by more than one standard error,

$$ \bar d > \operatorname{se}(d), \qquad d_n = \ell_{\text{simpler}}(n) - \ell_{\text{best}}(n), $$

the standard error being that of the paired differences (the rule of one standard error of Breiman et al., 1984, with
the pairing that equal rows permit). Few rows are held out in turn, so that each is held out once; of many, a fifth is.

The linear and the additive model are those of `edgewise.tables.additive`, with strengths of greatest evidence. All
models are `KAN`s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise.nn import KAN, Affine
from edgewise.optim import Loss
from edgewise.tables.additive.as_network import layer_of
from edgewise.tables.additive.axis_choice import TermSettings, default_intervals
from edgewise.tables.additive.families import family_of
from edgewise.tables.additive.fit_additive import AdditiveSettings, fit_additive as additive_of
from edgewise.tables.additive.inputs import Column
from edgewise.training.samples import Samples

CURVE_INTERVALS = 10
"""Pieces of a curve of the additive model at most."""

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

    The Gram matrix of p parameters takes p^2 operations per row and output; a column of two values, such as the
    indicator of a level, has one parameter in both models. Without five rows per parameter in those
    that can be afforded, a model is left out; so are both for a loss that no family of outcomes has.
    """
    fits: dict[str, Fit] = {}
    if family_of(loss) is None:
        return fits
    straight = int(((samples.x == samples.x.amin(0)) | (samples.x == samples.x.amax(0))).all(0).sum())
    for name, size, make in (("linear", 1, fit_linear), ("additive", CURVE_INTERVALS + 2, fit_additive)):
        parameters = size * (samples.x.shape[1] - straight) + straight + 1
        most = int(MOST_WORK / (parameters**2 * outputs))
        if most >= len(samples) or most >= 5 * parameters:
            fits[name] = partial(_fit_some, make, most, loss, outputs)
    return fits


def _fit_some(make: Callable[[Samples, Loss, int], KAN], most: int, loss: Loss, outputs: int, samples: Samples) -> KAN:
    if len(samples) > most:
        samples = samples[torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:most]]
    return make(samples, loss, outputs)


def fit_linear(samples: Samples, loss: Loss, outputs: int) -> KAN:
    """A network of one layer whose curves are straight lines: a generalised linear model with ridges by evidence."""
    return _fitted(samples, loss, outputs, TermSettings(straight=True))


def fit_additive(samples: Samples, loss: Loss, outputs: int) -> KAN:
    """A network of one layer, every curve smoothed by evidence: see `edgewise.tables.additive`."""
    intervals = min(CURVE_INTERVALS, default_intervals(_count(samples)))
    return _fitted(samples, loss, outputs, TermSettings(intervals=intervals))


def _fitted(samples: Samples, loss: Loss, outputs: int, terms: TermSettings) -> KAN:
    family = family_of(loss)
    assert family is not None
    x = samples.x.double().numpy()
    columns = [Column(f"x{j + 1}", "number", values) for j, values in enumerate(x.T)]
    y = samples.y.numpy()
    targets = np.eye(outputs)[y] if loss.labels else y.astype(float).reshape(len(y), -1)
    w = np.ones(len(y)) if samples.weights is None else samples.weights.double().numpy()
    w = w * (_count(samples) / w.sum())
    names = tuple(f"y{i + 1}" for i in range(outputs))
    model = additive_of(columns, targets, w, AdditiveSettings(family, terms), outputs=names)
    layer = layer_of(model)
    assert layer is not None
    return KAN.assemble([layer.to(samples.x.dtype)])


def _count(samples: Samples) -> float:
    """The number of samples that these weights are worth."""
    w = samples.weights
    return float(len(samples)) if w is None else float(w.sum() ** 2 / w.square().sum())


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
