r"""Self-scaled BFGS: a dense quasi-Newton method for losses whose Hessian is far from the identity.

With $s = x_{k+1} - x_k$, $y = g_{k+1} - g_k$ and the inverse Hessian estimate H (Oren & Luenberger 1974; the scaling of
Al-Baali, Comput. Optim. Appl. 9, 1998, section 2),

$$ H \gets \frac 1\tau \Big( H - \frac{H y y^T H}{y^T H y} + y^T H y\, v v^T \Big) + \frac{s s^T}{y^T s}, \qquad
   v = \frac{s}{y^T s} - \frac{H y}{y^T H y}, \qquad \tau = \min\Big(1, \frac{y^T s}{s^T H^{-1} s}\Big). $$

$\tau$ lets the estimate grow where the curvature turns out smaller than it said; without it this is BFGS.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.lbfgs import _strong_wolfe

Objective = Callable[[Float[Tensor, " n"]], tuple[float, Float[Tensor, " n"]]]


def self_scaled_bfgs(objective: Objective, x: Float[Tensor, " n"], steps: int) -> Float[Tensor, " n"]:
    """The best point of at most so many steps from x; memory and time of a step are those of an (n, n) matrix.

    Args:
        objective: the loss and its gradient at a point, in float64.
        x: where to begin; the loss must be finite there.
        steps: each with a line search to the strong Wolfe conditions.
    """
    loss, g = objective(x)
    H, size = _unscaled(g)
    fresh = True
    for _ in range(steps):
        direction = H.mv(g).neg_()
        slope = float(g @ direction)
        new_loss, new_g = math.inf, g
        if slope < 0:
            search = _strong_wolfe(lambda x, t, d: objective(x + t * d), x, size, direction, loss, g, slope)
            new_loss, new_g, size = float(search[0]), search[1], float(search[2])
        if not new_loss < loss:
            if fresh:  # not even along the gradient: a minimum, to rounding
                break
            (H, size), fresh = _unscaled(g), True
            continue
        s, y = size * direction, new_g - g
        curvature = -size * float(s @ g)
        if fresh and float(y @ s) > 0:  # the size that the first step has seen
            scale = float(y @ s) / float(y @ y)
            H, curvature = H.mul_(scale), float(s @ s) / scale
        _update_(H, s, y, curvature)
        x, loss, g, size, fresh = x + s, new_loss, new_g, 1.0, False
    return x


def _unscaled(g: Tensor) -> tuple[Tensor, float]:
    """The identity, and the size of a first step along the gradient."""
    return torch.eye(len(g), dtype=g.dtype), min(1.0, 1.0 / max(float(g.abs().sum()), 1e-300))


def _update_(H: Tensor, s: Tensor, y: Tensor, curvature: float) -> None:
    """The step of this file's equation; `curvature` is $s^T H^{-1} s$."""
    ys = float(y @ s)
    if ys <= 1e-14 * float(y.norm() * s.norm()):
        return
    Hy = H.mv(y)
    yHy = float(y @ Hy)
    if not yHy > 0:
        return
    v = s / ys - Hy / yHy
    tau = min(1.0, ys / curvature)
    H.addr_(Hy, Hy, alpha=-1 / yHy).addr_(v, v, alpha=yHy).div_(tau).addr_(s, s, alpha=1 / ys)
