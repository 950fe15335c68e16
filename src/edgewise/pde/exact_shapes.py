"""Shapes with exact boundaries: disks, balls, rings and polygons with holes and named edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.pde.domains import BoundaryPoints, Domain, Region, Slab, unit_points
from edgewise.pde.operators import ProblemError

Vertices = Sequence[Sequence[float]]


def disk(center: tuple[float, float] = (0.0, 0.0), radius: float = 1.0) -> Region:
    """A disk in x and y."""
    (a, b), r = center, _positive(radius, "disk")

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return torch.hypot(x - a, y - b) - r

    def wall(s: Tensor) -> BoundaryPoints:
        angle = 2 * math.pi * s
        normals = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        return BoundaryPoints(normals * r + torch.tensor([a, b], dtype=torch.float64), normals)

    return Region(distance, wall, x=(a - r, a + r), y=(b - r, b + r))


def ball(center: tuple[float, float, float] = (0.0, 0.0, 0.0), radius: float = 1.0) -> Region:
    """A ball in x, y and z."""
    (a, b, c), r = center, _positive(radius, "ball")

    def distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return torch.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - r

    return Region(distance, x=(a - r, a + r), y=(b - r, b + r), z=(c - r, c + r))


def annulus(center: tuple[float, float] = (0.0, 0.0), inner: float = 0.5, outer: float = 1.0) -> Domain:
    """The ring between two circles, whose boundary has the parts "inner" and "outer"."""
    if not 0 < inner < outer:
        raise ProblemError(f"a ring needs 0 < inner < outer, got the radii {inner} and {outer}")
    return disk(center, outer).named("outer") - disk(center, inner).named("inner")


def cylinder(
    center: tuple[float, float] = (0.0, 0.0), radius: float = 1.0, z: tuple[float, float] = (0.0, 1.0)
) -> Domain:
    """A cylinder along z, whose boundary has the parts "wall", "z-" and "z+"."""
    return Slab(disk(center, radius), z=z)


def polygon(vertices: Vertices, *, names: Sequence[str] = (), holes: Sequence[Vertices] = ()) -> Domain:
    """The inside of a simple polygon in x and y, convex or not.

    Args:
        vertices: the corners in order.
        names: of the edges, that from the first corner to the second first; edges may share a name. Without names the
            boundary is one part, "wall".
        holes: polygons inside that are left out; their boundary is the part "hole", or "hole1", "hole2", ... of
            several.

    Raises:
        ProblemError: fewer than three corners, no area, or not one name for every edge.
    """
    whole: Domain = Polygon(vertices, names)
    for n, hole in enumerate(holes, 1):
        whole = whole - Polygon(hole).named("hole" if len(holes) == 1 else f"hole{n}")
    return whole


class Polygon(Domain):
    """The inside of a simple polygon; see `polygon`."""

    def __init__(self, vertices: Vertices, names: Sequence[str] = ()) -> None:
        if len(vertices) < 3:
            raise ProblemError(f"a polygon has at least 3 vertices, got {len(vertices)}")
        if names and len(names) != len(vertices):
            raise ProblemError(f"a polygon with {len(vertices)} edges needs as many names, got {len(names)}")
        self._corners_in_order = torch.tensor(vertices, dtype=torch.float64)
        self._following = self._corners_in_order.roll(-1, 0)
        self._edges = self._following - self._corners_in_order
        self._lengths = self._edges.norm(dim=-1)
        x, y, next_x, next_y = (*self._corners_in_order.T, *self._following.T)
        area = (x * next_y - next_x * y).sum() / 2
        if not area.abs() > 0:
            raise ProblemError(f"the polygon {list(vertices)} has no interior: its area is 0")
        along = torch.stack([self._edges[:, 1], -self._edges[:, 0]], -1)
        self._outward = along / self._lengths[:, None] * area.sign()
        self._names = tuple(names) or ("wall",) * len(vertices)
        low, high = self._corners_in_order.amin(0).tolist(), self._corners_in_order.amax(0).tolist()
        self.coordinates = ("x", "y")
        self.bounds = ((low[0], high[0]), (low[1], high[1]))
        self.parts = tuple(dict.fromkeys(self._names))

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        corners, following, edges = self._corners_in_order, self._following, self._edges
        p = x[..., None, :]
        to = p - corners
        along = ((to * edges).sum(-1) / self._lengths**2).clamp(0, 1)
        nearest = (to - along[..., None] * edges).square().sum(-1).amin(-1)
        # A ray to the right crosses the boundary an odd number of times from inside.
        level = p[..., 1]
        crosses = (corners[:, 1] > level) != (following[:, 1] > level)
        rise = torch.where(crosses, edges[:, 1], torch.ones_like(edges[:, 1]))
        at = corners[:, 0] + (level - corners[:, 1]) * edges[:, 0] / rise
        inside = (crosses & (p[..., 0] < at)).sum(-1) % 2 == 1
        return torch.where(inside, -1.0, 1.0) * torch.sqrt(nearest)

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        chosen = torch.tensor([name == part for name in self._names]).nonzero()[:, 0]
        ends = self._lengths[chosen].cumsum(0)
        at = unit_points(n, 1, generator, "sobol")[:, 0] * ends[-1]
        place = torch.searchsorted(ends, at, right=True).clamp(max=len(chosen) - 1)
        edge = chosen[place]
        share = (at - ends[place] + self._lengths[edge]) / self._lengths[edge]
        points = self._corners_in_order[edge] + share[:, None] * self._edges[edge]
        return BoundaryPoints(points, self._outward[edge])


def _positive(radius: float, what: str) -> float:
    if not 0 < radius < math.inf:
        raise ProblemError(f"a {what} needs a radius above 0, got {radius}")
    return radius
