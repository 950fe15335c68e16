r"""Fits the inner parameters of $c f(\alpha t + \beta) + d$ on [-1, 1], for many functions and curves at once.

A coarse scan over $(\alpha, \beta)$ finds the starting points. The best are polished by a safeguarded Gauss-Newton
method on these two alone, with (c, d) eliminated (variable projection: Golub and Pereyra 1973, Kaufman's Jacobian).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import SymbolicFn


def scan(
    t: Tensor, unit: Float[Tensor, "edges samples"], functions: tuple[SymbolicFn, ...], reach: float
) -> tuple[Float[Tensor, "functions edges starts 2"], list[SymbolicFn]]:
    r"""Starting points: for each function and edge the best $(\alpha, \beta)$ of each of three coarse grids."""
    pick = torch.linspace(0, len(t) - 1, min(len(t), 64)).round().long()
    if t[pick].amax() - t[pick].amin() < 1:  # of 2: one input far away from the others
        pick = torch.cat([pick, torch.stack([t.argmin(), t.argmax()])])
    t, unit = t[pick], unit[:, pick]
    unit = unit - unit.mean(-1, keepdim=True)
    energy = unit.square().sum(-1).clamp_min(1e-300)
    grids = coarse_grids()
    starts, kept = [], []
    for fn in functions:
        best = []
        for grid in grids:
            f = fn(grid[:, :1] * t + grid[:, 1:])
            f = f - f.mean(-1, keepdim=True)
            norm = f.square().sum(-1)
            share = (f @ unit.T).square() / (norm[:, None] * energy)
            usable = defined(fn, grid, reach) & torch.isfinite(norm) & (norm > 1e-20)
            share = torch.where(usable[:, None], share, -1.0)
            top = share.max(0)
            best.append(torch.where(top.values[:, None] > -1, grid[top.indices], torch.nan))
        start = torch.stack(best, 1)
        if torch.isfinite(start).any():
            starts.append(start)
            kept.append(fn)
    return torch.stack(starts) if starts else t.new_empty(0, len(unit), len(grids), 2), kept


def coarse_grids() -> list[Float[Tensor, "points 2"]]:
    r"""Coarse grids of $(\alpha, \beta)$ for inputs in [-1, 1]: centres and widths, in both directions; frequencies."""
    inside = torch.linspace(0, 0.9, 7, dtype=torch.float64)
    outside = torch.tensor([1.0, 1.02, 1.1, 1.25, 1.5, 2, 3, 5, 8, 20], dtype=torch.float64)
    centres = torch.cat([-outside.flip(0), -inside[1:].flip(0), inside, outside])
    widths = torch.logspace(math.log10(0.2), 1, 10, dtype=torch.float64)
    alpha, centre = (g.flatten() for g in torch.meshgrid(widths, centres, indexing="ij"))
    forward = torch.stack([alpha, -alpha * centre], -1)
    backward = torch.stack([-alpha, alpha * centre], -1)
    frequencies = torch.linspace(0.5, 48, 64, dtype=torch.float64)
    phases = torch.arange(4, dtype=torch.float64) * (math.pi / 4)
    alpha, beta = (g.flatten() for g in torch.meshgrid(frequencies, phases, indexing="ij"))
    return [forward, backward, torch.stack([alpha, beta], -1)]


def defined(fn: SymbolicFn, inner: Float[Tensor, "*n 2"], reach: float) -> Tensor:
    r"""True where f is finite for all $\alpha t + \beta$ with $|t| \le$ reach, to rounding at the closed ends."""
    if fn.poles is None and fn.domain == (-math.inf, math.inf):
        return torch.ones(inner.shape[:-1], dtype=torch.bool)
    alpha, beta = inner.unbind(-1)
    low, high = beta - alpha.abs() * reach, beta + alpha.abs() * reach
    ok = (low >= fn.domain[0]) & (high <= fn.domain[1])
    if fn.poles is None:
        return ok
    first, period = fn.poles
    if math.isinf(period):
        return ok & ~((low <= first) & (first <= high))
    return ok & (torch.ceil((low - first) / period) * period + first > high)


def _into_domain(fn: SymbolicFn, inner: Tensor, reach: float) -> Tensor:
    """The inner parameters with the least scale and shift changes that put the range into the closed domain."""
    low, high = fn.domain
    if math.isinf(low) and math.isinf(high):
        return inner
    alpha, beta = inner.unbind(-1)
    width = (high - low) / (2 * reach)
    alpha = alpha.clamp(-width, width) if math.isfinite(width) else alpha
    radius = alpha.abs() * reach
    if math.isfinite(low):
        beta = torch.maximum(beta, low + radius)
    if math.isfinite(high):
        beta = torch.minimum(beta, high - radius)
    return torch.stack([alpha, beta], -1)


def polish(
    t: Tensor,
    unit: Tensor,
    starts: Float[Tensor, "functions edges starts 2"],
    functions: list[SymbolicFn],
    reach: float,
) -> tuple[Float[Tensor, "functions edges 2"], Float[Tensor, "functions edges"]]:
    """Gauss-Newton from all starts on few points, then from the best start of every function on all points."""
    few = torch.linspace(0, len(t) - 1, min(len(t), 48)).round().long()
    inner, cost = _gauss_newton(t[few], unit[:, None, few], starts, functions, reach, steps=10)
    best = cost.argmin(-1, keepdim=True)
    inner, cost = inner.take_along_dim(best[..., None], 2), cost.take_along_dim(best, -1)
    leading = cost[..., 0].argsort(0)[:8].unique().tolist()
    inner[leading], cost[leading] = _gauss_newton(
        t, unit[:, None], inner[leading], [functions[f] for f in leading], reach, steps=25
    )
    return inner[:, :, 0], cost[:, :, 0]


def _gauss_newton(
    t: Float[Tensor, " samples"],
    v: Float[Tensor, "edges 1 samples"],
    inner: Float[Tensor, "functions edges starts 2"],
    functions: list[SymbolicFn],
    reach: float,
    steps: int,
) -> tuple[Tensor, Tensor]:
    """Damped Gauss-Newton on (alpha, beta) for all functions, edges and starts; cost = mean squared residual."""
    inner = torch.stack([_into_domain(fn, p, reach) for fn, p in zip(functions, inner, strict=True)])
    cost, r, J = _residuals(t, v, inner, functions, reach)
    damping = torch.full_like(cost, 1e-2)
    idle = 0
    for _ in range(steps):
        step = _damped_step(J, r, damping)
        trial = torch.stack([_into_domain(fn, p, reach) for fn, p in zip(functions, inner + step, strict=True)])
        new_cost, new_r, new_J = _residuals(t, v, trial, functions, reach)
        better = new_cost < cost
        inner = torch.where(better[..., None], trial, inner)
        r = torch.where(better[..., None], new_r, r)
        J = torch.where(better[..., None], new_J, J)
        gain = cost - new_cost
        cost = torch.where(better, new_cost, cost)
        damping = torch.where(better, damping / 5, damping * 4).clamp(1e-14, 1e6)
        idle = 0 if (better & (gain > 1e-3 * cost) & (cost > 1e-28)).any() else idle + 1
        if idle == 3:
            break
    return inner, cost


def _residuals(
    t: Tensor, v: Tensor, inner: Tensor, functions: list[SymbolicFn], reach: float
) -> tuple[Tensor, Tensor, Tensor]:
    r"""Cost, residual, and the columns $c\,P^\perp f'(u)\,(t, 1)$ of the Jacobian, $P^\perp$ away from 1 and f."""
    u = inner[..., :1] * t + inner[..., 1:]
    pairs = [value_and_slope(fn, part) for fn, part in zip(functions, u, strict=True)]
    f, slope = torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs])
    slope = torch.where(torch.isfinite(slope), slope, 0)  # the slope of sqrt at the end of its domain
    v = v - v.mean(-1, keepdim=True)
    f = f - f.mean(-1, keepdim=True)
    energy = f.square().sum(-1, keepdim=True)
    f = f / energy.sqrt().clamp_min(1e-150)
    size = (f * v).sum(-1, keepdim=True)
    r = v - size * f
    c = size / energy.sqrt().clamp_min(1e-150)

    def across(column: Tensor) -> Tensor:
        column = column - column.mean(-1, keepdim=True)
        return c * (column - (f * column).sum(-1, keepdim=True) * f)

    usable = torch.stack([defined(fn, p, reach) for fn, p in zip(functions, inner, strict=True)])
    cost = torch.where(usable, r.square().mean(-1), torch.inf)
    cost = torch.where(torch.isfinite(cost), cost, torch.inf)
    return cost, r, torch.stack([across(slope * t), across(slope)])


def _damped_step(J: Float[Tensor, "2 *starts samples"], r: Tensor, damping: Tensor) -> Tensor:
    r"""$(J^T J + \mu \max\mathrm{diag}\,I)\,\delta = J^T r$ for two columns, in closed form."""
    p, q, s = (J[0] * J[0]).sum(-1), (J[0] * J[1]).sum(-1), (J[1] * J[1]).sum(-1)
    g, h = (J[0] * r).sum(-1), (J[1] * r).sum(-1)
    extra = damping * torch.maximum(p, s) + 1e-280
    p, s = p + extra, s + extra
    det = p * s - q * q
    step = torch.stack([(s * g - q * h) / det, (p * h - q * g) / det], -1)
    return torch.nan_to_num(step, nan=0.0, posinf=0.0, neginf=0.0)


def value_and_slope(fn: SymbolicFn, u: Tensor) -> tuple[Tensor, Tensor]:
    """f and its derivative, elementwise; zero slope where f does not depend on u."""
    with torch.enable_grad():
        u = u.detach().requires_grad_()
        f = fn(u)
        if not f.requires_grad:
            return f, torch.zeros_like(u)
        (slope,) = torch.autograd.grad(f.sum(), u, allow_unused=True)
    return f.detach(), torch.zeros_like(u) if slope is None else slope
