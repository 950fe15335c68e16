"""The other families against numpy, scipy and sympy, on an irregular grid, at its ends and outside."""

from collections.abc import Callable

import numpy as np
import pytest
import sympy
import torch
from numpy.polynomial import Chebyshev as Series, Polynomial
from scipy.special import eval_hermite

from edgewise.bases import Basis, Chebyshev, Fourier, Gaussian, Hinge, Rational, ReLUPower, Wavelet

RANGE = np.array([-0.5, 3.0])
POINTS = np.array([-0.5, 0.1, 0.9, 1.2, 2.0, 3.0])
X = np.concatenate([POINTS, np.linspace(-0.5, 3.0, 17), [-2.0, -0.6, 3.1, 7.0]])

WAVES = [(wave, n) for wave in (sympy.cos, sympy.sin) for n in (1, 2, 3)]

every_order = pytest.mark.parametrize("order", range(6))


def ours(basis: Basis, grid: np.ndarray, order: int, x: np.ndarray = X) -> np.ndarray:
    return basis.derivative(torch.from_numpy(x)[:, None], torch.from_numpy(grid)[None], order)[:, 0].numpy()


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11 * max(1.0, np.abs(expected).max()))


def spacing(points: np.ndarray) -> np.ndarray:
    ends = [points[1] - points[0]], [points[-1] - points[-2]]
    return np.concatenate([ends[0], (points[2:] - points[:-2]) / 2, ends[1]])


def symbolic(f: Callable[[sympy.Symbol], sympy.Expr], u: np.ndarray, order: int) -> np.ndarray:
    t = sympy.Symbol("t", real=True)
    derivative = sympy.lambdify(t, sympy.diff(f(t), t, order), "numpy")
    return derivative(u) * np.ones_like(u)


@every_order
@pytest.mark.parametrize("width", [1.0, 0.6])
def test_gaussian(order: int, width: float) -> None:
    h = width * spacing(POINTS)
    u = (X[:, None] - POINTS) / h
    expected = (-1 / h) ** order * eval_hermite(order, u) * np.exp(-(u**2))
    assert_close(ours(Gaussian(6, width), POINTS, order), expected)


@every_order
@pytest.mark.parametrize("degree", [1, 2, 9])
def test_chebyshev(order: int, degree: int) -> None:
    inside = X.clip(*RANGE)
    series = [Series.basis(n, domain=RANGE) for n in range(degree + 1)]
    derivatives = [s.deriv(order) if order else s for s in series]
    expected = np.stack([d(inside) for d in derivatives], axis=-1)
    outside = (inside != X)[:, None]
    if order == 0:
        expected = expected + (X - inside)[:, None] * np.stack([s.deriv()(inside) for s in series], axis=-1)
    elif order >= 2:
        expected = np.where(outside, 0, expected)
    assert_close(ours(Chebyshev(degree), RANGE, order), expected)


@every_order
def test_fourier(order: int) -> None:
    slope = 2 / (RANGE[1] - RANGE[0])
    t = (X - RANGE[0]) * slope - 1
    waves = [symbolic(lambda s, n=n, wave=wave: wave(sympy.pi * n * s), t, order) for wave, n in WAVES]
    constant = np.full_like(t, order == 0)
    assert_close(ours(Fourier(3), RANGE, order), np.stack([constant, *waves], axis=-1) * slope**order)


def test_fourier_has_the_period_of_its_range() -> None:
    shifted = ours(Fourier(4), RANGE, 1, X + (RANGE[1] - RANGE[0]))
    np.testing.assert_allclose(shifted, ours(Fourier(4), RANGE, 1), atol=1e-11)


@every_order
def test_rational(order: int) -> None:
    slope = 2 / (RANGE[1] - RANGE[0])
    u = (X - RANGE[0]) * slope - 1
    columns = [symbolic(lambda s, n=n: sympy.chebyshevt(n, s / sympy.sqrt(1 + s**2)), u, order) for n in range(5)]
    assert_close(ours(Rational(4), RANGE, order), np.stack(columns, axis=-1) * slope**order)


@every_order
@pytest.mark.parametrize("kind", ["mexican_hat", "morlet"])
def test_wavelet(order: int, kind: str) -> None:
    h = spacing(POINTS)

    def mother(u: sympy.Symbol) -> sympy.Expr:
        return (1 - u**2 if kind == "mexican_hat" else sympy.cos(5 * u)) * sympy.exp(-(u**2) / 2)

    expected = symbolic(mother, (X[:, None] - POINTS) / h, order) / h**order
    assert_close(ours(Wavelet(kind, 6), POINTS, order), expected)


@every_order
def test_hinge(order: int) -> None:
    slope = 2 / (POINTS[-1] - POINTS[0])
    ahead = X[:, None] - POINTS[1:-1]
    expected = (np.maximum(ahead, 0), np.where(ahead > 0, 1.0, 0.0))[order] if order < 2 else np.zeros_like(ahead)
    assert_close(ours(Hinge(len(POINTS) - 2), POINTS, order), expected * slope)


@every_order
@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_relu_power(order: int, power: int) -> None:
    steps = np.arange(1, power + 1)
    before, after = POINTS[0] - steps[::-1] * 0.6, POINTS[-1] + steps * 1.0
    points = np.concatenate([before, POINTS, after])
    start, end = points[: 5 + power], points[power + 1 :]
    v = (X[:, None] - start) / (end - start)
    piece = (Polynomial([0, 4, -4]) ** power).deriv(order) if order else Polynomial([0, 4, -4]) ** power
    expected = np.where((v >= 0) & (v < 1), piece(v), 0) / (end - start) ** order
    assert_close(ours(ReLUPower(5, power), POINTS, order), expected)


def test_relu_power_peaks_at_one() -> None:
    grid = ReLUPower(4, 3).init_grid(1, dtype=torch.float64)
    values = ReLUPower(4, 3).evaluate(torch.zeros(1, 1, dtype=torch.float64), grid)
    torch.testing.assert_close(values.max(), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(1), "centers must be at least 2"),
        (lambda: Gaussian(width=0.0), "width must be positive"),
        (lambda: Gaussian(width=float("nan")), "width must be positive"),
        (lambda: Chebyshev(0), "degree must be at least 1"),
        (lambda: Fourier(0), "frequencies must be at least 1"),
        (lambda: Hinge(0), "hinges must be at least 1"),
        (lambda: Rational(0), "degree must be at least 1"),
        (lambda: ReLUPower(0), "intervals must be at least 1"),
        (lambda: ReLUPower(power=0), "power must be at least 1"),
        (lambda: Wavelet("haar"), "'mexican_hat'.*'morlet'"),
        (lambda: Wavelet(centers=1), "centers must be at least 2"),
    ],
)
def test_refuses_bad_settings(make: Callable[[], Basis], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):  # run-time type checks speak first where they are on
        make()


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("make", [lambda: Gaussian(2.5), lambda: Chebyshev("3"), lambda: ReLUPower(power=1.5)])
def test_counts_are_whole_numbers(make: Callable[[], Basis]) -> None:
    with pytest.raises(TypeError, match="must be a whole number, got "):
        make()
