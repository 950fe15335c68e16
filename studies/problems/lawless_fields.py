"""Fields that no equation of `discover_field` governs: noise, random motion, and laws of other classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from studies.problems.fields import PRACTICE

Sample = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Times, points and one field."""

T, X = np.linspace(0, 6, 121), np.linspace(0, 12, 161)[:-1]
Z = np.linspace(0, 30, 161)[:-1]
WAVES = 2 * np.pi * np.fft.fftfreq(len(Z), 30 / len(Z))


def _smooth(g: np.random.Generator, shape: tuple[int, ...], width: tuple[float, ...]) -> np.ndarray:
    u = gaussian_filter(g.standard_normal(shape), width, mode="wrap")
    return u / u.std()


def white_noise(g: np.random.Generator) -> Sample:
    """Nothing but noise."""
    return T, X, g.standard_normal((121, 160))


def smooth_noise(g: np.random.Generator) -> Sample:
    """Noise that is smooth in space and time."""
    return T, X, _smooth(g, (121, 160), (4, 4))


def still(g: np.random.Generator) -> Sample:
    """A profile that does not change, with noise."""
    return T, X, np.tile(_smooth(g, (160,), (4,)), (121, 1)) + 0.1 * g.standard_normal((121, 160))


def random_walk(g: np.random.Generator) -> Sample:
    """Smooth profiles added up at random."""
    u = np.cumsum(_smooth(g, (121, 160), (0, 5)), 0)
    return T, X, u / u.std()


def advected_at_random(g: np.random.Generator) -> Sample:
    """A profile carried to and fro by a velocity that changes at random."""
    profile, path = _smooth(g, (400,), (6,)), np.cumsum(gaussian_filter(g.standard_normal(121), 5))
    places = 2.5 * (np.arange(160) - 40 * path[:, None] / np.ptp(path))
    return T, X, np.interp(places, np.arange(400), profile, period=400) + 0.02 * g.standard_normal((121, 160))


def waves_at_random(g: np.random.Generator) -> Sample:
    """Waves whose frequencies have nothing to do with their lengths."""
    k, w = 2 * np.pi * np.arange(1, 9) / 12, g.uniform(-6, 6, 8)
    phases = k[:, None, None] * X - w[:, None, None] * T[:, None] + g.uniform(0, 6, (8, 1, 1))
    u = np.tensordot(g.standard_normal(8), np.cos(phases), 1)
    return T, X, u + 0.02 * g.standard_normal(u.shape)


def hidden_field(g: np.random.Generator) -> Sample:
    """The fast field of FitzHugh and Nagumo without the slow one."""
    problem = PRACTICE["fitzhugh-nagumo"]
    u = problem.solve()["u"]
    return problem.times, problem.space()[0], u + 0.01 * g.standard_normal(u.shape)


def delay(g: np.random.Generator) -> Sample:
    """u_t = u_xx / 10 + u (1 - u(t - 1.8)), of Hutchinson with diffusion."""
    u = np.clip(0.5 + 0.3 * _smooth(g, (160,), (8,)), 0.1, 1.2)
    history = [u] * 180
    for _ in range(3000):
        u = _diffused(u + 0.01 * u * (1 - history[-180]), 0.01 * 0.1)
        history.append(u)
    return 0.2 * np.arange(150), Z, np.array(history[180::20]) + 0.01 * g.standard_normal((150, 160))


def far_competition(g: np.random.Generator) -> Sample:
    """u_t = u_xx / 50 + u (1 - G * u) with a Gaussian G that is 1.5 wide: not local."""
    kernel = np.exp(-0.5 * (np.minimum(Z, 30 - Z) / 1.5) ** 2)
    u, states = np.clip(0.5 + 0.3 * _smooth(g, (160,), (8,)), 0.05, 2), []
    for n in range(1500):
        around = np.fft.ifft(np.fft.fft(kernel / kernel.sum()) * np.fft.fft(u)).real
        u = _diffused(u + 0.01 * u * (1 - around), 0.01 * 0.02)
        states += [u] if n % 10 == 0 else []
    return 0.1 * np.arange(150), Z, np.array(states) + 0.01 * g.standard_normal((150, 160))


def uneven_medium(g: np.random.Generator) -> Sample:
    """u_t = (D(x) u_x)_x with a D that changes tenfold along x."""
    D = 0.05 + 0.25 * (1 + np.sin(2 * np.pi * Z / 10))
    between, h = (D + np.roll(D, -1)) / 2, Z[1]
    u, states = _smooth(g, (160,), (5,)), []
    for n in range(3000):
        flux = between * (np.roll(u, -1) - u) / h
        u = u + 0.002 * (flux - np.roll(flux, 1)) / h
        states += [u] if n % 20 == 0 else []
    return 0.04 * np.arange(150), Z, np.array(states) + 0.01 * g.standard_normal((150, 160))


def _diffused(u: np.ndarray, step: float) -> np.ndarray:
    return np.fft.ifft(np.fft.fft(u) / (1 + step * WAVES**2)).real


LAWLESS: dict[str, Callable[[np.random.Generator], Sample]] = {
    sample.__name__.replace("_", "-"): sample
    for sample in (
        white_noise,
        smooth_noise,
        still,
        random_walk,
        advected_at_random,
        waves_at_random,
        hidden_field,
        delay,
        far_competition,
        uneven_medium,
    )
}
"""The fields by name."""
