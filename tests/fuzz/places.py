"""Files of domains of differential equations: meshes of meshio's formats and clouds of points."""

import random
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import torch
from kind import Kind, any_file, keep_one

from edgewise.pde import read_cloud, read_mesh


def make_meshes(folder: Path) -> None:
    """Two triangles with a named part of their boundary, and a tetrahedron, in the formats that people have."""
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    cells = [("triangle", np.array([[0, 1, 2], [0, 2, 3]])), ("line", np.array([[0, 1]]))]
    tags = [np.array([1, 1]), np.array([7])]
    named = {"cell_data": {"gmsh:physical": tags, "gmsh:geometrical": tags}}
    mesh = meshio.Mesh(flat, cells, **named, field_data={"floor": np.array([7, 1])})
    mesh.write(folder / "old.msh", file_format="gmsh22")
    plain = meshio.Mesh(flat, cells, cell_sets={"floor": [np.array([], int), np.array([0])]})
    for ending in ("inp", "vtk", "vtu", "stl", "off", "obj", "ply", "mesh", "xdmf", "su2", "dat"):
        try:
            plain.write(folder / f"plain.{ending}")
        except Exception as error:  # a format that has no place for this
            print(ending, error)
    solid = meshio.Mesh(np.vstack([flat[:3], [[0, 0, 1.0]]]), [("tetra", np.array([[0, 1, 2, 3]]))])
    for ending in ("vtu", "vtk", "mesh", "inp", "msh"):
        solid.write(folder / f"solid.{ending}")


def make_clouds(folder: Path) -> None:
    square = np.stack(np.meshgrid(np.linspace(0.1, 0.9, 5), np.linspace(0.1, 0.9, 5)), -1).reshape(-1, 2)
    side = np.linspace(0, 1, 6)
    wall = [(s, e, "floor" if e == 0 else "roof") for s in side for e in (0, 1)]
    wall += [(e, s, "sides") for s in side[1:-1] for e in (0, 1)]
    rows = [(x, y, "") for x, y in square] + wall
    (folder / "plain.csv").write_text("x,y,part\n" + "\n".join(f"{x},{y},{part}" for x, y, part in rows))
    normals = "\n".join(f"{x},{y},{part},{x - 0.5},{y - 0.5}" for x, y, part in rows)
    (folder / "normals.csv").write_text("x,y,part,nx,ny\n" + normals)


def damage(folder: Path, made: Any, rng: random.Random) -> str:
    keep_one(folder, rng)
    return any_file(folder, made, rng)


def read_domains(folder: Path, _: Any) -> Any:
    """The domain, and the points that a solver draws of it."""
    found = []
    for path in sorted(folder.iterdir()):
        domain = (read_cloud if path.suffix == ".csv" else read_mesh)(path)
        inside = domain.sample(20, torch.Generator().manual_seed(0))
        walls = [domain.boundary(part, 5, torch.Generator().manual_seed(0)).points for part in domain.parts]
        assert torch.isfinite(torch.cat([inside, *walls])).all(), "points that are not finite"
        found.append((domain.bounds, len(inside)))
    return found


def first_that_reads(folder: Path, made: Any) -> Any:
    """At the beginning there are all files, of which some are of surfaces or lines: those are refused in words."""
    if len(list(folder.iterdir())) == 1:
        return read_domains(folder, made)
    return [read_domains_alone(path) for path in sorted(folder.iterdir())]


def read_domains_alone(path: Path) -> Any:
    try:
        return (read_cloud if path.suffix == ".csv" else read_mesh)(path).bounds
    except ValueError as error:
        return str(error)


KINDS = {
    "mesh": Kind(make_meshes, first_that_reads, damage, limit=30.0),
    "point cloud": Kind(make_clouds, read_domains, damage),
}
