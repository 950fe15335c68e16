r"""Reference solutions of periodic evolution equations: Fourier modes, exponential Runge-Kutta steps.

$u_t = L u + N(u)$ on a period, L diagonal over the modes: the fourth-order scheme of Cox & Matthews (2002) with the
contour integrals of Kassam & Trefethen (2005). Values are exact trigonometric sums at the stored times; the distance to
a solution with half the modes and twice the steps' length says how far to trust them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

CONTOUR = 32  # points of the contour of Kassam & Trefethen


@dataclass(frozen=True)
class Spectral:
    """A reference.

    Args:
        period: the ends of the period.
        end: the last time; the first is 0.
        linear: the factors of the modes, from their wave numbers.
        nonlinear: N as the transform of values: from values and wave numbers to modes.
        start: the initial values.
        modes: of the finest solution.
        steps: of the finest solution.
        stored: how many times are stored after the first, evenly.
    """

    period: tuple[float, float]
    end: float
    linear: Callable[[np.ndarray], np.ndarray]
    nonlinear: Callable[[np.ndarray, np.ndarray], np.ndarray]
    start: Callable[[np.ndarray], np.ndarray]
    modes: int
    steps: int
    stored: int = 100

    def grid(self, space: int) -> Tensor:
        """The points of a grid: `space` positions, without the last end, at every stored time."""
        a, b = self.period
        x = a + (b - a) * torch.arange(space, dtype=torch.float64) / space
        t = torch.linspace(0, self.end, self.stored + 1, dtype=torch.float64)
        return torch.stack(torch.meshgrid(x, t, indexing="ij"), -1).flatten(0, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """The values at points whose times are stored."""
        return self.values(self.table, x)

    def values(self, table: np.ndarray, x: Tensor) -> Tensor:
        """The trigonometric sums of a table of modes."""
        row = (x[:, 1] * self.stored / self.end).round().long()
        k = torch.from_numpy(self._waves(table.shape[1]))
        modes, result = torch.from_numpy(table), torch.empty(len(x), dtype=torch.float64)
        for n in row.unique().tolist():
            at = row == n
            phase = torch.exp(1j * k * (x[at, :1] - self.period[0]))
            result[at] = (phase @ modes[n]).real
        return result

    @cached_property
    def table(self) -> np.ndarray:
        """The modes at the stored times."""
        return self._march(self.modes, self.steps)

    @cached_property
    def trust(self) -> float:
        """The relative distance to the solution with half the modes and half the steps."""
        x = self.grid(64)
        fine, coarse = self(x), self.values(self._march(self.modes // 2, self.steps // 2), x)
        return float((fine - coarse).norm() / fine.norm())

    def _waves(self, modes: int) -> np.ndarray:
        return np.fft.fftfreq(modes, 1 / modes) * 2 * np.pi / (self.period[1] - self.period[0])

    def _march(self, modes: int, steps: int) -> np.ndarray:
        k, h = self._waves(modes), self.end / steps
        a, b = self.period
        v = np.fft.fft(self.start(a + (b - a) * np.arange(modes) / modes))
        z = h * self.linear(k)
        w = z[:, None] + np.exp(1j * np.pi * (np.arange(1, 2 * CONTOUR + 1) - 0.5) / CONTOUR)
        q = h * np.mean((np.exp(w / 2) - 1) / w, axis=1)
        f1 = h * np.mean((-4 - w + np.exp(w) * (4 - 3 * w + w**2)) / w**3, axis=1)
        f2 = h * np.mean((2 + w + np.exp(w) * (w - 2)) / w**3, axis=1)
        f3 = h * np.mean((-4 - 3 * w - w**2 + np.exp(w) * (4 - w)) / w**3, axis=1)
        whole, half = np.exp(z), np.exp(z / 2)

        def force(modes_of: np.ndarray) -> np.ndarray:
            return self.nonlinear(np.real(np.fft.ifft(modes_of)), k)

        table = [v]
        for step in range(1, steps + 1):
            n0 = force(v)
            first = half * v + q * n0
            n1 = force(first)
            n2 = force(half * v + q * n1)
            n3 = force(half * first + q * (2 * n2 - n0))
            v = whole * v + n0 * f1 + 2 * (n1 + n2) * f2 + n3 * f3
            if step % (steps // self.stored) == 0:
                table.append(v)
        return np.stack(table) / modes


def advected(factor: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    r"""$-c\,u u_x$ as $-\frac{c}{2} (u^2)_x$; without the third of the modes that products would alias."""

    def force(u: np.ndarray, k: np.ndarray) -> np.ndarray:
        kept = np.abs(k) < np.abs(k).max() * 2 / 3
        return -0.5 * factor * 1j * k * np.fft.fft(u**2) * kept

    return force
