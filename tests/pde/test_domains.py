"""Points of domains lie inside, and those of their boundaries on them."""

import math

import pytest
import torch

from edgewise.pde import Box, Region, Slab, disk, polygon


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


DOMAINS = {
    "box": Box(x=(-1, 1), y=(-1, 1)),
    "disk": disk((0.5, 0.0), 2.0),
    "polygon": polygon([(0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1)]),
    "distance": Region(lambda x, y: x**2 / 4 + y**2 - 1, x=(-2, 2), y=(-1, 1)),
    "slab": Slab(disk(), t=(0, 2)),
    "interval": Box(x=(0, 1)),
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS.keys())
def test_samples_lie_inside_and_normals_point_outward(domain):
    inside = domain.sample(200, generator())
    assert (domain.distance(inside) < 0).all()
    assert inside.shape == (200, len(domain.coordinates))
    for part in domain.parts:
        points, normals = domain.boundary(part, 50, generator())
        torch.testing.assert_close(
            domain.distance(points), torch.zeros(len(points), dtype=torch.float64), atol=1e-8, rtol=0
        )
        torch.testing.assert_close(normals.norm(dim=-1), torch.ones(len(points), dtype=torch.float64))
        # A point of measure zero, a corner, may have a neighbour outside on the inner side.
        assert (domain.distance(points - 1e-6 * normals) < 1e-9).all()
        assert (domain.distance(points + 1e-6 * normals) > 0).all()


def test_the_boundary_of_a_disk_is_covered_evenly():
    points, _ = Region(lambda x, y: torch.hypot(x, y) - 1, x=(-1, 1), y=(-1, 1)).boundary("wall", 4000, generator())
    quadrants = torch.bucketize(torch.atan2(points[:, 1], points[:, 0]), torch.tensor([-math.pi / 2, 0, math.pi / 2]))
    assert (torch.bincount(quadrants) / 4000 - 0.25).abs().max() < 0.05


def test_domains_without_interior_are_refused():
    with pytest.raises(ValueError, match=r"no interior: x runs from 1 to 0"):
        Box(x=(1, 0))
    with pytest.raises(ValueError, match="no interior: its area is 0"):
        polygon([(0, 0), (1, 1), (2, 2)])
    with pytest.raises(ValueError, match="no interior"):
        Region(lambda x, y: 1 + x**2 + y**2, x=(-1, 1), y=(-1, 1))
