"""Domains from meshes of triangles or tetrahedra, as arrays or as any file that meshio reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from edgewise.pde.deadline import within
from edgewise.pde.domains import ENDS_OF_TIME, BoundaryPoints, Domain, unit_points
from edgewise.pde.operators import ProblemError

AXES = ("x", "y", "z")

AT_ONCE = 2_000_000
"""Pairs of a point and a facet whose distances are computed at once."""

SIMPLICES = {"triangle": 2, "tetra": 3}
"""Cells of meshio, with their dimension."""

FACETS = {2: "line", 3: "triangle"}

SECONDS, BYTES_PER_SECOND = 10.0, 100_000
"""Some readers of meshio 5.3 (PLY, ANSYS) wait for ever for the end of a file that is cut."""


class Mesh(Domain):
    """The inside of a mesh of triangles in x and y, or of tetrahedra in x, y and z.

    Points are drawn evenly over the cells, and over the facets of the boundary, which are those of one cell alone.

    Args:
        points: (n, 2) or (n, 3), in float64.
        cells: (m, 3) or (m, 4) numbers of points, in any order.
        parts: (k, 2) or (k, 3) numbers of points of facets, by the name of the part that they make; the facets of no
            part are "wall".

    Attributes:
        points: (n, d) points.
        cells: (m, d + 1) numbers of points.

    Raises:
        ProblemError: shapes that do not fit, points that are not finite, cells without volume or that name points that
            are not there, facets of a part that are not on the boundary.
    """

    def __init__(self, points: ArrayLike, cells: ArrayLike, parts: Mapping[str, ArrayLike] | None = None) -> None:
        self.points, self.cells = _checked(points, cells)
        dimension = self.points.shape[1]
        self.coordinates = AXES[:dimension]
        low, high = self.points[self.cells].flatten(0, 1).aminmax(dim=0)
        self.bounds = tuple(zip(low.tolist(), high.tolist(), strict=True))
        self._volumes = _volumes(self.points[self.cells])
        flat = ~((self._volumes > 0) & self._volumes.isfinite())  # of points too far apart it is infinite or NaN
        if flat.any():
            raise ProblemError(
                f"cell {int(flat.nonzero()[0])} of the mesh has no volume, or none that is a number; "
                "leave it out or mend the mesh"
            )
        self._facets, opposite = _boundary_facets(self.cells)
        self._normals, self._sizes = _normals(self.points[self._facets], self.points[opposite])
        self._labels = _labels(self._facets, parts or {})
        self.parts = tuple(dict.fromkeys(sorted(self._labels, key=lambda name: name == "wall")))

    def sample(self, n: int, generator: torch.Generator, method: str = "sobol") -> Float[Tensor, "n d"]:
        return _within(self.points[self.cells], self._volumes, n, generator, method)[0]

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        corners = self.points[self._facets]
        step = max(1, AT_ONCE // len(corners))
        away = torch.cat([_distances(part, corners).amin(1) for part in x.split(step)])
        turns = torch.cat([_turns(part, corners, self._normals) for part in x.split(step)])
        return torch.where(turns > 0.5, -away, away)

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        chosen = torch.tensor([label == part for label in self._labels])
        corners = self.points[self._facets[chosen]]
        points, facet = _within(corners, self._sizes[chosen], n, generator, "sobol")
        return BoundaryPoints(points, self._normals[chosen][facet])


def read_mesh(path: str | PathLike[str]) -> Mesh:
    """The domain of a file of meshio (Gmsh, VTK, Abaqus, XDMF, ...), with its named sets of facets as parts.

    A mesh of triangles whose third coordinate is constant is a domain in x and y.

    Raises:
        ImportError: without meshio; `pip install edgewise[mesh]`.
        ProblemError: the file has no triangles or tetrahedra, or cannot be read.
    """
    try:
        import meshio
    except ImportError as error:
        raise ImportError("reading a mesh needs meshio: pip install edgewise[mesh]") from error
    seconds = SECONDS + Path(path).stat().st_size / BYTES_PER_SECOND
    try:
        mesh = within(seconds, lambda: meshio.read(path))
    except SystemExit as error:  # how meshio ends where none of its readers can read a file
        raise ProblemError(f"{path} is no mesh of a format that meshio knows") from error
    except Exception as error:  # whatever its readers meet
        raise ProblemError(f"{path} is no mesh that meshio can read: {error or type(error).__name__}") from error
    cells = {kind: np.concatenate([b.data for b in mesh.cells if b.type == kind]) for kind in _kinds(mesh)}
    kind = "tetra" if "tetra" in cells else "triangle"
    if kind not in cells:
        raise ProblemError(f"{path} has no triangles and no tetrahedra, but {', '.join(cells) or 'no cells'}")
    points = np.asarray(mesh.points, np.float64)
    dimension = SIMPLICES[kind]
    if points.shape[1] > dimension and np.ptp(points[:, dimension:]) > 0:
        raise ProblemError(
            f"{path} is a surface of triangles in space; a domain needs tetrahedra, or a plane in x and y"
        )
    return Mesh(points[:, :dimension], cells[kind], _named_facets(mesh, FACETS[dimension]))


def _kinds(mesh: Any) -> list[str]:
    return list(dict.fromkeys(block.type for block in mesh.cells))


def _named_facets(mesh: Any, kind: str) -> dict[str, np.ndarray]:
    """The facets of every named set: those of cell sets, or of physical groups of Gmsh."""
    named: dict[str, list[np.ndarray]] = {}
    for name, chosen in mesh.cell_sets.items():
        for block, rows in zip(mesh.cells, chosen, strict=True):
            if block.type == kind and rows is not None and len(rows) and not name.startswith("gmsh:"):
                named.setdefault(name, []).append(block.data[np.asarray(rows)])
    groups = mesh.cell_data.get("gmsh:physical")
    dimension = 1 if kind == "line" else 2
    titles = {int(found[0]): name for name, found in mesh.field_data.items() if int(found[1]) == dimension}
    if not named and groups is not None:
        for block, tags in zip(mesh.cells, groups, strict=True):
            for tag in np.unique(tags) if block.type == kind else ():
                named.setdefault(titles.get(int(tag), f"part {tag}"), []).append(block.data[tags == tag])
    return {name: np.concatenate(parts) for name, parts in named.items()}


def _checked(points: ArrayLike, cells: ArrayLike) -> tuple[Tensor, Tensor]:
    try:
        p = torch.tensor(np.asarray(points, dtype=np.float64))
        given = np.asarray(cells)
        c = torch.tensor(given.astype(np.int64))
    except (TypeError, ValueError) as error:
        raise ProblemError(f"the points and cells of a mesh must be numbers, as many in every row: {error}") from error
    if p.ndim != 2 or p.shape[1] not in (2, 3) or c.ndim != 2 or c.shape[1] != p.shape[1] + 1 or not len(c):
        raise ProblemError(
            "a mesh needs points (n, 2) with triangles (m, 3), or points (n, 3) with tetrahedra (m, 4), "
            f"got the shapes {tuple(p.shape)} and {tuple(c.shape)}"
        )
    if not np.array_equal(given, c.numpy()) or c.min() < 0 or c.max() >= len(p):
        raise ProblemError(f"the cells must hold numbers of points, whole ones from 0 to {len(p) - 1}")
    if not torch.isfinite(p).all():
        raise ProblemError(f"point {int((~torch.isfinite(p)).any(1).nonzero()[0])} of the mesh is not finite")
    return p, c


def _volumes(corners: Float[Tensor, "m k d"]) -> Float[Tensor, " m"]:
    edges = corners[:, 1:] - corners[:, :1]
    return torch.linalg.det(edges).abs() / math.factorial(edges.shape[1])


def _boundary_facets(cells: Tensor) -> tuple[Tensor, Tensor]:
    """The facets that belong to one cell alone, and the corner of that cell which is opposite."""
    count = cells.shape[1]
    facets = torch.cat([cells[:, [k for k in range(count) if k != corner]] for corner in range(count)])
    opposite = torch.cat([cells[:, corner] for corner in range(count)])
    _, which, times = facets.sort(1).values.unique(dim=0, return_inverse=True, return_counts=True)
    once = times[which] == 1
    if not once.any():
        raise ProblemError("the mesh has no boundary: every facet belongs to two cells")
    return facets[once], opposite[once]


def _normals(corners: Float[Tensor, "f d d"], opposite: Float[Tensor, "f d"]) -> tuple[Tensor, Tensor]:
    """The outward unit normals of facets, and their lengths or areas."""
    edges = corners[:, 1:] - corners[:, :1]
    if edges.shape[1] == 1:
        across, sizes = torch.stack([edges[:, 0, 1], -edges[:, 0, 0]], -1), edges[:, 0].norm(dim=-1)
    else:
        across = torch.linalg.cross(edges[:, 0], edges[:, 1])
        sizes = across.norm(dim=-1) / 2
    inward = ((opposite - corners[:, 0]) * across).sum(-1) > 0
    across = torch.where(inward[:, None], -across, across)
    return torch.nn.functional.normalize(across, dim=-1), sizes


def _labels(facets: Tensor, parts: Mapping[str, ArrayLike]) -> list[str]:
    """The name of the part of every facet of the boundary."""
    rows = {tuple(sorted(facet)): n for n, facet in enumerate(facets.tolist())}
    labels = ["wall"] * len(rows)
    for name, given in parts.items():
        if not name or name in (*ENDS_OF_TIME, "boundary"):
            raise ProblemError(f"a part of the boundary cannot be called {name!r}; that name has a meaning of its own")
        for facet in np.asarray(given).reshape(-1, facets.shape[1]).tolist():
            row = rows.get(tuple(sorted(facet)))
            if row is None:
                raise ProblemError(f"the facet {facet} of the part {name!r} is not on the boundary of the mesh")
            labels[row] = name
    return labels


def _within(
    corners: Float[Tensor, "m k d"], sizes: Float[Tensor, " m"], n: int, generator: torch.Generator, method: str
) -> tuple[Float[Tensor, "n d"], Tensor]:
    """n points spread evenly over simplices, and the simplex of each."""
    count = corners.shape[1]
    drawn = unit_points(n, count, generator, method)
    ends = sizes.cumsum(0)
    chosen = torch.searchsorted(ends, drawn[:, 0] * ends[-1], right=True).clamp(max=len(sizes) - 1)
    # The gaps between sorted uniform numbers are evenly spread barycentric coordinates.
    cuts = torch.nn.functional.pad(drawn[:, 1:].sort(1).values, (1, 0))
    shares = torch.diff(torch.nn.functional.pad(cuts, (0, 1), value=1.0), dim=1)
    return (shares[..., None] * corners[chosen]).sum(1), chosen


def _distances(x: Float[Tensor, "n d"], corners: Float[Tensor, "f k d"]) -> Float[Tensor, "n f"]:
    """The distances of points from line segments or triangles."""
    count = corners.shape[1]
    sides = [_from_segment(x, corners[:, a], corners[:, b]) for a in range(count) for b in range(a)]
    away = torch.stack(sides).amin(0)
    if count == 2:
        return away
    a, u, v = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = torch.linalg.cross(u, v)
    area = across.square().sum(-1)
    to = x[:, None] - a
    first = (torch.linalg.cross(to, v.expand_as(to)) * across).sum(-1) / area
    second = (torch.linalg.cross(u.expand_as(to), to) * across).sum(-1) / area
    over = (first >= 0) & (second >= 0) & (first + second <= 1)
    return torch.where(over, (to * across).sum(-1).abs() / area.sqrt(), away)


def _from_segment(x: Tensor, start: Tensor, end: Tensor) -> Tensor:
    edge, to = end - start, x[:, None] - start
    along = ((to * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    return (to - along[..., None] * edge).norm(dim=-1)


def _turns(x: Float[Tensor, "n d"], corners: Float[Tensor, "f k d"], normals: Tensor) -> Float[Tensor, " n"]:
    """How often the boundary winds around points: 1 inside, 0 outside (Van Oosterom & Strackee 1983 in space)."""
    to = corners - x[:, None, None]
    facing = ((corners[:, 0] - x[:, None]) * normals).sum(-1).sign()
    if corners.shape[1] == 2:
        a, b = to.unbind(-2)
        angle = torch.atan2((a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).abs(), (a * b).sum(-1))
        return (facing * angle).sum(1) / (2 * math.pi)
    a, b, c = to.unbind(-2)
    la, lb, lc = (v.norm(dim=-1) for v in (a, b, c))
    above = (a * torch.linalg.cross(b, c)).sum(-1).abs()
    below = la * lb * lc + (a * b).sum(-1) * lc + (a * c).sum(-1) * lb + (b * c).sum(-1) * la
    return (facing * 2 * torch.atan2(above, below)).sum(1) / (4 * math.pi)
