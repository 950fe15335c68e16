r"""What a loss makes of the targets of a table: the units that a network is trained in, and a score.

With an exposure $E$ and a log link the mean is $E\,e^f$. For a variance proportional to the power p of the mean that is
the same as a target $y / E$ with the weight $E^{2-p}$, so that no loss needs an argument for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from torch import Tensor

from edgewise.nn import Affine
from edgewise.optim import Loss
from edgewise.tables.additive.survival import concordance

Rows = Float[Tensor, "rows out"]


@dataclass(frozen=True)
class Targets:
    """Targets in the units of a network.

    Args:
        y: what the loss compares the outputs with.
        weights: of the rows.
        loss: of the outputs.
        units: from the outputs of the network to those of the user: a mean, or its logarithm.
    """

    y: Rows
    weights: Float[Tensor, " rows"]
    loss: Loss
    units: Affine | None


def in_units(y: Rows, weights: Float[Tensor, " rows"], loss: Loss, exposure: Float[Tensor, " rows"] | None) -> Targets:
    """Targets of order 1: standardised, or divided by their mean where the link is log."""
    y, weights = per_exposure(y, weights, loss, exposure)
    _require_range(y, loss)
    if loss.joint:
        return Targets(y, weights, loss, None)
    w = weights / weights.sum()
    mean = w @ y
    if loss.link == "log":
        if not bool((mean > 0).all()):
            raise ValueError(f"the target is 0 in every row of positive weight; the loss {loss.name!r} has no minimum")
        # A target in other units changes the scale of a Poisson variance, which is then estimated.
        return Targets(y / mean, weights, replace(loss, dispersion=True), Affine(torch.ones_like(mean), mean.log()))
    if not loss.units:
        shift = mean if loss.targets[0] == -np.inf else torch.zeros_like(mean)
        return Targets(y - shift, weights, loss, Affine(torch.ones_like(mean), shift))
    spread = (w @ (y - mean).square()).sqrt()
    spread = torch.where(spread > 0, spread, 1.0)
    return Targets((y - mean) / spread, weights, loss, Affine(spread, mean))


def per_exposure(
    y: Rows, weights: Float[Tensor, " rows"], loss: Loss, exposure: Float[Tensor, " rows"] | None
) -> tuple[Rows, Float[Tensor, " rows"]]:
    """The targets of an exposure of 1, and their weights."""
    if exposure is None:
        return y, weights
    return y / exposure[:, None], weights * exposure ** (2 - require_rate(loss))


def require_rate(loss: Loss) -> float:
    """The power of the variance; `ValueError` where the mean is no rate, so that an exposure means nothing."""
    if loss.power is None:
        raise ValueError(f"exposure belongs to a loss of counts or positive amounts, and {loss.name!r} is none")
    return loss.power


def survival_times(y: Any) -> np.ndarray:
    """Times as the loss "cox" takes them, minus the time where no event was seen; only their order is kept.

    Args:
        y: a structured array of (event, time), as of scikit-survival, or times with a sign.
    """
    y = np.asarray(y)
    if y.dtype.names is None:
        signed = y.astype(float)
        event, time = signed >= 0, np.abs(signed)
    else:
        kinds = {name: y.dtype[name].kind for name in y.dtype.names}
        flags = [name for name, kind in kinds.items() if kind == "b"]
        times = [name for name, kind in kinds.items() if kind in "iuf"]
        if (len(flags), len(times)) != (1, 1):
            raise ValueError(f"survival times need one truth value (event) and one number (time), got {y.dtype}")
        event, time = y[flags[0]], y[times[0]].astype(float)
    if not (np.isfinite(time).all() and (time >= 0).all()):
        raise ValueError("survival times must be finite and not negative")
    if not event.any():
        raise ValueError("no event was seen in any row: there is nothing to learn")
    rank = np.unique(time, return_inverse=True)[1].reshape(time.shape) + 1.0
    return np.where(event, rank, -rank)


def explained(loss: Loss, f: Rows, y: Rows, weights: Float[Tensor, " rows"]) -> float:
    """The share of the loss of the best constant that is explained: R2 for "mse"; the concordance for "cox"."""
    if loss.joint:
        found = concordance(y[:, 0].numpy(), f[:, 0].numpy())
        return 0.5 if math.isnan(found) else found  # without a pair whose order is known
    best = torch.cat([_constant(loss, y[:, [i]], weights) for i in range(y.shape[1])], 1)
    least = float(loss(best.expand_as(y), y, weights))
    return 1 - float(loss(f, y, weights)) / least if least > 0 else 0.0


def _constant(loss: Loss, y: Rows, weights: Float[Tensor, " rows"]) -> Rows:
    """The output of least loss among those that are the same in every row, (1, 1)."""
    link = {"log": torch.log, "logit": torch.logit}.get(loss.link, lambda t: t)
    low, high = float(y.min()), float(y.max())

    def at(mean: float) -> Tensor:
        return link(torch.full((1, 1), mean, dtype=y.dtype))

    if loss.name == "mse" or loss.link != "identity":
        return at(float((weights / weights.sum()) @ y[:, 0]))
    if low == high:
        return at(low)
    found = minimize_scalar(lambda c: float(loss(at(c).expand_as(y), y, weights)), bounds=(low, high), method="bounded")
    return at(float(found.x))  # type: ignore[union-attr]


def _require_range(y: Rows, loss: Loss) -> None:
    low, high = loss.targets
    bad = ~((y >= low) & (y <= high)).all(1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        allowed = {(0.0, np.inf): "0 or more", (0.0, 1.0): "between 0 and 1"}.get((low, high), "above 0")
        raise ValueError(
            f"the loss {loss.name!r} takes targets that are {allowed}, but row {row} has {y[row].tolist()}; correct "
            "them or choose another loss"
        )
