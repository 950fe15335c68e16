"""Polynomials run on the kernels for splines, with the same values and gradients."""

import pytest
import torch

import edgewise as ew
from edgewise.bases import Chebyshev
from edgewise.kernels import EdgeSpec, design, edge_sum, find, reference
from edgewise.kernels.cpu import layer, load
from edgewise.kernels.polynomials import as_splines, spline_coefficients

SPECS = [EdgeSpec(Chebyshev(d), residual) for d, residual in ((1, None), (3, "silu"), (3, None), (5, "silu"))]
native = pytest.mark.skipif(load.library() is None, reason=str(load.why_not()))


def problem(spec, dtype=torch.float64):
    """Inputs inside, at both ends and outside of ranges of different places and widths."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)
    low = draw(3, 1)
    grid = torch.cat([low, low + draw(3, 1).abs() + 0.3], 1)
    x = torch.cat([2 * draw(9, 3), grid.T])
    return x.to(dtype), draw(3, spec.size, 4).to(dtype), grid.to(dtype)


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_splines_of_one_interval_are_the_same_curves(spec, order):
    x, coef, grid = problem(spec)
    spec = spec._replace(order=order)
    twin = as_splines(spec)
    curves = torch.einsum("bjk,jki->bji", design(x, grid, spec), coef)
    others = torch.einsum("bjk,jki->bji", design(x, grid, twin), spline_coefficients(coef, spec))
    torch.testing.assert_close(others, curves, rtol=1e-9, atol=1e-9)


@native
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_kernel_agrees_with_the_reference_in_value_and_gradients(spec, dtype):
    x, coef, grid = problem(spec, dtype)
    x = x[:9]  # torch halves the derivatives of the reference where an input lies on an end of the range
    assert find("layer", spec, x) is layer
    results = []
    for f in (edge_sum, reference.edge_sum):
        inputs = (x.clone().requires_grad_(), coef.clone().requires_grad_())
        y = f(*inputs, grid, spec)
        first = torch.autograd.grad(y.square().sum(), inputs, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), inputs)
        results.append((y, *first, *second))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), rtol=0, atol=2e-5)


@native
def test_the_forced_reference_and_the_refusals_stay():
    model, x = ew.KANLinear(3, 2, Chebyshev(3)), torch.randn(5, 3)
    assert "KANLinear: cpu" in ew.which_kernels(model, x)
    assert "cpu: degree 8" in ew.which_kernels(ew.KANLinear(3, 2, Chebyshev(8)), x)
    with ew.use_backend("reference"):
        expected = model(x)
    with ew.use_backend("cpu"):
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
