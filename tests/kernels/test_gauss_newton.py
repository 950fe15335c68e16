"""The border of the native Gauss-Newton kernel: what it is not made for is refused before native code sees it."""

import pytest
import torch

import edgewise as ew
from edgewise.bases import Gaussian
from edgewise.kernels import EdgeSpec, threads_for
from edgewise.kernels.cpu import gauss_newton, load
from edgewise.kernels.cpu.gauss_newton import LocalFeature, add_gram, curves, pull_back

pytestmark = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))

SPEC = EdgeSpec(ew.BSpline(4, 3))


def zeros(*shape, dtype=torch.float64):
    return torch.zeros(shape, dtype=dtype)


def knots():
    return SPEC.basis.full_knots(SPEC.basis.init_grid(2, -1.0, 1.0, dtype=torch.float64))[None]


def test_it_says_what_it_does_not_serve():
    x = zeros(2, 5)
    assert gauss_newton.refuses([SPEC], x) is None
    assert "float32" in gauss_newton.refuses([SPEC], x.float())
    assert "degree" in gauss_newton.refuses([EdgeSpec(ew.BSpline(4, 0))], x)
    assert "Gaussian" in gauss_newton.refuses([EdgeSpec(Gaussian(4))], x)
    assert "gelu" in gauss_newton.refuses([EdgeSpec(ew.BSpline(4), "gelu")], x)


@pytest.mark.parametrize(
    ("x", "at", "coef", "bias"),
    [
        (zeros(1, 2, 5, dtype=torch.float32), knots(), zeros(1, 2, 7, 3), None),
        (zeros(1, 3, 5), knots(), zeros(1, 2, 7, 3), None),
        (zeros(1, 5, 2).mT, knots(), zeros(1, 2, 7, 3), None),
        (zeros(1, 2, 5), knots()[:, :, 1:], zeros(1, 2, 7, 3), None),
        (zeros(1, 2, 5), knots(), zeros(1, 2, 8, 3), None),
        (zeros(1, 2, 5), knots(), zeros(1, 2, 7, 3), zeros(1, 2)),
        (zeros(2, 2, 5), knots(), zeros(3, 2, 7, 3), zeros(3, 3)),
    ],
)
def test_layers_of_other_shapes_are_refused(x, at, coef, bias):
    with pytest.raises(ValueError, match=r"must be contiguous float64|neither one nor those"):
        curves(SPEC, x, at, coef, bias)


def test_functions_that_are_not_compiled_and_no_networks_are_refused():
    basis = ew.BSpline(4, 9)
    at = basis.full_knots(basis.init_grid(2, -1.0, 1.0, dtype=torch.float64))[None]
    curves(EdgeSpec(basis), zeros(1, 2, 5), at, zeros(1, 2, 13, 3), None)
    with pytest.raises(ValueError, match="of order 1 is not compiled in"):
        curves(EdgeSpec(basis, None, 1), zeros(1, 2, 5), at, zeros(1, 2, 13, 3), None)
    with pytest.raises(ValueError, match="neither one nor those of 0"):
        curves(SPEC, zeros(0, 2, 5), knots(), zeros(0, 2, 7, 3), None)


def test_windows_of_other_samples_are_refused():
    coef = zeros(1, 2, 7, 3)
    windows, y, _ = curves(SPEC, zeros(1, 2, 5), knots(), coef, None)
    again = curves(SPEC, zeros(1, 2, 5), knots(), coef, None, known=windows)[1]
    assert torch.equal(y, again)
    with pytest.raises(ValueError, match="known windows"):
        curves(SPEC, zeros(1, 2, 6), knots(), coef, None, known=windows)
    windows.interval[0, 1, 2] = 4
    with pytest.raises(ValueError, match="intervals that the basis does not have"):
        curves(SPEC, zeros(1, 2, 5), knots(), coef, None, known=windows)
    with pytest.raises(ValueError, match="slope"):
        pull_back(zeros(1, 2, 3, 5), zeros(1, 2, 3, 6))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"places": zeros(7, 3, dtype=torch.int64)}, "int32"),
        ({"places": zeros(7, 2, dtype=torch.int32)}, "int32"),
        ({"places": zeros(7, 3, dtype=torch.int32).to("meta")}, "on the CPU"),
        ({"interval": zeros(1, 5, dtype=torch.int32).to("meta")}, "on the CPU"),
        ({"functions": 5}, "do not fit"),
        ({"windows": zeros(1, 5, 5)}, "multiple of 4"),
        ({"functions": 0}, "do not fit"),
        ({"windows": zeros(1, 6, 4)}, "windows"),
        ({"windows": zeros(3, 5, 4)}, "neither one"),
        ({"interval": zeros(1, 5, dtype=torch.int64)}, "interval"),
        ({"interval": None}, "as many rows"),
        ({"interval": torch.full((1, 5), 4, dtype=torch.int32)}, "do not exist"),
        ({"interval": torch.full((1, 5), -1, dtype=torch.int32)}, "do not exist"),
        ({"places": torch.arange(1, 22, dtype=torch.int32).view(7, 3)}, "do not exist"),
        ({"layer": 1}, "layer"),
    ],
)
def test_features_of_other_shapes_are_refused(change, message):
    settings = {
        "layer": 0,
        "places": torch.arange(21, dtype=torch.int32).view(7, 3),
        "windows": zeros(1, 5, 4),
        "functions": 4,
        "interval": zeros(1, 5, dtype=torch.int32),
    }
    gram, gradient, u = zeros(2, 21, 21), zeros(2, 21), zeros(2, 2, 3, 5)
    add_gram([LocalFeature(**settings)], [u], gram, gradient)
    with pytest.raises(ValueError, match=message):
        add_gram([LocalFeature(**{**settings, **change})], [u], gram, gradient)


def test_sums_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="gram"):
        add_gram([], [zeros(2, 2, 3, 5)], zeros(2, 20, 21), zeros(2, 21))
    with pytest.raises(ValueError, match="nodes"):
        add_gram([], [zeros(2, 2, 3, 5), zeros(2, 3, 3, 5)], zeros(2, 21, 21), zeros(2, 21))


def test_small_work_takes_one_thread():
    given = torch.get_num_threads()
    with threads_for(1e6):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == given
    with threads_for(1e12):
        assert torch.get_num_threads() == given
