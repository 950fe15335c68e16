"""Unions, intersections and differences of domains, with the parts of the boundary that are left of each."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.pde.domains import ENDS_OF_TIME, BoundaryPoints, Domain
from edgewise.pde.operators import ProblemError

STEP = 1e-6
"""How far on both sides of a point is looked whether it is on the boundary, in widths of the domain."""

TRIES = 200
"""Draws of points of a part, most of which may have vanished."""

FIRST_TRIES = 64
"""Draws of 16 points after which nothing is left of a part."""


class Combined(Domain):
    """`a | b`, `a & b` or `a - b`: the union, the intersection or the difference of two domains.

    Its boundary is what is left of both boundaries; parts of the same name are one part, with equally many points from
    each of the two, and a part of which nothing is left is none. A box that is cut out lends its faces under their own
    names, so that its "y-" faces up: `box - other.named("step")` says it better.
    """

    def __init__(self, kind: str, first: Domain, second: Domain) -> None:
        if first.coordinates != second.coordinates:
            raise ProblemError(
                f"the {kind} of domains in {', '.join(first.coordinates)} and in {', '.join(second.coordinates)}; "
                "give both the same coordinates in the same order"
            )
        self.kind, self.first, self.second = kind, first, second
        self.coordinates = first.coordinates
        self.bounds = self._bounds()
        generator = torch.Generator().manual_seed(0)
        self.sample(1, generator)
        self._owners: dict[str, list[Domain]] = {}
        for domain in (first, second):
            for part in domain.parts:
                if len(self._left_of(domain, part, 1, generator, FIRST_TRIES).points):
                    self._owners.setdefault(part, []).append(domain)
        self.parts = tuple(self._owners)

    def distance(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        a, b = self.first.distance(x), self.second.distance(x)
        if self.kind == "union":
            return torch.minimum(a, b)
        return torch.maximum(a, b if self.kind == "intersection" else -b)

    def during(self, start: float, end: float) -> Domain:
        return Combined(self.kind, self.first.during(start, end), self.second.during(start, end))

    def _bounds(self) -> tuple[tuple[float, float], ...]:
        pairs = zip(self.coordinates, self.first.bounds, self.second.bounds, strict=True)
        if self.kind == "difference":
            return self.first.bounds
        if self.kind == "union":
            return tuple((min(a[0], b[0]), max(a[1], b[1])) for _, a, b in pairs)
        common = tuple((max(a[0], b[0]), min(a[1], b[1])) for _, a, b in pairs)
        if any(not low < high for low, high in common):
            raise ProblemError(f"the intersection of {self.first!r} and {self.second!r} has no interior")
        return common

    def _boundary(self, part: str, n: int, generator: torch.Generator) -> BoundaryPoints:
        owners = self._owners[part]
        halves = [self._left_of(domain, part, math.ceil(n / len(owners)), generator, TRIES) for domain in owners]
        return BoundaryPoints(*(torch.cat(column)[:n] for column in zip(*halves, strict=True)))

    def _left_of(self, domain: Domain, part: str, n: int, generator: torch.Generator, tries: int) -> BoundaryPoints:
        sign = -1.0 if self.kind == "difference" and domain is self.second and part not in ENDS_OF_TIME else 1.0
        found, kept = [], 0
        for _ in range(tries):
            points, normals = domain.boundary(part, max(n, 16), generator)
            on = self._is_boundary(points, sign * normals)
            found.append(BoundaryPoints(points[on], sign * normals[on]))
            kept += int(on.sum())
            if kept >= n:
                break
        return BoundaryPoints(*(torch.cat(column)[:n] for column in zip(*found, strict=True)))

    def _is_boundary(self, points: Tensor, normals: Tensor) -> Tensor:
        """Whether the inside is on the inner side of the points, and not on the outer one."""
        h = STEP * max(high - low for low, high in self.bounds)
        return (self.distance(points - h * normals) < 0) & (self.distance(points + h * normals) >= 0)

    def __repr__(self) -> str:
        sign = {"union": "|", "intersection": "&", "difference": "-"}[self.kind]
        return f"({self.first!r} {sign} {self.second!r})"
