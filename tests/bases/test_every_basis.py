"""Laws of every registered basis."""

import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from edgewise.bases import (
    Basis,
    BSpline,
    Chebyshev,
    Fourier,
    Gaussian,
    Hinge,
    Rational,
    ReLUPower,
    Wavelet,
    registered_bases,
)
from edgewise.testing import check_basis

KNOTS = ("clamped", "uniform")
EXTRAPOLATIONS = ("linear", "constant", "polynomial", "zero")
LOW_DEGREE = [BSpline(4, d, knots, outside) for d in range(4) for knots in KNOTS for outside in EXTRAPOLATIONS]
# What happens outside the grid does not depend on the degree: every pair once is enough for the long recursions.
HIGH_DEGREE = [BSpline(3, d, KNOTS[d % 2], EXTRAPOLATIONS[d // 2 % 4]) for d in range(4, 10)]
ONE_EACH = [
    BSpline(),
    Chebyshev(),
    Fourier(),
    Gaussian(),
    Hinge(),
    Rational(),
    ReLUPower(),
    Wavelet(),
    Wavelet("morlet"),
]
OTHERS = [
    BSpline(1, 3),
    BSpline(20, 3, "uniform"),
    Chebyshev(1),
    Chebyshev(2),
    Chebyshev(14),
    Fourier(1),
    Fourier(12),
    Gaussian(2),
    Gaussian(5, 0.4),
    Gaussian(15, 1.7),
    Hinge(1),
    Rational(1),
    Rational(9),
    ReLUPower(1, 1),
    ReLUPower(1, 3),
    ReLUPower(12, 2),
    ReLUPower(4, 5),
    Wavelet("mexican_hat", 2),
    Wavelet("morlet", 16),
]
RESOLUTIONS = {
    "bspline": "intervals",
    "chebyshev": "degree",
    "fourier": "frequencies",
    "gaussian": "centers",
    "hinge": "hinges",
    "rational": "degree",
    "relu_power": "intervals",
    "wavelet": "centers",
}

one_of_each = pytest.mark.parametrize("basis", ONE_EACH, ids=repr)


def test_every_registered_basis_is_tested() -> None:
    ours = {name for name, cls in registered_bases().items() if cls.__module__.startswith("edgewise.")}
    assert ours == {basis.name for basis in ONE_EACH}


@pytest.mark.parametrize("basis", [*ONE_EACH, *OTHERS, *LOW_DEGREE, *HIGH_DEGREE], ids=repr)
def test_basis_keeps_the_laws(basis: Basis) -> None:
    check_basis(basis)


@one_of_each
def test_basis_keeps_the_laws_in_single_precision(basis: Basis) -> None:
    check_basis(basis, dtype=torch.float32, generator=torch.Generator().manual_seed(1))


@one_of_each
def test_resized_changes_the_resolution_alone(basis: Basis) -> None:
    finer = basis.resized(17)
    assert finer.to_json() == basis.to_json() | {RESOLUTIONS[basis.name]: 17}
    assert finer.size > basis.size


SMOOTH_TO = {"hinge": 0, "relu_power": 2}


@pytest.mark.parametrize("basis", [*ONE_EACH, *LOW_DEGREE, *HIGH_DEGREE], ids=repr)
def test_derivatives_at_the_ends_are_those_of_the_end_pieces(basis: Basis) -> None:
    grid = basis.init_grid(1, -0.7, 1.3, dtype=torch.float64)
    ends = torch.stack(basis.span(grid))
    inside = ends + torch.tensor([[1e-9], [-1e-9]], dtype=torch.float64)
    weights = torch.linspace(1, 2, basis.size, dtype=torch.float64).sin()
    order = SMOOTH_TO.get(basis.name, 3)
    for n in range(0 if isinstance(basis, BSpline) and basis.degree == 0 else order + 1):
        expected = basis.derivative(inside, grid, n) @ weights
        scale = expected.abs().max().clamp(min=1).item()
        for lower in range(n + 1):  # in closed form, and by autograd of the closed forms of all lower orders
            f = basis.derivative(ends.requires_grad_(), grid, lower) @ weights
            for _ in range(n - lower):
                (f,) = torch.autograd.grad(f.sum(), ends, create_graph=True) if f.requires_grad else (0 * f,)
            torch.testing.assert_close(f.detach(), expected.detach(), rtol=0, atol=1e-5 * scale)


@one_of_each
def test_half_precision_computes_in_single(basis: Basis) -> None:
    x = torch.linspace(-1.2, 1.2, 50)[:, None]
    for dtype in (torch.bfloat16, torch.float16):
        half, grid = x.to(dtype), basis.init_grid(1, dtype=dtype)
        expected = basis.derivative(half.float(), grid.float(), 1).to(dtype)
        assert torch.equal(basis.derivative(half, grid, 1), expected)


@one_of_each
def test_far_inputs_stay_finite(basis: Basis) -> None:
    x = torch.tensor([[-1e30], [-1e18], [-1e6], [1e6], [1e18], [1e30]])
    grid = basis.init_grid(1)
    for order in range(4):
        assert basis.derivative(x, grid, order).isfinite().all()


@one_of_each
def test_negative_order_is_refused(basis: Basis) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        basis.derivative(torch.zeros(1, 1), basis.init_grid(1), -1)


@one_of_each
def test_empty_range_is_refused(basis: Basis) -> None:
    with pytest.raises(ValueError, match="low < high"):
        basis.init_grid(2, 1.0, 1.0)


@one_of_each
def test_fit_grid_covers_the_samples(basis: Basis) -> None:
    x = torch.rand(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) ** 3
    grid = basis.init_grid(2, dtype=torch.float64)
    for adaptive in (0.0, 0.5, 1.0):
        low, high = basis.span(basis.fit_grid(x, grid, adaptive=adaptive))
        assert torch.equal(low, x.amin(0))
        assert torch.equal(high, x.amax(0))
    low, high = basis.span(basis.fit_grid(x, grid, margin=0.5))
    torch.testing.assert_close(high - low, 2 * (x.amax(0) - x.amin(0)))


@one_of_each
def test_fit_grid_leaves_a_constant_feature_alone(basis: Basis) -> None:
    grid = basis.init_grid(2, -1.0, 3.0)
    x = torch.stack([torch.full((9,), 7.0), torch.linspace(0, 1, 9)], dim=-1)
    fitted = basis.fit_grid(x, grid, adaptive=0.5, margin=0.1)
    assert torch.equal(fitted[0], grid[0])
    assert not torch.equal(fitted[1], grid[1])


@one_of_each
def test_fit_grid_says_what_it_needs(basis: Basis) -> None:
    grid = basis.init_grid(1)
    with pytest.raises(ValueError, match="no samples"):
        basis.fit_grid(torch.zeros(0, 1), grid)
    with pytest.raises(ValueError, match="adaptive must be"):
        basis.fit_grid(torch.rand(5, 1), grid, adaptive=2.0)


@one_of_each
@settings(max_examples=15)
@given(data=st.data())
def test_any_batch_shape_and_any_grid(basis: Basis, data: st.DataObject) -> None:
    features = data.draw(st.integers(1, 4))
    batch = data.draw(st.one_of(st.just(()), array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)))
    numbers = st.floats(-100, 100, width=32)
    samples = torch.from_numpy(
        data.draw(arrays("float64", (data.draw(st.integers(1, 12)), features), elements=numbers))
    )
    x = torch.from_numpy(data.draw(arrays("float64", (*batch, features), elements=numbers)))
    adaptive = data.draw(st.floats(0, 1))
    spread = samples.amax(0) - samples.amin(0)
    samples = torch.where((spread > 1e-3) | (spread == 0), samples, samples[:1])
    grid = basis.fit_grid(samples, basis.init_grid(features, dtype=torch.float64), adaptive=adaptive, margin=0.01)
    assert (grid.diff(dim=-1) > 0).all()
    for order in range(3):
        values = basis.derivative(x, grid, order)
        assert values.shape == (*batch, features, basis.size)
        assert values.isfinite().all()


@pytest.mark.compile
@one_of_each
def test_compiles_without_a_graph_break(basis: Basis) -> None:
    torch.compiler.reset()  # else every basis counts as a recompilation of one function, and these are limited
    grid = basis.init_grid(2, dtype=torch.float64)
    x = torch.linspace(-1.5, 1.5, 12, dtype=torch.float64).reshape(6, 2).requires_grad_()

    def values(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([basis.evaluate(x, grid), basis.derivative(x, grid, 2)], dim=-1)

    compiled = torch.compile(values, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), values(x))
    slopes = [torch.autograd.grad(f(x).square().sum(), x)[0] for f in (compiled, values)]
    torch.testing.assert_close(*slopes)
