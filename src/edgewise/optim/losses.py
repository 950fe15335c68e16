r"""Losses as values: $\ell(f, y)$ per sample, with the slope and the curvature that Gauss-Newton needs.

The loss of a set of samples is the weighted mean $\sum_b w_b\,\ell(f_b, y_b) / \sum_b w_b$.

| name | $\ell(f, y)$, the mean over the outputs | link, targets |
|---|---|---|
| `mse` | $(f - y)^2$ | identity |
| `huber` | $r^2/2$ for a residual of at most 1, $\lvert r\rvert - 1/2$ beyond | identity |
| `quantile(tau)` | $\lvert\tau - [y < f]\rvert\,h(y - f)$, h an absolute value, round at 0 | identity |
| `expectile(tau)` | $2\,\lvert\tau - [y < f]\rvert\,(y - f)^2$; `mse` for 1/2 | identity |
| `bce` | $-y\log\sigma(f) - (1 - y)\log(1 - \sigma(f))$ | logit, 0 to 1 |
| `cross_entropy` | $\log\sum_k e^{f_k} - f_y$ | softmax, class numbers |
| `poisson` | $e^f - y - y\,(f - \log y)$ | log, 0 or more |
| `gamma` | $y e^{-f} - 1 + f - \log y$ | log, above 0 |
| `tweedie(p)` | $\frac{e^{(2-p)f}}{2-p} - \frac{y e^{(1-p)f}}{1-p} + \frac{y^{2-p}}{(1-p)(2-p)}$ | log, 0 or more |
| `cox` | the partial likelihood of `edgewise.optim.cox` | log hazard, signed times |

The last four but one are half the unit deviance of their distribution: 0 where the mean is the target.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from edgewise.optim.cox import cox_factor, cox_slope, cox_values

LEAST_POSITIVE = 2.0**-126
"""The least normal float32: a target below it is not above 0."""

Part = Callable[..., Tensor]
Link = Literal["identity", "log", "logit", "softmax"]


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
        link: the function of the mean that f is.
        power: the variance of the target is proportional to this power of its mean; None where the link is not log.
        dispersion: the noise is not known, and is estimated from the loss; so it is wherever `units` holds.
        joint: the value of a sample depends on all others: the three functions get all samples, and their weights.
    """

    name: str
    values: Callable[..., Tensor]
    slope: Callable[..., Tensor] | None = None
    factor: Callable[..., Tensor] | None = None
    labels: bool = False
    targets: tuple[float, float] = (-math.inf, math.inf)
    units: bool = False
    link: Link = "identity"
    power: float | None = None
    dispersion: bool = False
    joint: bool = False

    def __call__(
        self, f: Float[Tensor, "*b out"], y: Tensor, weights: Float[Tensor, "*b"] | None = None
    ) -> Float[Tensor, ""]:
        """The weighted mean over all samples."""
        values = self.each(self.values, f, y, weights)
        if weights is None:
            return values.mean()
        return (weights * values).sum() / weights.sum()

    def each(self, part: Callable[..., Tensor], f: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
        """One of the three functions at these samples."""
        return part(f, y, weights) if self.joint else part(f, y)

    @property
    def known_noise(self) -> bool:
        """Whether the loss is a log likelihood without a scale of its own."""
        return not (self.units or self.dispersion)

    def mean(self, f: Float[Tensor, "*b out"]) -> Float[Tensor, "*b out"]:
        """The output on the scale of the targets: the inverse of the link."""
        match self.link:
            case "log":
                return f.exp()
            case "logit":
                return f.sigmoid()
            case "softmax":
                return f.softmax(-1)
            case _:
                return f


def get_loss(loss: str | Loss | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """The loss of this name, or the given callable (prediction, target) -> scalar or one value per sample.

    >>> get_loss("quantile(0.9)") is quantile(0.9), get_loss("poisson").link
    (True, 'log')
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        return LOSSES[loss] if loss in LOSSES else _with_setting(loss)
    if not callable(loss):
        raise TypeError(f"loss must be a name or a callable (prediction, target) -> tensor, got {loss!r}")
    return Loss(getattr(loss, "__name__", type(loss).__name__), loss)


def _with_setting(name: str) -> Loss:
    """The loss that a text such as "tweedie(1.5)" names."""
    found = re.fullmatch(r"(\w+)\(([0-9.]+)\)", name.replace(" ", ""))
    if found is None or found[1] not in _MAKERS or found[2].count(".") > 1 or not found[2].strip("."):
        known = ", ".join((*LOSSES, *(f"{maker}({example})" for maker, (_, example) in _MAKERS.items())))
        raise ValueError(f"unknown loss {name!r}; choose one of {known}, or give a callable")
    return _MAKERS[found[1]][0](float(found[2]))


@lru_cache(maxsize=64)
def tweedie(power: float = 1.5) -> Loss:
    """Half the deviance of Tweedie's distribution, a sum of gamma amounts in Poisson number: insurance, rainfall.

    Args:
        power: the variance is proportional to this power of the mean; between 1 (Poisson) and 2 (gamma).
    """
    if not 1 < power < 2:
        raise ValueError(f"tweedie: power must be between 1 and 2, got {power!r}; 'poisson' is 1, 'gamma' is 2")
    three = _set(_tweedie, _tweedie_slope, _tweedie_factor, power=power)
    return Loss(f"tweedie({power:g})", *three, targets=(0.0, math.inf), link="log", power=power, dispersion=True)


@lru_cache(maxsize=64)
def quantile(level: float = 0.5, width: float = 0.01) -> Loss:
    r"""The pinball loss of a quantile, with a parabola in place of its corner.

    The curvature is that of the majorising parabola of iterated reweighting, $\max(\tau, 1 - \tau) / \lvert r\rvert$: a
    step with it never overshoots (Hunter and Lange, J. Comput. Graph. Stat. 9, 2000).

    Args:
        level: $\tau$, the share of targets below.
        width: of the parabola to either side, in units of the target (`fit` gives it a standard deviation of 1).
    """
    _check_level("quantile", level)
    if not width > 0:
        raise ValueError(f"quantile: width must be above 0, got {width!r}; the corner itself has no curvature")
    three = _set(_quantile, _quantile_slope, _quantile_factor, level=level, width=width)
    return Loss(f"quantile({level:g})", *three, units=True)


@lru_cache(maxsize=64)
def expectile(level: float = 0.5) -> Loss:
    r"""Asymmetric least squares (Newey and Powell, Econometrica 55, 1987); the mean for the level 1/2.

    Args:
        level: $\tau$, the share of the absolute deviations that lies below.
    """
    _check_level("expectile", level)
    three = _set(_expectile, _expectile_slope, _expectile_factor, level=level)
    return Loss(f"expectile({level:g})", *three, units=True)


def _set(values: Part, slope: Part, factor: Part, **settings: float) -> tuple[Part, Part, Part]:
    return partial(values, **settings), partial(slope, **settings), partial(factor, **settings)


def _check_level(name: str, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"{name}: level must be between 0 and 1, got {level!r}")


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
    return (f.exp() - y - y * f + torch.xlogy(y, y)).mean(-1)


def _poisson_slope(f: Tensor, y: Tensor) -> Tensor:
    return (f.exp() - y) / f.shape[-1]


def _poisson_factor(f: Tensor, y: Tensor) -> Tensor:
    return (f.exp() / f.shape[-1]).sqrt().diag_embed()


def _gamma(f: Tensor, y: Tensor) -> Tensor:
    return (y * (-f).exp() - 1 + f - y.log()).mean(-1)


def _gamma_slope(f: Tensor, y: Tensor) -> Tensor:
    return (1 - y * (-f).exp()) / f.shape[-1]


def _gamma_factor(f: Tensor, y: Tensor) -> Tensor:
    return (y * (-f).exp() / f.shape[-1]).sqrt().diag_embed()


def _tweedie(f: Tensor, y: Tensor, power: float) -> Tensor:
    a, b = 1 - power, 2 - power
    return ((b * f).exp() / b - y * (a * f).exp() / a + y**b / (a * b)).mean(-1)


def _tweedie_slope(f: Tensor, y: Tensor, power: float) -> Tensor:
    return (((2 - power) * f).exp() - y * ((1 - power) * f).exp()) / f.shape[-1]


def _tweedie_factor(f: Tensor, y: Tensor, power: float) -> Tensor:
    curvature = (2 - power) * ((2 - power) * f).exp() + (power - 1) * y * ((1 - power) * f).exp()
    return (curvature / f.shape[-1]).sqrt().diag_embed()


def _side(f: Tensor, y: Tensor, level: float) -> Tensor:
    return torch.where(y < f, 1 - level, level).to(f.dtype)


def _quantile(f: Tensor, y: Tensor, level: float, width: float) -> Tensor:
    size = (y - f).abs()
    rounded = torch.where(size < width, size.square() / (2 * width), size - width / 2)
    return (_side(f, y, level) * rounded).mean(-1)


def _quantile_slope(f: Tensor, y: Tensor, level: float, width: float) -> Tensor:
    return _side(f, y, level) * ((f - y) / width).clamp(-1, 1) / f.shape[-1]


def _quantile_factor(f: Tensor, y: Tensor, level: float, width: float) -> Tensor:
    size = (f - y).abs().clamp(min=width)
    return (max(level, 1 - level) / (size * f.shape[-1])).sqrt().diag_embed()


def _expectile(f: Tensor, y: Tensor, level: float) -> Tensor:
    return (2 * _side(f, y, level) * (f - y).square()).mean(-1)


def _expectile_slope(f: Tensor, y: Tensor, level: float) -> Tensor:
    return 4 / f.shape[-1] * _side(f, y, level) * (f - y)


def _expectile_factor(f: Tensor, y: Tensor, level: float) -> Tensor:
    return (4 / f.shape[-1] * _side(f, y, level)).sqrt().diag_embed()


def _cross_entropy(f: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(f.flatten(0, -2), y.flatten(), reduction="none").unflatten(0, f.shape[:-1])


def _cross_entropy_slope(f: Tensor, y: Tensor) -> Tensor:
    return f.softmax(-1) - F.one_hot(y, f.shape[-1])


def _cross_entropy_factor(f: Tensor, y: Tensor) -> Tensor:
    q = f.softmax(-1).sqrt()  # (I - q q^T) is a projection, so that A^T A = diag(p) - p p^T
    return q.diag_embed() - q[..., :, None] * (q * q)[..., None, :]


_BCE = (_bce, _bce_slope, _bce_factor)
_CROSS_ENTROPY = (_cross_entropy, _cross_entropy_slope, _cross_entropy_factor)
_POISSON = (_poisson, _poisson_slope, _poisson_factor)
_GAMMA = (_gamma, _gamma_slope, _gamma_factor)
_COX = (cox_values, cox_slope, cox_factor)

LOSSES = {
    loss.name: loss
    for loss in (
        Loss("mse", _squared, _squared_slope, _squared_factor, units=True),
        Loss("huber", _huber, _huber_slope, _huber_factor),
        Loss("bce", *_BCE, targets=(0.0, 1.0), link="logit"),
        Loss("cross_entropy", *_CROSS_ENTROPY, labels=True, link="softmax"),
        Loss("poisson", *_POISSON, targets=(0.0, math.inf), link="log", power=1.0),
        Loss("gamma", *_GAMMA, targets=(LEAST_POSITIVE, math.inf), link="log", power=2.0, dispersion=True),
        Loss("cox", *_COX, link="log", joint=True),
    )
}
_MAKERS = {"tweedie": (tweedie, 1.5), "quantile": (quantile, 0.9), "expectile": (expectile, 0.9)}
