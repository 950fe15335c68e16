r"""Fits constants to the trajectories themselves: multiple shooting with sensitivities, Gauss and Newton damped.

The observations are cut into short segments with free initial states $s_k$ (Bock, 1981; Tjoa and Biegler, 1991). With
the flow F from the begin of a segment to its end,

$$ \min_{c, s}\ \sum_{k, j} \Bigl\lVert\frac{y_{kj} - x(t_{kj}; s_k, c)}{\sigma}\Bigr\rVert^2
   + \sum_k \Bigl\lVert\frac{F(s_k; c) - s_{k+1}}{\varepsilon\,\sigma}\Bigr\rVert^2 , $$

where $\varepsilon$ goes down to a hundredth, so that in the end one trajectory goes through all segments. Nothing is
differentiated but the law, chaos does no harm, and the normal equations are banded with a border: N observations cost
O(N). The inverse of what the states leave of them is the posterior covariance of the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from scipy.integrate import RK45
from scipy.linalg import cho_solve_banded, cholesky, cholesky_banded, solve_triangular

from edgewise.discovery.dynamics.trajectories import Path

GAPS = (1.0, 0.1, 0.01)
"""The allowed gaps between segments in units of the noise, one after another."""

NOISE_FLOOR = 1e-6
"""No noise is taken for smaller than this share of the spread: neither data nor integration are exact."""


@dataclass(frozen=True)
class Segments:
    """Observations of short segments, padded to L steps.

    Attributes:
        t: times of the ends of all steps (K, L + 1); steps of length zero at the end where a segment is shorter.
        x: observations (K, L, d) at the first L of them.
        u: controls (K, L + 1, k).
        seen: whether there is an observation (K, L).
        linked: whether the end of a segment is the begin of the next one (K,).
    """

    t: Float[np.ndarray, "K L1"]
    x: Float[np.ndarray, "K L d"]
    u: Float[np.ndarray, "K L1 k"]
    seen: np.ndarray
    linked: np.ndarray

    @classmethod
    def of(cls, paths: Sequence[Path], steps: int) -> Segments:
        """Every trajectory cut into segments of this number of steps."""
        rows, linked, seen, parts = [], [], [], []
        for path in paths:
            starts = range(0, len(path), steps)
            for begin in starts:
                own = np.arange(begin, begin + steps + 1)
                rows.append(np.minimum(own, len(path) - 1))
                seen.append(own[:-1] < len(path))
                linked.append(begin + steps < len(path))
                parts.append(path)
        t = np.stack([p.t[r] for p, r in zip(parts, rows, strict=True)])
        x = np.stack([p.x[r[:-1]] for p, r in zip(parts, rows, strict=True)])
        u = np.stack([p.u[r] for p, r in zip(parts, rows, strict=True)])
        return cls(t, x, u, np.stack(seen), np.array(linked))

    @property
    def observations(self) -> int:
        """The number of observations of a component."""
        return int(self.seen.sum())


@runtime_checkable
class Slopes(Protocol):
    """What a step needs of a law: velocities, and their derivatives by states and constants."""

    def slopes(self, x: np.ndarray, u: np.ndarray, t: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


Stepper = Callable[..., tuple[np.ndarray, np.ndarray]]
"""Moves states and their slopes over one step of all segments: see `flow_step` and `map_step`."""


def flow_step(right: Slopes, substeps: int) -> Stepper:
    """Steps of an ordinary differential equation by the formula of order five of Dormand and Prince."""
    a, b, nodes = RK45.A, RK45.B, RK45.C

    def step(
        x: np.ndarray, s: np.ndarray, t: np.ndarray, u: np.ndarray, c: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        d, h = x.shape[1], (t[:, 1] - t[:, 0]) / substeps
        for n in range(substeps):
            ks: list[np.ndarray] = []
            ms: list[np.ndarray] = []
            for i, node in enumerate(nodes):
                at = x + h[:, None] * sum((a[i, j] * ks[j] for j in range(i) if a[i, j]), np.zeros_like(x))
                slope = s + h[:, None, None] * sum((a[i, j] * ms[j] for j in range(i) if a[i, j]), np.zeros_like(s))
                share = (n + node) / substeps
                control = (1 - share) * u[:, 0] + share * u[:, 1]
                k, full = right.slopes(at, control, t[:, 0] + (n + node) * h, c)
                m = full[:, :, :d] @ slope
                m[:, :, d:] += full[:, :, d:]
                ks.append(k)
                ms.append(m)
            x = x + h[:, None] * sum(w * k for w, k in zip(b, ks, strict=True))
            s = s + h[:, None, None] * sum(w * m for w, m in zip(b, ms, strict=True))
        return x, s

    return step


def map_step(right: Slopes) -> Stepper:
    """Steps of a map x[n + 1] = f(x[n])."""

    def step(
        x: np.ndarray, s: np.ndarray, t: np.ndarray, u: np.ndarray, c: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        d = x.shape[1]
        value, full = right.slopes(x, u[:, 0], t[:, 0], c)
        slope = full[:, :, :d] @ s
        slope[:, :, d:] += full[:, :, d:]
        moves = t[:, 1] > t[:, 0]
        return np.where(moves[:, None], value, x), np.where(moves[:, None, None], slope, s)

    return step


@dataclass(frozen=True)
class Shot:
    """A fit of constants to trajectories.

    Attributes:
        constants: their values (P,).
        covariance: of these (P, P).
        states: initial states of the segments (K, d).
        residuals: observations minus trajectory (K, L, d); NaN where there is none.
        noise: standard deviation of the residuals, per component, for the degrees of freedom that are left.
        cost: the sum of squares in units of the noise that was assumed.
        converged: whether the steps ended by themselves.
        gap: allowed gap between segments in units of the noise.
    """

    constants: Float[np.ndarray, " P"]
    covariance: Float[np.ndarray, "P P"]
    states: Float[np.ndarray, "K d"]
    residuals: Float[np.ndarray, "K L d"]
    noise: Float[np.ndarray, " d"]
    cost: float
    converged: bool
    gap: float

    @property
    def errors(self) -> Float[np.ndarray, " P"]:
        """Standard errors of the constants."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0))

    def log_likelihood(self) -> float:
        """The logarithm of the likelihood of the observations at the noise that is left."""
        rest = self.residuals[np.isfinite(self.residuals).all(-1)]
        return float(-0.5 * len(rest) * np.sum(np.log(np.maximum(np.mean(rest**2, 0), 1e-300))))


def shoot(
    segments: Segments,
    step: Stepper,
    constants: np.ndarray,
    states: np.ndarray,
    noise: np.ndarray,
    *,
    gaps: Sequence[float] = GAPS,
    floor: np.ndarray,
    most: int = 30,
    fixed: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> Shot | None:
    """The constants and initial states of least cost, from near ones; None where the trajectories cannot be integrated.

    Args:
        segments: the observations.
        step: moves states of all segments over one step.
        constants: start values (P,).
        states: start values (K, d).
        noise: assumed noise of every component, estimated again before every smaller gap.
        gaps: allowed gaps, one after another.
        floor: the smallest noise of every component.
        most: the number of steps for each gap.
        fixed: only the states are free.
        tick: called before every step; what it raises ends the fit.
    """
    shot = None
    for gap in gaps:
        problem = _Problem(segments, step, np.maximum(noise, floor), gap, fixed)
        enough = 1e-6 if gap == gaps[-1] else 1e-2
        shot = problem.minimum(constants, states, most, enough, tick)
        if shot is None:
            return None
        constants, states, noise = shot.constants, shot.states, shot.noise
    return shot


@dataclass(frozen=True)
class _Normal:
    """Normal equations: the cost, residuals, gradient, bands of the states, and border and corner of the constants."""

    cost: float
    residuals: np.ndarray
    g_states: np.ndarray
    g_constants: np.ndarray
    bands: np.ndarray
    border: np.ndarray
    corner: np.ndarray

    def solve(self, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps of states and constants, and the Schur complement of the constants; states come in units of noise."""
        bands = self.bands.copy()
        bands[0] *= 1 + damping
        factor = (cholesky_banded(bands, lower=True), True)
        inner = cho_solve_banded(factor, np.column_stack([self.border, self.g_states]))
        schur = self.corner + damping * np.diag(np.diag(self.corner)) - self.border.T @ inner[:, :-1]
        if not len(self.g_constants):
            return -inner[:, -1], self.g_constants, schur
        lower, scale = _scaled_cholesky(schur)
        right = -(self.g_constants - self.border.T @ inner[:, -1]) / scale
        half = solve_triangular(lower, right, lower=True)
        constants = solve_triangular(lower.T, half) / scale
        return -inner[:, -1] - inner[:, :-1] @ constants, constants, schur

    def reduced(self) -> tuple[np.ndarray, np.ndarray]:
        """The normal matrix and the gradient of the constants once the states are eliminated."""
        factor = (cholesky_banded(self.bands, lower=True), True)
        inner = cho_solve_banded(factor, np.column_stack([self.border, self.g_states]))
        return self.corner - self.border.T @ inner[:, :-1], self.g_constants - self.border.T @ inner[:, -1]


def normal_equations(
    segments: Segments, step: Stepper, c: np.ndarray, s: np.ndarray, noise: np.ndarray, gap: float
) -> _Normal | None:
    """The normal equations at constants and states; None where a value overflows."""
    return _Problem(segments, step, noise, gap, False).normal(c, s)


def _scaled_cholesky(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    return cholesky(matrix / np.outer(scale, scale) + 1e-13 * np.eye(len(matrix)), lower=True), scale


@dataclass(frozen=True)
class _Problem:
    segments: Segments
    step: Stepper
    noise: np.ndarray
    gap: float
    fixed: bool

    def minimum(self, c: np.ndarray, s: np.ndarray, most: int, enough: float, tick: Callable[[], None]) -> Shot | None:
        """Levenberg's and Marquardt's steps until one gains a hundredth of a nat, or a share of the cost."""
        normal = self.normal(c, s)
        damping, converged = 1e-4, False
        if normal is None:
            return None
        for _ in range(most):
            tick()
            try:
                ds, dc, _ = normal.solve(damping)
            except ValueError:  # LinAlgError is one; others tell that a value overflowed
                damping = max(10 * damping, 1e-6)
                if damping > 1e8:
                    break
                continue
            gain = -(normal.g_states @ ds + normal.g_constants @ dc)
            small = gain < max(1e-2, enough * normal.cost)
            new_c, new_s = (c if self.fixed else c + dc), s + ds.reshape(s.shape) * self.noise
            new = self.normal(new_c, new_s)
            if new is not None and new.cost < normal.cost:
                good = (normal.cost - new.cost) > 0.5 * gain
                damping = max(damping / 10 if good else damping, 1e-12)
                c, s, normal = new_c, new_s, new
                if small:
                    converged = True
                    break
            elif small or damping > 1e8:
                converged = bool(small)
                break
            else:
                damping *= 10
        return self._shot(c, s, normal, converged)

    def _shot(self, c: np.ndarray, s: np.ndarray, normal: _Normal, converged: bool) -> Shot | None:
        rest = normal.residuals[self.segments.seen]
        trajectories = int((~self.segments.linked).sum())
        spent = trajectories + (0 if self.fixed else len(c) / len(self.noise))
        noise = np.sqrt(np.sum(rest**2, 0) / np.maximum(len(rest) - spent, 1.0))
        try:
            _, _, schur = normal.solve(1e-12)
            if len(c) and not self.fixed:
                lower, scale = _scaled_cholesky(schur)
                inverse = solve_triangular(lower, np.diag(1 / scale), lower=True)
                # the noise that is left, not the one assumed; one number for all: the weights are those of the fit
                covariance = inverse.T @ inverse * max(float(np.mean((noise / self.noise) ** 2)), 1.0)
            else:
                covariance = np.zeros((len(c), len(c)))
        except ValueError:  # LinAlgError is one; others tell that a value overflowed
            return None
        residuals = np.where(self.segments.seen[:, :, None], normal.residuals, np.nan)
        return Shot(c, covariance, s, residuals, noise, normal.cost, converged, self.gap)

    def normal(self, c: np.ndarray, s: np.ndarray) -> _Normal | None:
        """Integrates all segments with their slopes; None where a value overflows."""
        seg = self.segments
        count, length, d = seg.x.shape
        p = 0 if self.fixed else len(c)
        x, slope = s, np.concatenate([np.broadcast_to(np.eye(d), (count, d, d)), np.zeros((count, d, len(c)))], 2)
        blocks, border = np.zeros((count, d, d)), np.zeros((count, d, p))
        g_s, g_c, corner, cost = np.zeros((count, d)), np.zeros(p), np.zeros((p, p)), 0.0
        residuals, rest = np.zeros_like(seg.x), np.zeros_like(x)
        scaled = scaled_s = slope
        with np.errstate(all="ignore"):
            for j in range(length + 1):
                scaled = slope[:, :, : d + p] / self.noise[:, None]
                scaled_s = scaled[:, :, :d] * self.noise
                if j < length:
                    rest = (x - seg.x[:, j]) * seg.seen[:, j, None] / self.noise
                    weight = seg.seen[:, j].astype(float)
                    residuals[:, j] = -rest * self.noise
                else:
                    rest = np.zeros_like(x)
                    rest[:-1] = (x[:-1] - s[1:]) / self.noise / self.gap
                    rest *= seg.linked[:, None]
                    weight = seg.linked / self.gap**2
                left = scaled_s * np.sqrt(weight)[:, None, None]
                wide = scaled[:, :, d:] * np.sqrt(weight)[:, None, None]
                blocks += left.transpose(0, 2, 1) @ left
                border += left.transpose(0, 2, 1) @ wide
                flat = wide.reshape(count * d, p)
                corner += flat.T @ flat
                g_s += np.einsum("kij,ki->kj", left, rest)
                g_c += flat.T @ rest.ravel()
                cost += float(np.sum(rest**2)) / 2
                if j < length:
                    x, slope = self.step(x, slope, seg.t[:, j : j + 2], seg.u[:, j : j + 2], c)
        if not np.isfinite(cost) or not np.isfinite(corner).all() or not np.isfinite(blocks).all():
            return None
        bands = self._linked(blocks, border, g_s, scaled_s, scaled[:, :, d:], rest)
        return _Normal(cost, residuals, g_s.ravel(), g_c, bands, border.reshape(count * d, p), corner)

    def _linked(
        self,
        blocks: np.ndarray,
        border: np.ndarray,
        g_s: np.ndarray,
        ends: np.ndarray,
        wide: np.ndarray,
        rest: np.ndarray,
    ) -> np.ndarray:
        """The bands of the states, with what a gap says of the state after it; border and gradient in place."""
        count, d, _ = blocks.shape
        linked = np.flatnonzero(self.segments.linked)
        weight = 1 / self.gap**2
        blocks[linked + 1] += weight * np.eye(d)
        border[linked + 1] -= weight * wide[linked]
        g_s[linked + 1] -= rest[linked] / self.gap
        bands = np.zeros((2 * d, count * d))
        for i in range(d):
            for j in range(d):
                if i >= j:
                    bands[i - j, j::d] = blocks[:, i, j]
                # below the diagonal: the state i after the gap against the initial state j before it
                bands[d + i - j, linked * d + j] = -weight * ends[linked, i, j]
        return bands
