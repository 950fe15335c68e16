"""Define where an equation holds: boxes, signed distances, and either of them along a further coordinate.

A domain has named coordinates, of which `t` is time, and named parts of its boundary: the faces "x-", "x+", "t-" of a
box, the "wall" of a region. "boundary" is all of them but those of time. `a | b`, `a & b` and `a - b` are unions,
intersections and differences; `domain.named("inlet")` gives the whole boundary of a domain another name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edgewise.pde.operators import TIME, ProblemError

if TYPE_CHECKING:
    from edgewise.pde.combined import Combined

ENDS_OF_TIME = (f"{TIME}-", f"{TIME}+")


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
    def contains(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Whether points lie inside or, up to rounding, on the boundary."""
        return self.distance(x) <= 1e-9 * max(high - low for low, high in self.bounds)

    def during(self, start: float, end: float) -> Domain:
        """The same space over another span of time.

        Raises:
            ProblemError: a domain without time, or of a kind that cannot be cut.
        """
        raise ProblemError(f"{self!r} has no time that could be cut; give `Slab(space, t=(start, end))`")

    def __or__(self, other: Domain) -> Combined:
        return _combined("union", self, other)

    def __and__(self, other: Domain) -> Combined:
        return _combined("intersection", self, other)

    def __sub__(self, other: Domain) -> Combined:
        return _combined("difference", self, other)

    @final
    def named(self, name: str) -> Domain:
        """The same domain whose boundary, but for the ends of time, is one part of that name."""
        return Renamed(self, name)

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
            spatial = [p for p in self.parts if p not in ENDS_OF_TIME]
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

    def during(self, start: float, end: float) -> Domain:
        if TIME not in self.coordinates:
            return super().during(start, end)
        return Box(**dict(zip(self.coordinates, self.bounds, strict=True)) | {TIME: (start, end)})

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

    With a coordinate `t` the region moves: `Region(lambda x, t: x - 1 - t / 2, x=(0, 2), t=(0, 1))` is cut by the box
    of its intervals at the ends of time alone, "t-" and "t+", and the normals of the wall point out of space.
    """

    def __init__(
        self,
        distance: Callable[..., Tensor],
        wall: Callable[[Tensor], BoundaryPoints] | None = None,
        **intervals: tuple[float, float],
    ) -> None:
        self.coordinates, self.bounds = tuple(intervals), _checked(intervals)
        self.parts = ("wall", *ENDS_OF_TIME) if TIME in self.coordinates else ("wall",)
        self._distance, self._wall = distance, wall
        self.sample(1, torch.Generator().manual_seed(0))

    def during(self, start: float, end: float) -> Domain:
        if TIME not in self.coordinates:
            return super().during(start, end)
        intervals = dict(zip(self.coordinates, self.bounds, strict=True)) | {TIME: (start, end)}
        return Region(self._distance, self._wall, **intervals)

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        value = self._distance(*x.unbind(-1))
        if TIME not in self.coordinates:
            return value
        t, (start, end) = x[:, self._time], self.bounds[self._time]
        return torch.maximum(value, torch.maximum(start - t, t - end))

    @property
    def _time(self) -> int:
        return self.coordinates.index(TIME)

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        if part in ENDS_OF_TIME:
            return self._end_of_time(part, n, generator)
        if self._wall is not None:
            return self._wall(unit_points(n, 1, generator, "sobol")[:, 0])
        # Points of a thin band, moved along the slope onto the zero set, lie evenly on it.
        low, high = self._corners()
        margin = 0.02 * (high - low)
        found, kept = [], 0
        for _ in range(200):
            x = low - margin + (high - low + 2 * margin) * unit_points(max(4 * n, 256), len(low), generator, "sobol")
            if TIME in self.coordinates:  # the slope is taken in space: points stay at their times
                x[:, self._time] = x[:, self._time].clamp(low[self._time], high[self._time])
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
        """The function and its slope in space."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self._distance(*x.unbind(-1))
            (slope,) = torch.autograd.grad(value.sum(), x)
        if TIME in self.coordinates:
            slope[:, self._time] = 0
        return value.detach(), slope

    def _end_of_time(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        """Points of the space that the region fills at its start or its end."""
        low, high = self._corners()
        end = (low if part == ENDS_OF_TIME[0] else high)[self._time]
        found, kept = [], 0
        for _ in range(100):
            x = low + (high - low) * unit_points(max(2 * n, 64), len(low), generator, "sobol")
            x[:, self._time] = end
            found.append(x[self._distance(*x.unbind(-1)) < 0])
            kept += len(found[-1])
            if kept >= n:
                break
        if not kept:
            raise ProblemError(f"{self!r} is empty at t = {end:g}: give a span of time in which it is not")
        points = torch.cat(found)[:n]
        normals = torch.zeros_like(points)
        normals[:, self._time] = -1 if part == ENDS_OF_TIME[0] else 1
        return BoundaryPoints(points, normals)


class Slab(Domain):
    """A domain along one more coordinate, with the further parts "t-" and "t+", or whatever it is called.

    `Slab(disk(), t=(0, 1))` is a disk over a span of time, `Slab(disk(), z=(0, 2))` a cylinder,
    `Slab(Slab(disk(), z=(0, 2)), t=(0, 1))` a cylinder over time.
    """

    def __init__(self, space: Domain, **interval: tuple[float, float]) -> None:
        if len(interval) != 1:
            raise ProblemError(f"a slab takes one interval, such as t=(0, 1), got {', '.join(interval) or 'none'}")
        (axis,) = interval
        if axis in space.coordinates or TIME in space.coordinates:
            taken = axis if axis in space.coordinates else TIME
            raise ProblemError(f"{space!r} has the coordinate {taken} already; give a domain without it")
        self.space, self.axis = space, axis
        self.coordinates, self.bounds = (*space.coordinates, axis), (*space.bounds, *_checked(interval))
        self.parts = (*space.parts, f"{axis}-", f"{axis}+")

    def during(self, start: float, end: float) -> Domain:
        return Slab(self.space, t=(start, end)) if self.axis == TIME else super().during(start, end)

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        start, end = self.bounds[-1]
        return torch.maximum(self.space.distance(x[:, :-1]), torch.maximum(start - x[:, -1], x[:, -1] - end))

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        start, end = self.bounds[-1]
        if part in (f"{self.axis}-", f"{self.axis}+"):
            inside, lower = self.space.sample(n, generator), part[-1] == "-"
            along = torch.full((len(inside), 1), start if lower else end, dtype=inside.dtype)
            normals = torch.zeros(len(inside), len(self.coordinates), dtype=inside.dtype)
            normals[:, -1] = -1 if lower else 1
            return BoundaryPoints(torch.cat([inside, along], -1), normals)
        space = self.space.boundary(part, n, generator)
        points = space.points.repeat(math.ceil(n / len(space.points)), 1)[:n]
        normals = space.normals.repeat(math.ceil(n / len(space.points)), 1)[:n]
        along = start + (end - start) * unit_points(n, 1, generator, "sobol")
        return BoundaryPoints(torch.cat([points, along], -1), torch.cat([normals, torch.zeros_like(along)], -1))


class Renamed(Domain):
    """A domain whose boundary is one part; see `Domain.named`."""

    def __init__(self, domain: Domain, name: str) -> None:
        if not name or name in (*ENDS_OF_TIME, "boundary"):
            raise ProblemError(f"a part of the boundary cannot be called {name!r}; that name has a meaning of its own")
        self.domain, self.name = domain, name
        self.coordinates, self.bounds = domain.coordinates, domain.bounds
        self.parts = (name, *(part for part in domain.parts if part in ENDS_OF_TIME))

    def during(self, start: float, end: float) -> Domain:
        return Renamed(self.domain.during(start, end), self.name)

    def sample(self, n: int, generator: torch.Generator, method: str = "sobol") -> Float[Tensor, "n d"]:
        return self.domain.sample(n, generator, method)

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.domain.distance(x)

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        return self.domain.boundary("boundary" if part == self.name else part, n, generator)


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


def _combined(kind: str, first: Domain, second: Domain) -> Combined:
    from edgewise.pde.combined import Combined

    if not isinstance(second, Domain):
        return NotImplemented
    return Combined(kind, first, second)
