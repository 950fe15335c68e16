"""B-splines against scipy, which shares no code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.interpolate import BSpline as ScipyBSpline

from edgewise.bases import BSpline

BREAKS = np.array([-1.5, -1.0, -0.2, 0.3, 0.4, 2.0])
INSIDE = np.concatenate([BREAKS, np.linspace(-1.5, 2.0, 23), [0.3 - 1e-9, 0.3 + 1e-9]])
OUTSIDE = np.array([-40.0, -2.0, -1.5 - 1e-9, 2.0 + 1e-9, 2.3, 50.0])

every_degree = pytest.mark.parametrize("degree", range(10))
both_knots = pytest.mark.parametrize("knots", ["clamped", "uniform"])


def scipy_basis(breaks: np.ndarray, degree: int, knots: str) -> ScipyBSpline:
    steps = np.arange(1, degree + 1) * (knots == "uniform")
    before = breaks[0] - steps[::-1] * (breaks[1] - breaks[0])
    after = breaks[-1] + steps * (breaks[-1] - breaks[-2])
    return ScipyBSpline(np.concatenate([before, breaks, after]), np.eye(len(breaks) - 1 + degree), degree)


def ours(basis: BSpline, x: np.ndarray, order: int, breaks: np.ndarray = BREAKS) -> np.ndarray:
    grid = torch.from_numpy(breaks)[None]
    return basis.derivative(torch.from_numpy(x)[:, None], grid, order)[:, 0].numpy()


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11 * max(1.0, np.abs(expected).max()))


@every_degree
@both_knots
@pytest.mark.parametrize("extrapolation", ["linear", "constant", "polynomial", "zero"])
def test_inside_the_grid(degree: int, knots: str, extrapolation: str) -> None:
    basis, oracle = BSpline(5, degree, knots, extrapolation), scipy_basis(BREAKS, degree, knots)
    for order in range(5):
        assert_close(ours(basis, INSIDE, order), oracle(INSIDE, nu=order))


@every_degree
@both_knots
def test_polynomial_extrapolation(degree: int, knots: str) -> None:
    basis, oracle = BSpline(5, degree, knots, "polynomial"), scipy_basis(BREAKS, degree, knots)
    for order in range(4):
        assert_close(ours(basis, OUTSIDE, order), oracle(OUTSIDE, nu=order))


@every_degree
@both_knots
def test_linear_extrapolation(degree: int, knots: str) -> None:
    basis, oracle = BSpline(5, degree, knots, "linear"), scipy_basis(BREAKS, degree, knots)
    end = np.clip(OUTSIDE, BREAKS[0], BREAKS[-1])
    slope = oracle(end, nu=1)
    assert_close(ours(basis, OUTSIDE, 0), oracle(end) + (OUTSIDE - end)[:, None] * slope)
    assert_close(ours(basis, OUTSIDE, 1), slope)
    for order in (2, 3):
        assert_close(ours(basis, OUTSIDE, order), np.zeros_like(slope))


@every_degree
@both_knots
@pytest.mark.parametrize("extrapolation", ["constant", "zero"])
def test_flat_extrapolation(degree: int, knots: str, extrapolation: str) -> None:
    basis, oracle = BSpline(5, degree, knots, extrapolation), scipy_basis(BREAKS, degree, knots)
    end = oracle(np.clip(OUTSIDE, BREAKS[0], BREAKS[-1]))
    assert_close(ours(basis, OUTSIDE, 0), end if extrapolation == "constant" else np.zeros_like(end))
    for order in (1, 2, 3):
        assert_close(ours(basis, OUTSIDE, order), np.zeros_like(end))


@settings(max_examples=40)
@given(
    gaps=st.lists(st.floats(0.01, 3), min_size=1, max_size=7),
    degree=st.integers(0, 9),
    knots=st.sampled_from(["clamped", "uniform"]),
    t=st.lists(st.floats(0, 1), min_size=1, max_size=9),
)
def test_any_break_points(gaps: list[float], degree: int, knots: str, t: list[float]) -> None:
    breaks = np.cumsum([-1.0, *gaps])
    x = np.concatenate([breaks, breaks[0] + np.array(t) * (breaks[-1] - breaks[0])]).clip(breaks[0], breaks[-1])
    basis, oracle = BSpline(len(gaps), degree, knots), scipy_basis(breaks, degree, knots)
    for order in range(4):
        assert_close(ours(basis, x, order, breaks), oracle(x, nu=order))


@every_degree
@both_knots
def test_partition_of_unity_and_reproduction_of_x(degree: int, knots: str) -> None:
    basis, grid = BSpline(5, degree, knots), torch.from_numpy(BREAKS)[None]
    x = np.concatenate([INSIDE, OUTSIDE])
    values = ours(basis, x, 0)
    np.testing.assert_allclose(values.sum(-1), 1, atol=1e-8)
    if degree > 0:
        np.testing.assert_allclose(values @ basis.greville(grid)[0].numpy(), x, atol=1e-8)


@pytest.mark.parametrize("extrapolation", ["linear", "constant", "polynomial", "zero"])
@pytest.mark.parametrize("features", [1, 2, 4])
def test_extrapolation_for_every_number_of_features(extrapolation: str, features: int) -> None:
    basis = BSpline(5, 3, "clamped", extrapolation)
    grid = torch.from_numpy(BREAKS).repeat(features, 1)
    x = torch.from_numpy(OUTSIDE)[:, None].repeat(1, features)
    for j in range(features):
        assert torch.equal(basis.evaluate(x, grid)[:, j], torch.from_numpy(ours(basis, OUTSIDE, 0)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"intervals": 0}, "intervals must be at least 1"),
        ({"degree": 10}, "degree must be 0 to 9"),
        ({"knots": "natural"}, "'clamped'.*'uniform'"),
        ({"extrapolation": "nearest"}, "'linear', 'constant'"),
    ],
)
def test_refuses_bad_settings(fields: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):  # run-time type checks speak first where they are on
        BSpline(**fields)
