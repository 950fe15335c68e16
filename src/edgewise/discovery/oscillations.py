r"""Fits oscillations along one variable, $y = a(v) + b t + \sum_k e^{-\gamma_k t} A_k(v) \cos(\omega_k t + \varphi_k)$.

The amplitudes are linear in products of the other variables v. Frequencies are scanned by least squares (the
periodogram of Lomb and Scargle, with other variables), then refined together with the rates of decay.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.goal import Goal
from edgewise.expressions.constants import minimize_residual
from edgewise.functional import least_squares

ROWS = 600
"""Rows that frequencies are scanned with: as many half periods can be told apart."""

MOST = 3
"""The most frequencies of one law."""

PERIODS = 1.2
"""Fewer periods are a curve that other functions describe."""


def oscillation(j: int, goal: Goal) -> Any:
    """The best law of this kind along input j as an expression; None where no frequency stands out."""
    x, y = goal.samples.x, goal.samples.y
    t = x[:, j]
    others = [k for k in goal.varying if k != j]
    if len(torch.unique(t)) < 20:
        return None
    products = [(), *((k,) for k in others), *(itertools.combinations_with_replacement(others, 2) if len(others) <= 3 else ())]
    V = torch.stack([x[:, list(p)].prod(-1) if p else torch.ones_like(y) for p in products], -1)
    V, middle = V / V.square().mean(0).sqrt().clamp_min(1e-300), (t.amax() + t.amin()) / 2
    fit = _Fit(t - middle, (y - y.mean()) / y.std(correction=0), V)
    theta = torch.zeros(0, 2, dtype=torch.float64)
    rest, error = fit.residual(theta), 1.0
    while len(theta) < MOST and error > 1e-9 and not goal.budget.over:
        omega = fit.scanned(rest)
        if omega is None:
            break
        trial = fit.refined(torch.cat([theta, torch.tensor([[omega, 0.0]], dtype=torch.float64)]))
        rest = fit.residual(trial)
        if not rest.square().mean().sqrt().item() < 0.7 * error:
            break
        theta, error = trial, rest.square().mean().sqrt().item()
    if len(theta) == 0:
        return None
    names = [sympy.Mul(*(goal.inputs[k] for k in p)) for p in products]
    return _expression(theta, x[:, j], y, x, products, names, goal.inputs[j])


class _Fit:
    """Variable projection: all that is linear follows from the frequencies and rates."""

    def __init__(self, t: Tensor, y: Tensor, V: Float[Tensor, "rows amplitudes"]) -> None:
        self.t, self.y, self.V = t, y, V
        self.span = (t.amax() - t.amin()).item()
        trend = torch.cat([V, 2 * t[:, None] / self.span], 1)
        self.trend = trend

    def columns(self, theta: Float[Tensor, "frequencies 2"]) -> Tensor:
        """The trend, then cosine and sine of every frequency times every amplitude."""
        return torch.cat([self.trend, *(waves(self.t, self.V, *pair) for pair in theta)], 1)

    def residual(self, theta: Float[Tensor, "frequencies 2"]) -> Tensor:
        """What least squares leaves."""
        A = self.columns(theta)
        return self.y - A @ least_squares(A, self.y[:, None])[:, 0]

    def scanned(self, rest: Float[Tensor, " rows"]) -> float | None:
        """The frequency that explains most of what is left."""
        some = slice(0, ROWS)
        t, V, rest = self.t[some], self.V[some], rest[some]
        omega = math.pi / (2 * self.span) * torch.arange(int(4 * PERIODS), 2 * len(t), dtype=torch.float64)
        q = torch.linalg.qr(self.trend[some]).Q
        gains = []
        for part in omega.split(64):
            wave = torch.stack([torch.cos(part[:, None] * t), torch.sin(part[:, None] * t)], -1)
            A = (wave[..., None] * V[:, None]).flatten(2)
            A = A - q @ (q.T @ A)
            gram, slope = A.mT @ A, (A.mT @ rest[:, None])[..., 0]
            gram = gram + 1e-9 * len(t) * torch.eye(gram.shape[-1], dtype=torch.float64)
            gains.append((slope * torch.linalg.solve(gram, slope[..., None])[..., 0]).sum(-1))
        gain = torch.cat(gains)
        k = int(gain.argmax())
        return omega[k].item() if gain[k] > 0.1 * rest.square().sum() else None

    def refined(self, theta: Tensor) -> Tensor:
        """Frequencies and rates by Levenberg-Marquardt, with the linear part eliminated."""

        def residual(flat: Tensor) -> Tensor:
            A = self.columns(flat.view(-1, 2))
            q = torch.linalg.qr(A).Q
            return self.y - q @ (q.T @ self.y)

        flat, _ = minimize_residual(residual, theta.flatten(), steps=40)
        return flat.view(-1, 2)


def waves(t: Tensor, V: Tensor, omega: Tensor, rate: Tensor) -> Tensor:
    """Cosine and sine of one frequency, damped, times every amplitude."""
    decay = torch.exp(-rate * t)[:, None] * V
    return torch.cat([torch.cos(omega * t)[:, None] * decay, torch.sin(omega * t)[:, None] * decay], 1)


def _expression(theta: Tensor, t: Tensor, y: Tensor, x: Tensor, products: Any, names: list[Any], symbol: Any) -> Any:
    """The law with its amplitudes and phases in the variable itself, without those that are nothing."""
    V = torch.stack([x[:, list(p)].prod(-1) if p else torch.ones_like(y) for p in products], -1)
    theta = torch.where(torch.tensor([False, True]) & (theta.abs() * (t.amax() - t.amin()) < 1e-7), 0.0, theta)
    A = torch.cat([V, t[:, None], *(waves(t, V, *pair) for pair in theta)], 1)
    size = A.square().mean(0).sqrt().clamp_min(1e-300)
    c = least_squares(A / size, y[:, None])[:, 0]
    error = (A / size @ c - y).square().mean().sqrt().item()
    least = max(1e-9 * c.abs().amax().item(), 3 * error / math.sqrt(len(y)))
    c = torch.where(c.abs() > least, c / size, 0.0).tolist()
    m = len(names)
    terms = [sympy.Float(v, 17) * name for v, name in zip(c[: m + 1], [*names, symbol], strict=True) if v]
    for k, (omega, rate) in enumerate(theta.tolist()):
        start = m + 1 + 2 * m * k
        decay = sympy.exp(-sympy.Float(rate, 17) * symbol) if rate else sympy.Integer(1)
        for n, name in enumerate(names):
            p, q = c[start + n], c[start + m + n]
            if p or q:
                terms.append(_wave(p, q, omega, symbol) * name * decay)
    return sympy.Add(*terms)


def _wave(p: float, q: float, omega: float, t: Any) -> Any:
    """p cos(omega t) + q sin(omega t) with one amplitude and one phase."""
    w = sympy.Float(omega, 17) * t
    if not p or not q:
        return sympy.Float(p, 17) * sympy.cos(w) if p else sympy.Float(q, 17) * sympy.sin(w)
    size = sympy.Float(math.copysign(math.hypot(p, q), p), 17)
    return size * sympy.cos(w + sympy.Float(-math.atan(q / p), 17))
