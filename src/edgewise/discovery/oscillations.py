r"""Fits oscillations along one variable, $y = a(v) + b t + \sum_k e^{-\gamma_k t} A_k(v) \cos(\omega_k t + \varphi_k)$.

The amplitudes are linear in products of the other variables v. Frequencies are scanned by least squares (the
periodogram of Lomb and Scargle, with other variables), then refined together with the rates of decay.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy
import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.discovery.goal import Goal
from edgewise.discovery.rows import MOST_BESIDE
from edgewise.discovery.terms import NOTHING
from edgewise.discovery.variable_projection import VariableProjection
from edgewise.expressions.constants import minimize
from edgewise.functional import least_squares

ROWS = 600
"""Rows that frequencies are selected with: as many half periods can be told apart."""

KEPT = 0.5
"""A law is proposed where it leaves less than this share of the standard deviation of y."""

MOST = 3
"""The most frequencies of one law."""

PERIODS = 1.2
"""Fewer periods are a curve that other functions describe."""


def oscillation(j: int, goal: Goal) -> Any:
    """The best law of this kind along input j as an expression; None where no frequency stands out."""
    x, y = goal.samples.x, goal.samples.y
    if len(torch.unique(x[:, j])) < 20:
        return None
    others = [k for k in goal.varying if k != j] if len(goal.varying) <= MOST_BESIDE else []
    pairs = itertools.combinations_with_replacement(others, 2) if len(others) <= 3 else ()
    products = [(), *((k,) for k in others), *pairs]
    V = torch.stack([x[:, list(p)].prod(-1) if p else torch.ones_like(y) for p in products], -1)
    waves = Waves(x[:, j], y, V)
    theta = waves.frequencies(goal)
    names = tuple(sympy.Mul(*(goal.inputs[k] for k in p)) for p in products)
    return waves.expression(theta, names, goal.inputs[j]) if len(theta) else None


@dataclass(frozen=True)
class Waves:
    """Samples of t, of y and of the products of other variables that amplitudes are linear in."""

    t: Float[Tensor, " rows"]
    y: Float[Tensor, " rows"]
    V: Float[Tensor, "rows amplitudes"]

    @cached_property
    def span(self) -> float:
        """The range of t."""
        return (self.t.amax() - self.t.amin()).item()

    @cached_property
    def scaled(self) -> Waves:
        """The same with t about zero, y of unit spread and amplitudes of unit size."""
        V = self.V / self.V.square().mean(0).sqrt().clamp_min(1e-300)
        middle = (self.t.amax() + self.t.amin()) / 2
        return Waves(self.t - middle, (self.y - self.y.mean()) / self.y.std(correction=0), V)

    def columns(self, theta: Float[Tensor, "frequencies 2"]) -> Float[Tensor, "rows columns"]:
        """The trend, then cosine and sine of every frequency, damped, times every amplitude."""
        columns = [self.V, self.t[:, None]]
        for omega, rate in theta:
            damped = torch.exp(-rate * self.t)[:, None] * self.V
            columns += [torch.cos(omega * self.t)[:, None] * damped, torch.sin(omega * self.t)[:, None] * damped]
        return torch.cat(columns, 1)

    def frequencies(self, goal: Goal) -> Float[Tensor, "frequencies 2"]:
        """Frequencies and rates of decay, one more for as long as it explains much of what is left of some rows.

        They are refined with all rows, and there are none where they leave too much.
        """
        fit, theta, error = self.scaled, torch.zeros(0, 2, dtype=torch.float64), 1.0
        some = Waves(fit.t[:ROWS], fit.y[:ROWS], fit.V[:ROWS])
        while len(theta) < MOST and error > NOTHING and not goal.budget.over:
            omega = some.scanned(some.residual(theta))
            if omega is None:
                break
            trial = some.refined(torch.cat([theta, torch.tensor([[omega, 0.0]], dtype=torch.float64)]))
            left = some.residual(trial).square().mean().sqrt().item()
            slow = trial[:, 0].abs().amin() * self.span < 2 * math.pi * PERIODS
            if slow or trial[:, 1].abs().amax() * self.span > 20 or not left < 0.7 * error:
                break
            theta, error = trial, left
        if error > KEPT:
            return theta[:0]
        return fit.refined(theta) if len(fit.t) > ROWS else theta

    def residual(self, theta: Float[Tensor, "frequencies 2"]) -> Float[Tensor, " rows"]:
        """What least squares leaves."""
        A = self.columns(theta)
        return self.y - A @ least_squares(A, self.y[:, None])[:, 0]

    def scanned(self, rest: Float[Tensor, " rows"]) -> float | None:
        """The frequency that explains most of what is left."""
        t, V = self.t, self.V
        omega = math.pi / (2 * self.span) * torch.arange(int(4 * PERIODS), 2 * len(t), dtype=torch.float64)
        q = torch.linalg.qr(torch.cat([V, t[:, None]], 1)).Q
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

    def refined(self, theta: Float[Tensor, "frequencies 2"]) -> Float[Tensor, "frequencies 2"]:
        """Frequencies and rates by Levenberg-Marquardt, with the linear part eliminated (variable projection)."""
        problem = VariableProjection(lambda flat: self.columns(flat.view(-1, 2)), self._slopes, self.y)
        flat, _ = minimize(problem, theta.flatten(), steps=40)
        return flat.view(-1, 2)

    def _slopes(self, flat: Float[Tensor, " P"], c: Float[Tensor, " columns"]) -> Float[Tensor, "P rows"]:
        """The derivatives of the waves by their frequencies and rates, for factors of all columns."""
        m, theta = self.V.shape[1], flat.view(-1, 2)
        rows = []
        for (omega, rate), (p, q) in zip(theta, c[m + 1 :].view(-1, 2, m), strict=True):
            damped, p, q = self.t * torch.exp(-rate * self.t), self.V @ p, self.V @ q
            cos, sin = torch.cos(omega * self.t), torch.sin(omega * self.t)
            rows += [damped * (q * cos - p * sin), -damped * (p * cos + q * sin)]
        return torch.stack(rows)

    def expression(self, theta: Float[Tensor, "frequencies 2"], names: tuple[Any, ...], t: Any) -> Any:
        """The law without what is nothing; names are those of the products."""
        theta = theta.clone()
        theta[theta[:, 1].abs() * self.span < 1e-7, 1] = 0.0
        A = self.columns(theta)
        size = A.square().mean(0).sqrt().clamp_min(1e-300)
        c = least_squares(A / size, self.y[:, None])[:, 0]
        noise = (A / size @ c - self.y).square().mean().sqrt().item() / math.sqrt(len(self.y))
        c = torch.where(c.abs() > max(NOTHING * c.abs().amax().item(), 3 * noise), c / size, 0.0).tolist()
        m = len(names)
        terms = [sympy.Float(v, 17) * name for v, name in zip(c[: m + 1], [*names, t], strict=True) if v]
        for k, (omega, rate) in enumerate(theta.tolist()):
            amplitudes = c[m + 1 + 2 * m * k :]
            for n, name in enumerate(names):
                wave = _wave(amplitudes[n], amplitudes[m + n], omega, t)
                terms.append(wave * name * sympy.exp(-sympy.Float(rate, 17) * t if rate else 0))
        return sympy.Add(*terms)


def _wave(p: float, q: float, omega: float, t: Any) -> Any:
    """p cos(omega t) + q sin(omega t) with one amplitude and one phase."""
    w = sympy.Float(omega, 17) * t
    if not p or not q:
        return sympy.Float(p, 17) * sympy.cos(w) if p else sympy.Float(q, 17) * sympy.sin(w) if q else sympy.Integer(0)
    size = sympy.Float(math.copysign(math.hypot(p, q), p), 17)
    return size * sympy.cos(w + sympy.Float(-math.atan(q / p), 17))
