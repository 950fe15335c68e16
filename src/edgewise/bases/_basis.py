"""The abstract basis: a family of univariate functions, described by settings alone.

A basis holds no tensors. What it needs at run time (knots, centres, a range) is the *grid*, one row per input feature,
which the layer owns as a buffer.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

_REGISTRY: dict[str, type[Basis]] = {}


@dataclasses.dataclass(frozen=True)
class Basis(ABC):
    r"""A family of univariate functions $B_0, \dots, B_{K-1}$ with $K$ = `size`.

    Subclasses are frozen dataclasses with a class attribute `name`, which registers them: settings are the fields, so
    equality, hashing and JSON come for free. A duplicate name raises `ValueError` where the class is defined.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        name = cls.__dict__.get("name")
        if name is None:
            return
        known = _REGISTRY.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"basis name {name!r} is taken by {known.__module__}.{known.__qualname__}; choose another")
        _REGISTRY[name] = cls

    @property
    @abstractmethod
    def size(self) -> int:
        """The number K of functions."""

    @abstractmethod
    def init_grid(
        self, features: int, low: float = -1.0, high: float = 1.0, *, dtype: torch.dtype | None = None
    ) -> Float[Tensor, "features points"]:
        """The grid that covers [low, high] evenly, one row per input feature."""

    @abstractmethod
    def evaluate(self, x: Float[Tensor, "*b features"], grid: Float[Tensor, "features points"]) -> Tensor:
        r"""The values $B_k(x)$: shape (*b, features, size)."""

    def derivative(self, x: Float[Tensor, "*b features"], grid: Float[Tensor, "features points"], order: int) -> Tensor:
        r"""The derivatives $B_k^{(\nu)}(x)$: shape (*b, features, size). By default nested forward-mode autodiff."""
        if order == 0:
            return self.evaluate(x, grid)
        one = torch.ones_like(x)
        return torch.func.jvp(lambda t: self.derivative(t, grid, order - 1), (x,), (one,))[1]

    def fit_grid(
        self, x: Float[Tensor, "samples features"], grid: Float[Tensor, "features points"], **options: Any
    ) -> Float[Tensor, "features points"]:
        """A grid for the distribution of the samples x; by default the given one."""
        return grid

    def span(self, grid: Float[Tensor, "features points"]) -> tuple[Tensor, Tensor]:
        """The interval (low, high) of every feature that the grid covers, each of shape (features,)."""
        return grid.amin(-1), grid.amax(-1)

    def sample_points(self, grid: Float[Tensor, "features points"]) -> Float[Tensor, "samples features"]:
        """Points inside the span, enough to determine every coefficient; a refit evaluates the old curve there."""
        low, high = self.span(grid)
        n = 4 * self.size + 1
        theta = (torch.arange(n, dtype=grid.dtype, device=grid.device) + 0.5) * (torch.pi / n)
        t = (1 - torch.cos(theta)) / 2
        return low + (high - low) * t[:, None]

    def resized(self, n: int) -> Basis:
        """The same family at resolution n (intervals, centres or degree), for `refine`."""
        raise NotImplementedError(f"basis {self.name!r} has one resolution and cannot be refined; choose another basis")

    def to_json(self) -> dict[str, Any]:
        """The settings as a JSON object, read back by `basis_from_json`."""
        return {"name": self.name, **dataclasses.asdict(self)}


def basis_from_json(settings: Mapping[str, Any]) -> Basis:
    """The basis that `Basis.to_json` described."""
    fields = dict(settings)
    name = fields.pop("name", None)
    if name not in _REGISTRY:
        raise ValueError(f"unknown basis {name!r}; registered are {', '.join(sorted(_REGISTRY))}")
    try:
        return _REGISTRY[name](**fields)
    except TypeError as error:
        raise ValueError(f"basis {name!r} does not take the settings {fields}: {error}") from error


def registered_bases() -> dict[str, type[Basis]]:
    """Every registered basis class by name."""
    return dict(_REGISTRY)


def uniform_points(features: int, points: int, low: float, high: float, dtype: torch.dtype | None) -> Tensor:
    """`points` evenly spaced values from low to high, repeated for every feature."""
    if not low < high:
        raise ValueError(f"the grid range [{low}, {high}] is empty; give low < high")
    dtype = dtype or torch.get_default_dtype()
    return torch.linspace(low, high, points, dtype=torch.float64).to(dtype).repeat(features, 1)


def sample_range(x: Tensor, grid: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The range of the samples per feature, widened by `margin` of it; the old range where a feature is constant."""
    low, high = x.amin(0), x.amax(0)
    flat = ~(high > low)
    low = torch.where(flat, grid.amin(-1), low)
    high = torch.where(flat, grid.amax(-1), high)
    extra = margin * (high - low)
    return low - extra, high + extra
