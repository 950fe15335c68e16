"""The abstract basis: a family of univariate functions, described by settings alone.

A basis holds no tensors. What it needs at run time (knots, centres, a range) is the *grid*, one row per input feature,
which the layer stores as a buffer.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise._arguments import told

_HALF = (torch.bfloat16, torch.float16)
_REGISTRY: dict[str, type[Basis]] = {}


@dataclasses.dataclass(frozen=True)
class Basis(ABC):
    r"""A family of univariate functions $B_0, \dots, B_{K-1}$ with $K$ = `size`.

    Subclasses are frozen dataclasses with a class attribute `name`, which registers them: settings are the fields, so
    equality, hashing and JSON come for free. A duplicate name raises `ValueError` where the class is defined. A
    subclass says what its `size`, `points` and `_derivative` are; `edgewise.testing.check_basis` says whether it is
    sound.
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

    @property
    def points(self) -> int:
        """The length of a row of the grid; 2, the ends of the range, by default."""
        return 2

    def init_grid(
        self, features: int, low: float = -1.0, high: float = 1.0, *, dtype: torch.dtype | None = None
    ) -> Float[Tensor, "features points"]:
        """The grid that covers [low, high], one row per input feature: evenly spaced points by default."""
        if not low < high:
            raise ValueError(f"the grid range [{low}, {high}] is empty; give low < high")
        dtype = dtype or torch.get_default_dtype()
        return torch.linspace(low, high, self.points, dtype=torch.float64).to(dtype).repeat(features, 1)

    @final
    def evaluate(self, x: Float[Tensor, "*b features"], grid: Float[Tensor, "features points"]) -> Tensor:
        r"""The values $B_k(x)$: shape (*b, features, size)."""
        return self.derivative(x, grid, 0)

    @final
    def derivative(self, x: Float[Tensor, "*b features"], grid: Float[Tensor, "features points"], order: int) -> Tensor:
        r"""The derivatives $B_k^{(\nu)}(x)$, values at order 0: shape (*b, features, size), in the dtype of x."""
        if order < 0:
            raise ValueError(f"{type(self).__name__}: the order of a derivative must be at least 0, got {order}")
        if x.dtype in _HALF:  # eight bits of mantissa do not survive the recursions
            return self._derivative(x.float(), grid.float(), order).to(x.dtype)
        return self._derivative(x, grid, order)

    @abstractmethod
    def _derivative(self, x: Tensor, grid: Tensor, order: int) -> Tensor:
        """`derivative` of an x of 32 bits or more; use `nested_derivative` where no closed form is known."""

    def evaluate_maps(
        self, x: Float[Tensor, "batch features *size"], grid: Float[Tensor, "features points"]
    ) -> list[Tensor]:
        r"""The values $B_k(x)$ one by one, each of the shape of x, for convolutions.

        The same values as `evaluate`. A family overrides it where whole maps are faster than a last axis of K.
        """
        return list(self.evaluate(x.movedim(1, -1), grid).movedim(-2, 1).unbind(-1))

    def fit_grid(
        self,
        x: Float[Tensor, "samples features"],
        grid: Float[Tensor, "features points"],
        *,
        adaptive: float = 0.0,
        margin: float = 0.0,
        **options: Any,
    ) -> Float[Tensor, "features points"]:
        """Points over the range of the samples: even (`adaptive=0`), at quantiles (1), or a blend.

        `margin` widens the range by this share of it on both sides. The grid of a constant feature stays.
        """
        return spread_points(x, grid, adaptive, margin)

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
    if not isinstance(settings, Mapping):
        raise ValueError(f"the settings of a basis are a JSON object, not a {type(settings).__name__}")
    fields = dict(settings)
    name = fields.pop("name", None)
    if not isinstance(name, str) or name not in _REGISTRY:
        raise ValueError(f"unknown basis {name!r}; registered are {', '.join(sorted(_REGISTRY))}")
    try:
        return _REGISTRY[name](**fields)
    except TypeError as error:
        raise ValueError(f"basis {name!r} does not take the settings {fields}: {error}") from error


def registered_bases() -> dict[str, type[Basis]]:
    """Every registered basis class by name."""
    return dict(_REGISTRY)


def check_counts(basis: Basis, least: int, *names: str, why: str = "") -> None:
    """Raise for the first of these settings that is no whole number, or is below the least."""
    for name in names:
        value = getattr(basis, name)
        if not hasattr(value, "__index__"):
            raise TypeError(f"{type(basis).__name__}: {name} must be a whole number, got {told(value)}")
        if value < least:
            raise ValueError(f"{type(basis).__name__}: {name} must be at least {least}{why}, got {value}")


def as_maps(points: Float[Tensor, "features points"], x: Float[Tensor, "batch features *size"]) -> list[Tensor]:
    """The columns of a grid, each of a shape that broadcasts with the maps x."""
    return list(points.to(x.dtype).view(*points.shape, *[1] * (x.ndim - 2)).unbind(1))


def sample_range(x: Tensor, grid: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The range of the samples per feature, widened by `margin` of it; the old range where a feature is constant."""
    if x.shape[0] == 0:
        raise ValueError("there are no samples to fit the grid to; give at least one, better some hundreds")
    low, high = x.amin(0), x.amax(0)
    flat = ~(high > low)
    extra = margin * (high - low)
    return torch.where(flat, grid.amin(-1), low - extra), torch.where(flat, grid.amax(-1), high + extra)


def spread_points(x: Tensor, grid: Tensor, adaptive: float, margin: float) -> Tensor:
    """As many increasing points as the grid has over the range of the samples: see `Basis.fit_grid`."""
    if not 0 <= adaptive <= 1:
        raise ValueError(f"adaptive must be 0 (even) to 1 (quantiles), got {adaptive}")
    x = x.to(grid.dtype)
    low, high = sample_range(x, grid, margin)
    t = torch.linspace(0, 1, grid.shape[1], dtype=grid.dtype, device=grid.device)
    even = low[:, None] + (high - low)[:, None] * t
    points = even if adaptive == 0 else _blend(even, _quantiles(x, t).T, adaptive)
    points = torch.cat([low[:, None], points[:, 1:-1], high[:, None]], dim=-1)
    flat = ~(x.amax(0) > x.amin(0))
    return torch.where(flat[:, None], grid, points)


def point_spacing(grid: Tensor) -> Tensor:
    """The mean distance of every grid point to its neighbours: shape (features, points)."""
    gap = grid.diff(dim=-1)
    return (torch.cat([gap[:, :1], gap], dim=-1) + torch.cat([gap, gap[:, -1:]], dim=-1)) / 2


def continued_points(grid: Tensor, count: int) -> Tensor:
    """The grid with `count` more points at either end, at the spacing of the end interval."""
    steps = torch.arange(1, count + 1, device=grid.device, dtype=grid.dtype)
    before = grid[:, :1] - steps.flip(0) * (grid[:, 1:2] - grid[:, :1])
    after = grid[:, -1:] + steps * (grid[:, -1:] - grid[:, -2:-1])
    return torch.cat([before, grid, after], dim=-1)


def to_unit(x: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """The affine map of x that takes the range of each feature to [-1, 1], and its slope."""
    low, high = grid[:, 0], grid[:, -1]
    slope = 2 / (high - low)
    return (x - low) * slope - 1, slope


def linear_outside(derivative: Callable[[Tensor, int], Tensor], x: Tensor, inside: Tensor, order: int) -> Tensor:
    """`derivative(x, order)` where x is `inside`, the straight line that continues value and slope elsewhere.

    `inside` is `x.clamp(low, high)`, with the whole slope at the ends: minimum and maximum have half of it. It is taken
    once, because the optimiser of onnxscript 0.7.2 makes an invalid graph of two clamps of one tensor.
    """
    at = inside + nan_of(x)
    value = derivative(at, order)
    if order == 0:
        return value + (x - at)[..., None] * derivative(at, 1)
    return value if order == 1 else zero_outside(value, x, inside)


def zero_outside(values: Tensor, x: Tensor, inside: Tensor) -> Tensor:
    """The values where x is `inside`, its clamp to the grid; zero elsewhere."""
    return torch.where((x != inside)[..., None], nan_of(x)[..., None], values)


def nan_of(x: Tensor) -> Tensor:
    """Zero, but NaN where x is not finite: a constant piece must not hide a bad input."""
    return (x - x).detach()


def nested_derivative(f: Callable[[Tensor], Tensor], x: Tensor, order: int) -> Tensor:
    r"""$f^{(\nu)}(x)$ of a function that acts on every element of x, by nested forward-mode autodiff."""
    if order == 0:
        return f(x)
    one = torch.ones_like(x)
    return torch.func.jvp(lambda t: nested_derivative(f, t, order - 1), (x,), (one,))[1]


def _blend(even: Tensor, quantiles: Tensor, adaptive: float) -> Tensor:
    """Between even points and quantiles, over the range of the even points."""
    low, high = even[:, :1], even[:, -1:]
    quantiles = torch.cat([low, quantiles[:, 1:-1], high], dim=-1)
    gap = torch.lerp(even, quantiles, adaptive).diff(dim=-1)
    # Ties between quantiles would give empty intervals; a hundredth of the even spacing keeps them apart.
    steps = torch.maximum(gap, 0.01 * even.diff(dim=-1)).cumsum(-1)
    return torch.cat([low, low + (high - low) * steps / steps[:, -1:]], dim=-1)


def _quantiles(x: Tensor, t: Tensor) -> Tensor:
    """`torch.quantile(x, t, dim=0)`, which refuses more than 2^24 elements."""
    ordered = x.sort(dim=0).values
    place = t * (x.shape[0] - 1)
    below = place.floor().long()
    above = (below + 1).clamp(max=x.shape[0] - 1)
    return torch.lerp(ordered[below], ordered[above], (place - below)[:, None])
