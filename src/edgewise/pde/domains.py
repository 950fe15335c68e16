"""Define where an equation holds: boxes, signed distances, and either of them over a span of time.

A domain has named coordinates, of which `t` is time, and named parts of its boundary: the faces "x-", "x+", "t-" of a
box, the "wall" of a region. "boundary" is all of them but those of time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.pde.operators import TIME, ProblemError


class BoundaryPoints(NamedTuple):
    """Points on a boundary and the outward unit normals there, (n, d) each; at the ends of time it is (0, .., ±1)."""

    points: Tensor
    normals: Tensor


class Domain(ABC):
    """A set of points with named coordinates.

    Attributes:
        coordinates: the names of the coordinates, in the order of the columns of points.
        bounds: (low, high) of every coordinate.
        parts: the names of the parts of the boundary.
    """

    coordinates: tuple[str, ...]
    bounds: tuple[tuple[float, float], ...]
    parts: tuple[str, ...]

    @abstractmethod
    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Negative inside, positive outside, zero on the boundary."""

    @abstractmethod
    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        """n points of one part."""

    @final
    def sample(self, n: int, generator: torch.Generator, method: str = "sobol") -> Float[Tensor, "n d"]:
        """n points inside; `method` is "sobol" (evenly spread) or "uniform" (independent)."""
        low, high = self._corners()
        found, kept = [], 0
        for _ in range(100):
            x = low + (high - low) * unit_points(max(n, 64), len(low), generator, method)
            x = x[self.distance(x) < 0]
            found.append(x)
            kept += len(x)
            if kept >= n:
                return torch.cat(found)[:n]
        raise ProblemError(f"{self!r} has no interior: {kept} of {100 * max(n, 64)} points in its bounds lie inside")

    @final
    def boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        """n points of one part of the boundary; for "boundary", of all parts but those of time."""
        if part == "boundary":
            spatial = [p for p in self.parts if not p.startswith(TIME)]
            shares = [self._boundary(p, math.ceil(n / len(spatial)), generator) for p in spatial]
            return BoundaryPoints(*(torch.cat(column) for column in zip(*shares, strict=True)))
        if part not in self.parts:
            raise ProblemError(f"the domain has no part {part!r}; it has {', '.join(self.parts)}, and 'boundary'")
        return self._boundary(part, n, generator)

    def _corners(self) -> tuple[Tensor, Tensor]:
        low, high = torch.tensor(self.bounds, dtype=torch.float64).T
        return low, high

    def __repr__(self) -> str:
        ranges = ", ".join(f"{c}={b}" for c, b in zip(self.coordinates, self.bounds, strict=True))
        return f"{type(self).__name__}({ranges})"


class Box(Domain):
    """A product of intervals: `Box(x=(-1, 1), t=(0, 2))`."""

    def __init__(self, **intervals: tuple[float, float]) -> None:
        self.coordinates, self.bounds = tuple(intervals), _checked(intervals)
        self.parts = tuple(c + side for c in intervals for side in "-+")

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        low, high = self._corners()
        return torch.maximum(low - x, x - high).amax(-1)

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        axis, upper = self.coordinates.index(part[:-1]), part[-1] == "+"
        low, high = self._corners()
        d = len(low)
        points = low + (high - low) * unit_points(n if d > 1 else 1, d, generator, "sobol")
        points[:, axis] = high[axis] if upper else low[axis]
        normals = torch.zeros_like(points)
        normals[:, axis] = 1 if upper else -1
        return BoundaryPoints(points, normals)


class Region(Domain):
    """The points where a signed distance is negative: `Region(lambda x, y: x**2 + y**2 - 1, x=(-1, 1), y=(-1, 1))`.

    `distance` may be any function of the coordinates that is negative inside and has a slope on the boundary, which is
    one part, "wall"; the intervals must enclose the region. If the boundary is known, `wall` maps values in [0, 1] to
    points on it and the normals there.
    """

    def __init__(
        self,
        distance: Callable[..., Tensor],
        wall: Callable[[Tensor], BoundaryPoints] | None = None,
        **intervals: tuple[float, float],
    ) -> None:
        self.coordinates, self.bounds = tuple(intervals), _checked(intervals)
        self.parts = ("wall",)
        self._distance, self._wall = distance, wall
        self.sample(1, torch.Generator().manual_seed(0))

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self._distance(*x.unbind(-1))

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        if self._wall is not None:
            return self._wall(unit_points(n, 1, generator, "sobol")[:, 0])
        # Points of a thin band, moved along the slope onto the zero set, lie evenly on it.
        low, high = self._corners()
        margin = 0.02 * (high - low)
        found, kept = [], 0
        for _ in range(200):
            x = low - margin + (high - low + 2 * margin) * unit_points(max(4 * n, 256), len(low), generator, "sobol")
            value, slope = self._slope(x)
            near = value.abs() < 0.02 * (high - low).amax() * slope.norm(dim=-1)
            x = x[near]
            for _ in range(20):
                value, slope = self._slope(x)
                x = x - value[:, None] * slope / slope.square().sum(-1, keepdim=True).clamp(min=1e-300)
            value, slope = self._slope(x)
            on = value.abs() <= 1e-9 * (high - low).amax() * slope.norm(dim=-1)
            found.append(BoundaryPoints(x[on], torch.nn.functional.normalize(slope[on], dim=-1)))
            kept += int(on.sum())
            if kept >= n:
                return BoundaryPoints(*(torch.cat(column)[:n] for column in zip(*found, strict=True)))
        raise ProblemError(f"{self!r}: its boundary was not found; the distance must have a slope where it is zero")

    def _slope(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.distance(x)
            return value.detach(), torch.autograd.grad(value.sum(), x)[0]


class Slab(Domain):
    """A domain of space over a span of time: `Slab(disk(), t=(0, 1))`, with the further parts "t-" and "t+"."""

    def __init__(self, space: Domain, t: tuple[float, float]) -> None:
        if TIME in space.coordinates:
            raise ProblemError(f"{space!r} has a time already; give a domain of space")
        self.space = space
        self.coordinates, self.bounds = (*space.coordinates, TIME), (*space.bounds, *_checked({TIME: t}))
        self.parts = (*space.parts, "t-", "t+")

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        start, end = self.bounds[-1]
        return torch.maximum(self.space.distance(x[:, :-1]), torch.maximum(start - x[:, -1], x[:, -1] - end))

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        start, end = self.bounds[-1]
        if part in ("t-", "t+"):
            inside = self.space.sample(n, generator)
            time = torch.full((n, 1), start if part == "t-" else end, dtype=inside.dtype)
            normals = torch.zeros(n, len(self.coordinates), dtype=inside.dtype)
            normals[:, -1] = -1 if part == "t-" else 1
            return BoundaryPoints(torch.cat([inside, time], -1), normals)
        space = self.space.boundary(part, n, generator)
        points = space.points.repeat(math.ceil(n / len(space.points)), 1)[:n]
        normals = space.normals.repeat(math.ceil(n / len(space.points)), 1)[:n]
        time = start + (end - start) * unit_points(n, 1, generator, "sobol")
        return BoundaryPoints(torch.cat([points, time], -1), torch.cat([normals, torch.zeros_like(time)], -1))


def disk(center: tuple[float, float] = (0.0, 0.0), radius: float = 1.0) -> Region:
    """A disk in x and y."""
    (a, b), r = center, radius
    if not r > 0:
        raise ProblemError(f"a disk needs a radius above 0, got {radius}")

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return torch.hypot(x - a, y - b) - r

    def wall(s: Tensor) -> BoundaryPoints:
        angle = 2 * math.pi * s
        normals = torch.stack([torch.cos(angle), torch.sin(angle)], -1)
        return BoundaryPoints(normals * r + torch.tensor([a, b], dtype=torch.float64), normals)

    return Region(distance, wall, x=(a - r, a + r), y=(b - r, b + r))


def polygon(vertices: Sequence[tuple[float, float]]) -> Region:
    """The inside of a simple polygon in x and y, convex or not."""
    if len(vertices) < 3:
        raise ProblemError(f"a polygon has at least 3 vertices, got {len(vertices)}")
    corners = torch.tensor(vertices, dtype=torch.float64)
    following = corners.roll(-1, 0)
    cross = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
    if not cross.sum().abs() > 0:
        raise ProblemError(f"the polygon {list(vertices)} has no interior: its area is 0")

    def distance(x: Tensor, y: Tensor) -> Tensor:
        p = torch.stack([x, y], -1)[..., None, :]
        to = p - corners
        along = ((to * edges).sum(-1) / lengths**2).clamp(0, 1)
        nearest = (to - along[..., None] * edges).square().sum(-1).amin(-1)
        # A ray to the right crosses the boundary an odd number of times from inside.
        level = p[..., 1]
        crosses = (corners[:, 1] > level) != (following[:, 1] > level)
        rise = torch.where(crosses, edges[:, 1], torch.ones_like(edges[:, 1]))
        at = corners[:, 0] + (level - corners[:, 1]) * edges[:, 0] / rise
        inside = (crosses & (p[..., 0] < at)).sum(-1) % 2 == 1
        return torch.where(inside, -1.0, 1.0) * torch.sqrt(nearest)

    edges = following - corners
    lengths = edges.norm(dim=-1)
    outward = torch.stack([edges[:, 1], -edges[:, 0]], -1) / lengths[:, None] * cross.sum().sign()

    def wall(s: Tensor) -> BoundaryPoints:
        ends = lengths.cumsum(0)
        at = s * ends[-1]
        edge = torch.searchsorted(ends, at, right=True).clamp(max=len(lengths) - 1)
        share = (at - ends[edge] + lengths[edge]) / lengths[edge]
        return BoundaryPoints(corners[edge] + share[:, None] * edges[edge], outward[edge])

    low, high = corners.amin(0).tolist(), corners.amax(0).tolist()
    return Region(distance, wall, x=(low[0], high[0]), y=(low[1], high[1]))


def unit_points(n: int, d: int, generator: torch.Generator, method: str) -> Float[Tensor, "n d"]:
    """n points of the unit cube."""
    if method == "uniform":
        return torch.rand(n, d, dtype=torch.float64, generator=generator)
    if method != "sobol":
        raise ProblemError(f"unknown sampling {method!r}; choose 'sobol' or 'uniform'")
    seed = int(torch.randint(2**31, (), generator=generator))
    engine = torch.quasirandom.SobolEngine(d, scramble=True, seed=seed)
    return engine.draw(n, dtype=torch.float64)


def _checked(intervals: dict[str, tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    if not intervals:
        raise ProblemError("a domain needs at least one coordinate, such as Box(x=(0, 1))")
    for name, (low, high) in intervals.items():
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ProblemError(f"the domain has no interior: {name} runs from {low} to {high}; give finite low < high")
    return tuple((float(low), float(high)) for low, high in intervals.values())
