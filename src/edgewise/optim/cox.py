r"""The partial likelihood of Cox's proportional hazards, for times of which some are censored on the right.

The hazard at time t is $h_0(t)\,e^f$. An event of weight w at time t costs

$$ \ell = \log\sum_{j:\,t_j \ge t} w_j e^{f_j} - f, $$

a censored sample nothing; events at equal times share one risk set (Breslow, Biometrics 30, 1974). A target is the
time itself for an event and minus the time for a censored sample: only the order of times counts. Several outputs are
several such models; their mean is taken.

The Hessian is $\operatorname{diag}(e^f A) - \sum_e p_e p_e^T$ with $A_b = \sum_{e:\,t_e \le t_b} w_e / S_e$, the
cumulative hazard of Breslow; its first part alone majorises it, is diagonal, and is the curvature used here: that of
a Poisson loss with the baseline hazard kept for the length of a step.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Outputs = Float[Tensor, "*s b out"]
Weights = Float[Tensor, "*#s b"] | None


def cox_values(f: Outputs, y: Outputs, weights: Weights = None) -> Float[Tensor, "*s b"]:
    """The cost of every sample: of its event, 0 where it is censored."""
    log_risk, _ = _risks(f, y, weights)
    return (_events(y) * (log_risk - f)).mean(-1)


def cox_slope(f: Outputs, y: Outputs, weights: Weights = None) -> Outputs:
    """The derivative of the weighted sum of all values in one output, divided by the weight of its sample."""
    _, log_hazard = _risks(f, y, weights)
    return ((f + log_hazard).exp() - _events(y)) / f.shape[-1]


def cox_factor(f: Outputs, y: Outputs, weights: Weights = None) -> Float[Tensor, "*s b out out"]:
    """The root of the majorising curvature, diagonal."""
    _, log_hazard = _risks(f, y, weights)
    return ((f + log_hazard).exp() / f.shape[-1]).sqrt().diag_embed()


def log_cumulative_hazard(f: Outputs, y: Outputs, weights: Weights = None) -> Outputs:
    r"""The logarithm of Breslow's cumulative hazard $A_b$ at the time of every sample; minus infinity before events."""
    return _risks(f, y, weights)[1]


def _events(y: Tensor) -> Tensor:
    return (y >= 0).to(y.dtype)


def _risks(f: Tensor, y: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of every sample, log of the sum over its risk set, and log of the cumulative hazard up to its time."""
    if weights is None:
        log_weights = torch.zeros_like(f)
    else:
        relative = weights * (weights.shape[-1] / weights.sum(-1, keepdim=True))
        log_weights = relative.clamp(min=torch.finfo(f.dtype).tiny).log()[..., None].expand_as(f)
    early = -y.abs().movedim(-2, -1).contiguous()  # ascending: late samples first
    ranks, order = early.sort(dim=-1)
    sorted_f, log_w, events = (
        t.movedim(-2, -1).expand(order.shape).gather(-1, order) for t in (f, log_weights, _events(y))
    )
    last = torch.searchsorted(ranks, ranks, right=True) - 1  # of equal times
    first = torch.searchsorted(ranks, ranks)
    log_risk = (sorted_f + log_w).logcumsumexp(-1).gather(-1, last)
    share = torch.where(events > 0, log_w - log_risk, -torch.inf)
    log_hazard = share.flip(-1).logcumsumexp(-1).flip(-1).gather(-1, first)
    back = order.argsort(dim=-1)
    return log_risk.gather(-1, back).movedim(-1, -2), log_hazard.gather(-1, back).movedim(-1, -2)
