"""A spline of several variables agrees with scipy's, is periodic where asked, and keeps its function on finer grids."""

import itertools

import pytest
import torch
from scipy.interpolate import BSpline, NdBSpline

from edgewise.nn import Surface


def drawn(surface: Surface, seed: int = 0) -> Surface:
    with torch.no_grad():
        surface.coef.normal_(generator=torch.Generator().manual_seed(seed))
    return surface


def uneven(low: float, high: float, n: int) -> torch.Tensor:
    return low + (high - low) * torch.linspace(0, 1, n + 1, dtype=torch.float64) ** 1.5


def places(surface: Surface, n: int = 50) -> torch.Tensor:
    """Points inside, on break points and at both ends."""
    generator = torch.Generator().manual_seed(1)
    low = torch.stack([g[0] for g in surface.grids])
    high = torch.stack([g[-1] for g in surface.grids])
    inside = low + (high - low) * torch.rand(n, surface.variables, dtype=torch.float64, generator=generator)
    corners = torch.tensor(list(itertools.product(*(g[[0, 1, -1]].tolist() for g in surface.grids))))
    return torch.cat([inside, corners.double()])


@pytest.mark.parametrize("degree", [1, 3, 7])
def test_values_are_those_of_scipy(degree):
    s = drawn(Surface([uneven(-1, 2, 4), uneven(0, 1, 3)], 2, degree=degree))
    x = places(s)
    expected = NdBSpline(tuple(s.knots(j).numpy() for j in range(2)), s.coef.detach().numpy(), degree)
    assert torch.allclose(s(x), torch.from_numpy(expected(x.numpy())), atol=1e-12)


@pytest.mark.parametrize("order", range(6))
def test_all_continuous_derivatives_agree_at_the_ends_of_a_period(order):
    s = drawn(Surface([uneven(-1, 3, 9)], degree=6, periodic=[0]))
    ends = torch.tensor([-1.0, 3.0], dtype=torch.float64)
    columns, values = s.curves(0, ends, order)
    slopes = (values[order] * s.coef.detach()[:, 0][columns]).sum(1).tolist()
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-9)
    wrapped = torch.cat([s.coef.detach()[:, 0], s.coef.detach()[:6, 0]]).numpy()
    assert slopes[0] == pytest.approx(float(BSpline(s.knots(0).numpy(), wrapped, 6)(-1.0, nu=order)), rel=1e-9)


@pytest.mark.parametrize("periodic", [(), (1,)])
def test_finer_grids_keep_the_function(periodic):
    s = drawn(Surface([uneven(0, 1, 5), uneven(-2, 2, 8)], 2, degree=5, periodic=periodic))
    finer = [torch.cat([g, (g[1:] + g[:-1])[::2] / 2]).sort().values for g in s.grids]
    x = places(s)
    assert torch.allclose(s.on(finer)(x), s(x), atol=1e-10)


@pytest.mark.parametrize("periodic", [(), (1,)])
def test_values_on_a_grid_are_those_at_its_points(periodic):
    s = drawn(Surface([uneven(0, 1, 5), uneven(-2, 2, 8)], 2, degree=5, periodic=periodic))
    axes = [torch.linspace(0, 1, 7).double(), torch.linspace(-2, 2, 4).double()]
    x = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    assert torch.allclose(s.on_grid(axes), s(x), atol=1e-12)


def test_another_degree_keeps_smooth_functions():
    s = Surface([uneven(0, 1, 6), uneven(-2, 2, 8)], degree=6)
    x = places(s)
    smooth = lambda x: torch.sin(x[:, :1]) * torch.cos(x[:, 1:] / 2)
    fine = s.on(s.grids, degree=7)
    assert fine.degree == 7
    points = torch.stack(torch.meshgrid(s.greville(0), s.greville(1), indexing="ij"), -1).flatten(0, 1)
    values = smooth(points).reshape(*s.sizes, 1)
    inverse = [torch.linalg.inv(s.design(j, s.greville(j))) for j in range(2)]
    with torch.no_grad():
        s.coef.copy_(torch.einsum("ai,bj,ijk->abk", *inverse, values))
    assert torch.allclose(s.on(s.grids, degree=7)(x), smooth(x), atol=1e-6)


def test_what_cannot_be_a_surface_is_refused():
    with pytest.raises(ValueError, match="must be two or more and increase"):
        Surface([torch.tensor([0.0, 0.0, 1.0])])
    with pytest.raises(ValueError, match="needs 8 intervals or more, variable 0 has 5"):
        Surface([torch.linspace(0, 1, 6)], periodic=[0])
    with pytest.raises(ValueError, match="degree must be 1 to 10"):
        Surface([torch.linspace(0, 1, 6)], degree=11)
