"""Meshes come back from the files of meshio with their parts."""

import numpy as np
import pytest
import torch

from edgewise.pde import read_mesh
from tests.pde.test_domains import cube, ring

meshio = pytest.importorskip("meshio")


def test_a_mesh_of_gmsh_has_its_physical_groups(tmp_path):
    points, cells, rim = ring()
    tags = [np.full(len(cells), 1), np.full(len(rim), 7)]
    mesh = meshio.Mesh(
        np.pad(points, ((0, 0), (0, 1))),
        [("triangle", cells), ("line", rim)],
        cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags},
        field_data={"rim": np.array([7, 1]), "ring": np.array([1, 2])},
    )
    mesh.write(tmp_path / "ring.msh", file_format="gmsh22")
    read = read_mesh(tmp_path / "ring.msh")
    assert read.parts == ("rim", "wall")
    assert read.coordinates == ("x", "y")
    on_rim = read.boundary("rim", 100, torch.Generator().manual_seed(0)).points
    assert (on_rim.norm(dim=-1) > 0.98).all()


def test_a_mesh_of_tetrahedra_is_read(tmp_path):
    points, cells = cube(1)
    meshio.Mesh(points, [("tetra", cells)]).write(tmp_path / "cube.vtu")
    assert read_mesh(tmp_path / "cube.vtu").bounds == ((0.0, 1.0),) * 3


def test_files_that_are_no_domain_are_told(tmp_path):
    (tmp_path / "text.msh").write_text("hello")
    with pytest.raises(ValueError, match="no mesh"):
        read_mesh(tmp_path / "text.msh")
    points, cells, rim = ring()
    meshio.Mesh(np.pad(points, ((0, 0), (0, 1))), [("line", rim)]).write(tmp_path / "rim.vtu")
    with pytest.raises(ValueError, match="no triangles and no tetrahedra, but line"):
        read_mesh(tmp_path / "rim.vtu")
    bent = np.column_stack([points, points[:, 0] ** 2])
    meshio.Mesh(bent, [("triangle", cells)]).write(tmp_path / "bent.vtu")
    with pytest.raises(ValueError, match="a surface of triangles in space"):
        read_mesh(tmp_path / "bent.vtu")


def test_files_whose_readers_do_not_end_are_refused_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr("edgewise.pde.meshes.SECONDS", 0.3)
    endless = {
        "a.ply": "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\n",
        "a.msh": "(10 (1 1 4 1 3)(\n1 2 3\n",
    }
    for name, text in endless.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="no mesh"):
            read_mesh(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_mesh(tmp_path / "none.vtu")
