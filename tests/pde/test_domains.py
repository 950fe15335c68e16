"""Points of domains lie inside, and those of their boundaries on them."""

import itertools
import math

import numpy as np
import pytest
import torch

from edgewise.pde import Box, Mesh, PointCloud, Region, Slab, annulus, ball, cylinder, disk, polygon, read_cloud


def cube(n=2):
    """The unit cube as n^3 cubes of six tetrahedra each (Kuhn 1960)."""
    grid = np.stack(np.meshgrid(*[np.arange(n + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    number = {tuple(p): k for k, p in enumerate(grid.tolist())}
    cells = []
    for corner in itertools.product(range(n), repeat=3):
        for order in itertools.permutations(range(3)):
            path = [np.array(corner)]
            for axis in order:
                path.append(path[-1] + np.eye(3, dtype=int)[axis])
            cells.append([number[tuple(p.tolist())] for p in path])
    return grid / n, np.array(cells)


def ring(n=24):
    """A ring of triangles between two polygons of n corners, and the facets of the outer one."""
    angle = 2 * math.pi * np.arange(n) / n
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    k, after = np.arange(n), (np.arange(n) + 1) % n
    cells = np.concatenate([np.stack([k, after, k + n], -1), np.stack([after, after + n, k + n], -1)])
    return np.concatenate([circle, circle / 2]), cells, np.stack([k, after], -1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


DOMAINS = {
    "box": Box(x=(-1, 1), y=(-1, 1)),
    "disk": disk((0.5, 0.0), 2.0),
    "polygon": polygon([(0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1)]),
    "distance": Region(lambda x, y: x**2 / 4 + y**2 - 1, x=(-2, 2), y=(-1, 1)),
    "slab": Slab(disk(), t=(0, 2)),
    "interval": Box(x=(0, 1)),
    "box with a hole": Box(x=(-2, 2), y=(-1, 1)) - disk(radius=0.5),
    "two disks": disk() | disk((1.0, 0.0), 0.8),
    "lens": disk() & disk((1.0, 0.0)),
    "ring": annulus(),
    "ball": ball((1.0, 0.0, 0.0), 2.0),
    "cylinder with a bubble over time": Slab(cylinder(z=(0, 2)) - ball((0, 0, 1), 0.5).named("bubble"), t=(0, 1)),
    "polygon with a hole": polygon(
        [(0, 0), (4, 0), (4, 4), (0, 4)], names=["floor", "side", "lid", "side"], holes=[[(1, 1), (2, 1), (2, 2)]]
    ),
    "moving": Region(lambda x, t: 3 * (x - 1 - t / 2), x=(-1, 2), t=(0, 1)) & Box(x=(0, 2), t=(0, 1)),
    "boxes side by side": Box(x=(0, 1), y=(0, 1)) | Box(x=(1, 2), y=(0, 1)),
    "half a box": Box(x=(0, 1), y=(0, 1)) - Box(x=(-1, 2), y=(0.5, 2)).named("cut"),
    "mesh": Mesh(*ring()[:2], {"outer": ring()[2]}),
    "tetrahedra": Mesh(*cube()),
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


def test_parts_that_vanish_are_none():
    assert (Box(x=(0, 1), y=(0, 1)) | Box(x=(1, 2), y=(0, 1))).parts == ("x-", "y-", "y+", "x+")
    assert DOMAINS["half a box"].parts == ("x-", "x+", "y-", "cut")
    assert DOMAINS["polygon with a hole"].parts == ("floor", "side", "lid", "hole")
    assert DOMAINS["moving"].parts == ("wall", "t-", "t+", "x-")
    assert set(DOMAINS["cylinder with a bubble over time"].parts) == {"wall", "z-", "z+", "bubble", "t-", "t+"}


@pytest.mark.parametrize("name", ["two disks", "lens", "ring", "box with a hole", "polygon with a hole", "mesh"])
def test_the_divergence_theorem_holds_on_samples(name):
    r"""$\int_\Omega \nabla\cdot F = \int_{\partial\Omega} F \cdot n$ with F = (x, y), every part by its own length."""
    domain = DOMAINS[name]
    (x0, x1), (y0, y1) = domain.bounds
    t = torch.rand(60_000, 2, dtype=torch.float64, generator=generator())
    inside = domain.distance(torch.tensor([x0, y0]) + t * torch.tensor([x1 - x0, y1 - y0]))
    area = (x1 - x0) * (y1 - y0) * (inside < 0).double().mean().item()
    flux = 0.0
    for part in domain.parts:
        points, normals = domain.boundary(part, 4000, generator(1))
        flux += (points * normals).sum(-1).mean().item() * length(domain, part)
    assert flux == pytest.approx(2 * area, rel=0.04)


def length(domain, part):
    """The length of a part by the area of a band around it, of which every point has its nearest point on it."""
    points = domain.boundary(part, 1000, generator(2)).points
    h = 0.04
    (x0, x1), (y0, y1) = ((low - 3 * h, high + 3 * h) for low, high in domain.bounds)
    t = torch.rand(60_000, 2, dtype=torch.float64, generator=generator(3))
    x = torch.tensor([x0, y0]) + t * torch.tensor([x1 - x0, y1 - y0])
    x = x[domain.distance(x).abs() < h]
    others = [domain.boundary(p, 1000, generator(4)).points for p in domain.parts if p != part]
    mine = torch.cdist(x, points).amin(1)
    nearest = mine < torch.cdist(x, torch.cat(others)).amin(1) if others else torch.ones(len(x), dtype=torch.bool)
    return nearest.sum().item() / 60_000 * (x1 - x0) * (y1 - y0) / (2 * h)


def test_a_mesh_is_the_polygon_of_its_boundary():
    points, cells, _ = ring()
    mesh, twin = Mesh(points, cells), polygon(points[:24].tolist(), holes=[points[24:].tolist()])
    x = 2.4 * torch.rand(2000, 2, dtype=torch.float64, generator=generator()) - 1.2
    torch.testing.assert_close(mesh.distance(x), twin.distance(x), atol=1e-12, rtol=0)


def test_a_cube_of_tetrahedra_is_a_box():
    mesh, box = Mesh(*cube()), Box(x=(0, 1), y=(0, 1), z=(0, 1))
    x = 1.6 * torch.rand(1000, 3, dtype=torch.float64, generator=generator()) - 0.3
    inside = box.distance(x) < 0
    torch.testing.assert_close(mesh.distance(x)[inside], box.distance(x)[inside], atol=1e-12, rtol=0)
    assert (mesh.distance(x)[~inside] > 0).all()
    sides = mesh.boundary("wall", 6000, generator()).normals
    assert (sides.unique(dim=0, return_counts=True)[1] / 1000 - 1).abs().max() < 0.1


@pytest.mark.parametrize(
    ("points", "cells", "parts", "message"),
    [
        ([[0, 0], [1, 0], [2, 0]], [[0, 1, 2]], {}, "cell 0 of the mesh has no volume"),
        ([[0, 0], [1e200, 0], [0, 1e200]], [[0, 1, 2]], {}, "cell 0 of the mesh has no volume"),
        ([[0, 0], [1e308, 1e308], [-1e308, 1e308]], [[0, 1, 2]], {}, "cell 0 of the mesh has no volume"),
        ([[0, 0], [1, 0], [0, 1]], [[0, 1, 3]], {}, "whole ones from 0 to 2"),
        ([[0, 0], [1, 0], [0, math.nan]], [[0, 1, 2]], {}, "point 2 of the mesh is not finite"),
        ([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], {"a": [[0, 0]]}, "not on the boundary"),
        ([[0, 0], [1, 0], [0, 1]], [[0, 1]], {}, r"got the shapes \(3, 2\) and \(1, 2\)"),
        ([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], {"t-": [[0, 1]]}, "cannot be called 't-'"),
    ],
)
def test_meshes_that_are_none_are_refused(points, cells, parts, message):
    with pytest.raises(ValueError, match=message):
        Mesh(points, cells, parts)


def test_a_cloud_knows_its_sides():
    domain = annulus()
    walls = {part: domain.boundary(part, 512, generator()).points for part in domain.parts}
    cloud = PointCloud(domain.sample(500, generator()), walls)
    x = 2.4 * torch.rand(2000, 2, dtype=torch.float64, generator=generator()) - 1.2
    x = x[domain.distance(x).abs() > 0.02]
    assert ((cloud.distance(x) < 0) == (domain.distance(x) < 0)).all()
    for part, sign in (("outer", 1), ("inner", -1)):
        points, normals = cloud.boundary(part, 300, generator())
        assert ((sign * torch.nn.functional.normalize(points, dim=-1) * normals).sum(-1) > 0.99).all()


def test_a_cloud_is_read_from_a_file(tmp_path):
    file = tmp_path / "cloud.csv"
    file.write_text(
        "x, y, part, nx, ny\n0,0,,0,0\n0.5,0,inside,0,0\n1,0,rim,2,0\n0,1,rim,0,1\n-1,0,rim,-1,0\n0,-1,rim,0,-1\n"
    )
    cloud = read_cloud(file)
    assert cloud.parts == ("rim",)
    assert len(cloud.sample(10, generator())) == 2
    assert (cloud.boundary("rim", 4, generator()).normals.norm(dim=-1) == 1).all()
    file.write_text("x,y,part\n0,0,\n1,zero,rim\n")
    with pytest.raises(ValueError, match="line 3: x, y must be numbers"):
        read_cloud(file)
    file.write_text("x,z,part\n0,0,\n")
    with pytest.raises(ValueError, match="needs the columns"):
        read_cloud(file)


def test_clouds_that_are_none_are_refused():
    with pytest.raises(ValueError, match="row 1"):
        PointCloud([[0.0, 0.0], [math.inf, 0.0]], [[1.0, 0.0]])
    with pytest.raises(ValueError, match=r"must have the shape \(n, 2\)"):
        PointCloud([[0.0, 0.0]], [[1.0]])
    with pytest.raises(ValueError, match="1 points and 2 normals"):
        PointCloud([[0.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]])


def test_domains_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the same coordinates in the same order"):
        Box(x=(0, 1)) | Box(y=(0, 1))
    with pytest.raises(ValueError, match="no interior"):
        Box(x=(0, 1), y=(0, 1)) & Box(x=(2, 3), y=(0, 1))
    with pytest.raises(ValueError, match="no interior"):
        disk() - disk(radius=2.0)
    with pytest.raises(ValueError, match="one interval"):
        Slab(disk())
    with pytest.raises(ValueError, match="has the coordinate x already"):
        Slab(disk(), x=(0, 1))
    with pytest.raises(ValueError, match="no time that could be cut"):
        disk().during(0, 1)
    with pytest.raises(ValueError, match="meaning of its own"):
        disk().named("boundary")


@pytest.mark.parametrize("name", ["moving", "slab", "cylinder with a bubble over time"])
def test_another_span_of_time_is_the_same_space(name):
    domain = DOMAINS[name]
    later = domain.during(0.25, 0.75)
    x = later.sample(100, generator())
    assert (domain.distance(x) < 0).all()
    assert (x[:, -1] >= 0.25).all()
    assert (x[:, -1] <= 0.75).all()
    assert later.parts == domain.parts
