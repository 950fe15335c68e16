"""Domains that are known at points alone: measured or exported clouds of points."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from os import PathLike

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from edgewise.pde.domains import ENDS_OF_TIME, BoundaryPoints, Domain
from edgewise.pde.meshes import AXES
from edgewise.pde.operators import ProblemError

NEIGHBOURS = 6
"""Points of the boundary, and inside, that a normal is estimated from."""

AT_ONCE = 2_000_000


class PointCloud(Domain):
    """Points inside a domain, and points of the parts of its boundary: nothing is drawn between them.

    A point is inside where the nearest point of the boundary has it on its inner side, which is as exact as the cloud
    is dense. Without `normals` they are estimated, across the plane of the nearest points of the boundary and away
    from the nearest points inside.

    Args:
        inside: (n, d) points in one to three coordinates, x, y and z.
        boundary: (k, d) points of every part of the boundary, by name; or of one part, "wall".
        normals: outward normals at the points of the boundary, in the same form; of any length.

    Raises:
        ProblemError: shapes that do not fit, points that are not finite, normals of length 0, no points.
    """

    def __init__(
        self,
        inside: ArrayLike,
        boundary: Mapping[str, ArrayLike] | ArrayLike,
        normals: Mapping[str, ArrayLike] | ArrayLike | None = None,
    ) -> None:
        self._inside = _numbers(inside, "points inside")
        dimension = self._inside.shape[1]
        if dimension > len(AXES):
            raise ProblemError(f"a cloud has one to three coordinates, got points {tuple(self._inside.shape)}")
        walls = {name: _numbers(p, f"points of {name!r}", dimension) for name, p in _named(boundary).items()}
        if not walls or any(not name or name in (*ENDS_OF_TIME, "boundary") for name in walls):
            raise ProblemError(f"the parts of the boundary cannot be called {', '.join(map(repr, walls)) or 'nothing'}")
        self.coordinates, self.parts = AXES[:dimension], tuple(walls)
        self._sizes = [len(points) for points in walls.values()]
        self._wall = torch.cat(list(walls.values()))
        everything = torch.cat([self._inside, self._wall])
        self.bounds = tuple(zip(everything.amin(0).tolist(), everything.amax(0).tolist(), strict=True))
        self._normals = self._given(_named(normals)) if normals is not None else self._estimated()

    def sample(self, n: int, generator: torch.Generator, method: str = "sobol") -> Float[Tensor, "n d"]:
        """A choice of n of the points inside, or all of them where there are fewer."""
        return self._inside[torch.randperm(len(self._inside), generator=generator)[:n]]

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        away, nearest = self._nearest(x, self._wall)
        outward = ((x - self._wall[nearest]) * self._normals[nearest]).sum(-1)
        return torch.where(outward < 0, -away, away)

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        which = self.parts.index(part)
        size, start = self._sizes[which], sum(self._sizes[:which])
        rows = start + torch.randperm(size, generator=generator)[:n]
        return BoundaryPoints(self._wall[rows], self._normals[rows])

    def _nearest(self, x: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        found = [torch.cdist(part, points).min(1) for part in x.split(max(1, AT_ONCE // len(points)))]
        return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])

    def _given(self, normals: Mapping[str, ArrayLike]) -> Tensor:
        if tuple(normals) != self.parts:
            raise ProblemError(f"normals are given for {', '.join(normals)}, the boundary has {', '.join(self.parts)}")
        given = [_numbers(n, f"normals of {name!r}", len(self.coordinates)) for name, n in normals.items()]
        for name, n, size in zip(self.parts, given, self._sizes, strict=True):
            if len(n) != size or not (n.norm(dim=-1) > 0).all():
                raise ProblemError(f"{name!r} has {size} points and {len(n)} normals; each needs one of length above 0")
        return torch.nn.functional.normalize(torch.cat(given), dim=-1)

    def _estimated(self) -> Tensor:
        count = min(NEIGHBOURS, len(self._wall))
        near = torch.cdist(self._wall, self._wall).topk(count, largest=False).indices
        around = self._wall[near] - self._wall[near].mean(1, keepdim=True)
        # Across the plane through the neighbours, the direction in which they vary least.
        normals = torch.linalg.svd(around, full_matrices=True).Vh[:, -1]
        few = min(NEIGHBOURS, len(self._inside))
        parts = self._wall.split(max(1, AT_ONCE // len(self._inside)))
        near = torch.cat([torch.cdist(part, self._inside).topk(few, largest=False).indices for part in parts])
        inward = self._inside[near].mean(1) - self._wall
        return torch.where(((inward * normals).sum(-1) > 0)[:, None], -normals, normals)


def read_cloud(path: str | PathLike[str]) -> PointCloud:
    """The cloud of a CSV file with the columns x, y, z (as many as there are), part, and nx, ny, nz if known.

    `part` is empty or "inside" for points inside, and the name of a part of the boundary for the others.

    Raises:
        ProblemError: a column is missing, or a cell is no number; the message names the line.
    """
    try:
        return _read(path)
    except (UnicodeError, csv.Error) as error:
        raise ProblemError(f"{path} is no CSV file of UTF-8 text: {error}") from error


def _read(path: str | PathLike[str]) -> PointCloud:
    with open(path, newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file, skipinitialspace=True)
        header = [name.strip() for name in table.fieldnames or ()]
        axes = [axis for axis in AXES if axis in header]
        if "part" not in header or not axes or axes != list(AXES[: len(axes)]):
            raise ProblemError(f"{path} needs the columns x, y, z (or the first of them) and part, it has {header}")
        table.fieldnames = header
        with_normals = all(f"n{axis}" in header for axis in axes)
        rows: dict[str, list[list[float]]] = {}
        normals: dict[str, list[list[float]]] = {}
        for row in table:
            part = (row["part"] or "").strip()
            part = "" if part == "inside" else part
            rows.setdefault(part, []).append(_cells(path, table.line_num, row, axes))
            if part and with_normals:
                normals.setdefault(part, []).append(_cells(path, table.line_num, row, [f"n{a}" for a in axes]))
    if "" not in rows or len(rows) < 2:
        raise ProblemError(f"{path} needs points inside (no part) and points with the name of a part of the boundary")
    return PointCloud(rows.pop(""), rows, normals or None)


def _cells(path: str | PathLike[str], line: int, row: Mapping[str, str | None], names: list[str]) -> list[float]:
    try:
        return [float(row[name] or "") for name in names]
    except ValueError as error:
        raise ProblemError(f"{path}, line {line}: {', '.join(names)} must be numbers ({error})") from error


def _named(given: Mapping[str, ArrayLike] | ArrayLike) -> dict[str, ArrayLike]:
    return dict(given) if isinstance(given, Mapping) else {"wall": given}


def _numbers(given: ArrayLike, what: str, dimension: int | None = None) -> Tensor:
    try:
        points = torch.tensor(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ProblemError(f"the {what} of a cloud must be numbers, as many in every row: {error}") from error
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or not len(points) or (dimension is not None and points.shape[1] != dimension):
        wanted = f"(n, {dimension})" if dimension else "(n, coordinates)"
        raise ProblemError(f"the {what} of a cloud must have the shape {wanted}, got {tuple(points.shape)}")
    if not torch.isfinite(points).all():
        raise ProblemError(
            f"the {what} of a cloud must be finite; row {int((~torch.isfinite(points)).any(1).nonzero()[0])}"
        )
    return points
