r"""Losses as values: $\ell(f, y)$ per sample, with the slope and the curvature that Gauss-Newton needs.

The loss of a set of samples is the weighted mean $\sum_b w_b\,\ell(f_b, y_b) / \sum_b w_b$.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    r"""A loss per sample.

    Args:
        name: what reports call it.
        values: $\ell(f, y)$, shapes (*b, out), (*b, out or nothing) -> (*b).
        slope: $\partial\ell/\partial f$ of shape (*b, out); None where only autograd knows it.
        factor: $A$ with $A^T A$ a positive semi-definite $\partial^2\ell/\partial f^2$, of shape (*b, out, out).
        labels: the target is a class number of shape (*b).
        targets: the least and the greatest target for which the loss has a minimum.
        units: the loss is unchanged in meaning where target and output are scaled together, so that `fit` may do so.
    """

    name: str
    values: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor] | None = None
    factor: Callable[[Tensor, Tensor], Tensor] | None = None
    labels: bool = False
    targets: tuple[float, float] = (-math.inf, math.inf)
    units: bool = False

    def __call__(
        self, f: Float[Tensor, "*b out"], y: Tensor, weights: Float[Tensor, "*b"] | None = None
    ) -> Float[Tensor, ""]:
        """The weighted mean over all samples."""
        values = self.values(f, y)
        if weights is None:
            return values.mean()
        return (weights * values).sum() / weights.sum()


def get_loss(loss: str | Loss | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """The loss of this name, or the given callable (prediction, target) -> scalar or one value per sample."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise ValueError(f"unknown loss {loss!r}; choose one of {', '.join(LOSSES)}, or give a callable")
        return LOSSES[loss]
    if not callable(loss):
        raise TypeError(f"loss must be a name or a callable (prediction, target) -> tensor, got {loss!r}")
    return Loss(getattr(loss, "__name__", type(loss).__name__), loss)


def _squared(f: Tensor, y: Tensor) -> Tensor:
    return (f - y).square().mean(-1)


def _squared_slope(f: Tensor, y: Tensor) -> Tensor:
    return 2 / f.shape[-1] * (f - y)


def _squared_factor(f: Tensor, y: Tensor) -> Tensor:
    return torch.full_like(f, (2 / f.shape[-1]) ** 0.5).diag_embed()


def _huber(f: Tensor, y: Tensor) -> Tensor:
    return F.huber_loss(f, y, reduction="none").mean(-1)


def _huber_slope(f: Tensor, y: Tensor) -> Tensor:
    return (f - y).clamp(-1, 1) / f.shape[-1]


def _huber_factor(f: Tensor, y: Tensor) -> Tensor:
    # 1/|r| beyond the corner, not 0: the majorising parabola of iterated reweighting never overshoots.
    return ((f - y).abs().clamp(min=1) * f.shape[-1]).rsqrt().diag_embed()


def _bce(f: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(f, y, reduction="none").mean(-1)


def _bce_slope(f: Tensor, y: Tensor) -> Tensor:
    return (f.sigmoid() - y) / f.shape[-1]


def _bce_factor(f: Tensor, y: Tensor) -> Tensor:
    p = f.sigmoid()
    return (p * (1 - p) / f.shape[-1]).sqrt().diag_embed()


def _poisson(f: Tensor, y: Tensor) -> Tensor:
    return (f.exp() - y * f).mean(-1)


def _poisson_slope(f: Tensor, y: Tensor) -> Tensor:
    return (f.exp() - y) / f.shape[-1]


def _poisson_factor(f: Tensor, y: Tensor) -> Tensor:
    return (f.exp() / f.shape[-1]).sqrt().diag_embed()


def _cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(f.flatten(0, -2), y.flatten(), reduction="none").unflatten(0, f.shape[:-1])


def _cross_entropy_slope(f: Tensor, y: Tensor) -> Tensor:
    return f.softmax(-1) - F.one_hot(y, f.shape[-1])


def _cross_entropy_factor(f: Tensor, y: Tensor) -> Tensor:
    q = f.softmax(-1).sqrt()  # (I - q q^T) is a projection, so that A^T A = diag(p) - p p^T
    return q.diag_embed() - q[..., :, None] * (q * q)[..., None, :]


LOSSES = {
    loss.name: loss
    for loss in (
        Loss("mse", _squared, _squared_slope, _squared_factor, units=True),
        Loss("huber", _huber, _huber_slope, _huber_factor),
        Loss("bce", _bce, _bce_slope, _bce_factor, targets=(0.0, 1.0)),
        Loss("poisson", _poisson, _poisson_slope, _poisson_factor, targets=(0.0, math.inf)),
        Loss("cross_entropy", _cross_entropy, _cross_entropy_slope, _cross_entropy_factor, labels=True),
    )
}
