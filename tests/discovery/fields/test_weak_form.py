"""Integrals against bumps are integrals of derivatives, powers of noisy values have no bias, stencils are exact."""

import mpmath
import numpy as np
import pytest
import sympy

from edgewise.discovery.fields.bumps import POWER, axis_windows, bandwidth, radius_of
from edgewise.discovery.fields.field_noise import noise_size, signal_band
from edgewise.discovery.fields.field_terms import FieldTerm, candidate_terms, unbiased_power
from edgewise.discovery.fields.jet_symbols import expanded
from edgewise.discovery.fields.method_of_lines import difference, stencil
from edgewise.discovery.fields.weak_system import WeakSystem


def exact_integral(function, order, centre, radius):
    """By sympy: the bump times the derivative of a polynomial times a trigonometric function."""
    x = sympy.Symbol("x", real=True)
    slope = sympy.lambdify(x, sympy.diff(function(x), x, order), "mpmath")
    ends = [centre - radius, centre, centre + radius]
    area = sympy.integrate((1 - x**2) ** POWER, (x, -1, 1)) * radius
    with mpmath.workdps(20):
        return float(mpmath.quad(lambda z: (1 - ((z - centre) / radius) ** 2) ** POWER * slope(z), ends) / area)


@pytest.mark.parametrize("order", range(5))
def test_integrals_are_those_of_derivatives(order):
    x = np.linspace(0, 4, 201)
    windows = axis_windows(x, 1.0, 3, 4)
    got = windows.integrals[order] @ (x**2 * np.sin(3 * x))
    for value, centre in zip(got, windows.centres, strict=True):
        exact = exact_integral(lambda z: z**2 * sympy.sin(3 * z), order, float(centre), 1)
        assert value == pytest.approx(exact, rel=1e-9, abs=1e-9)


def test_uneven_points_are_integrated_by_splines():
    generator = np.random.default_rng(0)
    x = np.sort(np.concatenate([[0.0, 4.0], generator.uniform(0, 4, 400)]))
    windows = axis_windows(x, 1.5, 2, 2)
    fine = np.linspace(0, 4, 4001)
    for order in range(3):
        reference = axis_windows(fine, 1.5, 2, 2).integrals[order] @ np.cos(2 * fine)
        assert windows.integrals[order] @ np.cos(2 * x) == pytest.approx(reference, rel=2e-3, abs=2e-3)


def test_bandwidth_is_the_second_moment_of_the_transform():
    """The variance of the bump in x is a^2 / (2p + 3), and a radius has its bandwidth."""
    s = np.linspace(-1, 1, 20001)
    bump = (1 - s**2) ** POWER
    assert (bump @ s**2) / bump.sum() == pytest.approx(bandwidth(1.0) ** -2, rel=1e-6)
    assert radius_of(bandwidth(0.7)) == pytest.approx(0.7)


@pytest.mark.parametrize("power", [1, 2, 3, 4])
def test_powers_of_noisy_values_have_no_bias(power):
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    u, sigma = 1.3, 0.4
    mean = weights @ unbiased_power(u + sigma * nodes, sigma**2, power) / weights.sum()
    assert mean == pytest.approx(u**power)


@pytest.mark.parametrize("shape", [(60, 80), (30, 24, 24)])
def test_noise_is_measured_on_smooth_fields(shape):
    grids = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    u = np.sin(2 * sum(grids))
    assert noise_size(u) < 1e-5
    generator = np.random.default_rng(1)
    assert noise_size(u + 0.05 * generator.standard_normal(shape)) == pytest.approx(0.05, rel=0.06)


def test_the_band_of_a_wave_is_its_frequency():
    t = np.linspace(0, 20, 400)
    u = np.sin(5 * t)[:, None] + 0.1 * np.random.default_rng(0).standard_normal((400, 30))
    assert 5 <= signal_band(u, t, 0, 0.1) < 6.5


def test_the_covariance_of_the_residual_is_that_of_drawn_noise():
    """For a linear law exactly: L_w e has the covariance that the Kronecker products say."""
    t, x = np.linspace(0, 1, 20), np.linspace(0, 2, 16)
    u = np.sin(x + t[:, None])[None]
    system = WeakSystem(u, (0.3,), axis_windows(t, 0.4, 2, 1), (axis_windows(x, 0.8, 3, 4),))
    terms = (FieldTerm((1,), ((1.0, (1,)),)), FieldTerm((1,), ((1.0, (2,)),)))
    w = (-0.7, 0.2)
    cells = np.eye(20 * 16).reshape(-1, 1, 20, 16)
    L = np.stack([system.target(e[0]) - system.noise_columns(terms, e) @ w for e in cells], 1)
    assert system.residual_covariance(0, terms, w) == pytest.approx(0.09 * L @ L.T, rel=1e-10, abs=1e-12)
    apart = system.residual_covariance(0, terms, w, apart=True)
    assert np.linalg.eigvalsh(apart)[0] > -1e-9 * np.linalg.eigvalsh(apart)[-1]


def test_stencils_are_exact_for_polynomials():
    offsets = np.array([-1.0, -0.4, 0.0, 0.3, 0.9, 1.5])
    for order in range(5):
        for degree in range(6):
            exact = 0.0 if degree != order else float(np.prod(np.arange(1, order + 1)))
            assert stencil(offsets, order) @ offsets**degree == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize("periodic", [True, False])
def test_differences_of_waves(periodic):
    x = np.linspace(0, 2 * np.pi, 121)[:-1]
    for order, exact in ((1, np.cos(x)), (2, -np.sin(x)), (3, -np.cos(x)), (4, np.sin(x))):
        assert difference(x, order, periodic) @ np.sin(x) == pytest.approx(exact, abs=3e-4)


def test_terms_are_expanded_as_calculus_does():
    x = sympy.Symbol("x")
    u, v = (sympy.Function(n)(x) for n in "uv")
    for term in candidate_terms(2, 1):
        plain = sympy.diff(u ** term.powers[0] * v ** term.powers[1], x, term.order)
        got = expanded(term, ("u", "v"), ("x",))
        names = {s: f.diff(x, s.name.count("x")) if "_" in s.name else f for s in got.free_symbols
                 for f in (u if s.name[0] == "u" else v,)}  # fmt: skip
        assert sympy.expand(got.subs(names, simultaneous=True) - plain) == 0


def test_a_laplacian_in_the_plane():
    term = next(t for t in candidate_terms(1, 2, isotropic=True) if t.text(("u",)) == "lap(u)")
    assert str(expanded(term, ("u",), ("x", "y"))) == "u_xx + u_yy"
    assert {t.text(("u",)) for t in candidate_terms(1, 2, order=2)} >= {"u_x", "u_xy", "(u**2)_y", "u_yy", "1"}
