"""Moves curves to another grid or basis and keeps their values."""

from __future__ import annotations

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edgewise import functional
from edgewise.bases import Basis
from edgewise.nn import KANLinear, SlimKANLinear
from edgewise.nn.layers import kan_layers, replaced, require_plain, with_layers
from edgewise.tracing import trace

M = TypeVar("M", bound=nn.Module)
KEPT = 1e-2  # a change of the outputs below which far inputs may stay in the grid
FAR = 5.0  # ranges of the middle half of the values beyond which one is far from the others
MEASURED = 4096  # samples at which the change is measured


def refine(model: M, intervals: int) -> M:
    """The same curves at a finer resolution: `basis.resized(intervals)` in every layer.

    Grid points are added evenly between the old ones. Where `intervals` is a multiple of the old number the new
    splines contain the old ones and the function does not change, inside and outside the grid; otherwise it is the
    least-squares fit. No data are needed.

    >>> import torch, edgewise as ew
    >>> model = ew.KAN([2, 5, 1], ew.BSpline(5, 3), dtype=torch.float64)
    >>> x = torch.rand(100, 2, dtype=torch.float64)
    >>> torch.allclose(ew.refine(model, 20)(x), model(x), atol=1e-12)
    True
    """
    return with_layers(
        model,
        {name: _moved(name, layer, layer.basis.resized(intervals)) for name, layer in kan_layers(model).items()},
    )


def change_basis(model: M, basis: Basis) -> M:
    """The same curves in another basis over the same intervals, fitted by least squares.

    Exact where the new basis contains the old one. Splines of a higher degree do not, except on a single interval: they
    are smoother at the grid points.
    """
    return with_layers(model, {name: _moved(name, layer, basis) for name, layer in kan_layers(model).items()})


@torch.no_grad()
def adapt_grid_(
    model: nn.Module, x: Float[Tensor, "*b features"], *, adaptive: float = 0.0, margin: float = 0.0
) -> dict[str, float]:
    """Fit the grid of every layer to its inputs for x, and the coefficients to the old curves.

    Every Parameter stays the same object of the same shape. The grid of a constant feature does not change. Few
    intervals over a wider range may not hold the old curves. Where a few inputs far from the others are the reason,
    the grid leaves these out: there curves extrapolate.

    Args:
        model: any module with KAN layers, or one layer.
        x: samples for the model's input.
        adaptive: 0 = evenly spaced over the range of the samples, 1 = at their quantiles.
        margin: widen the range by this share of it on both sides.

    Returns:
        For every layer the root mean square change of its outputs at inputs that are not far from the others, as a
        share of the spread of these outputs: 0 where the function is kept.
    """
    seen = trace(model, x)
    for name, part in seen.items():
        require_plain(name, part.layer)
        if len(part.inputs) == 0:
            raise ValueError(f"layer {name!r} has no samples; a grid needs some")
        if isinstance(part.layer, SlimKANLinear):
            raise ValueError(
                f"layer {name!r} is slim: its factors belong to its grid; `expand` the model, then adapt the grid"
            )
        if not torch.isfinite(part.inputs).all():
            raise ValueError(f"layer {name!r}: its inputs are not all finite; no grid was changed")
    changes = {}
    for name, part in seen.items():
        layer, inner = part.layer, _inner(part.inputs)
        grid, coef, changes[name] = _adapted(layer, part.inputs, inner, adaptive, margin)
        if changes[name] > KEPT and not bool(inner.all()):
            near = torch.where(inner, part.inputs, part.inputs.median(0).values)
            other = _adapted(layer, near, inner, adaptive, margin)
            if other[2] < 0.7 * changes[name]:
                grid, coef, changes[name] = other
        layer.coef.copy_(coef)
        layer.grid.copy_(grid)
    return changes


def _adapted(
    layer: KANLinear, inputs: Tensor, inner: Tensor, adaptive: float, margin: float
) -> tuple[Tensor, Tensor, float]:
    """The grid over these inputs, the coefficients there, and the relative change of the outputs at inner rows."""
    grid = _fitted(layer, inputs, adaptive, margin)
    coef = _refitted(layer, layer.basis, grid, layer.curves())
    x = inputs[inner.all(-1)][:MEASURED]
    old, new = (
        functional.edge_sum(x, c.to(x.dtype), g.to(x.dtype), layer.basis, layer.residual).double()
        for c, g in ((layer.curves(), layer.grid), (coef, grid))
    )
    spread = old.var(0, correction=0).sum()
    change = (new - old).square().mean(0).sum()
    return grid, coef, float((change / spread).sqrt()) if len(x) and spread > 0 else 0.0


def _inner(x: Float[Tensor, "samples in"]) -> Tensor:
    """Where values lie within some ranges of the middle half of their feature; everywhere if half of them are equal."""
    ordered = x.sort(0).values
    low, high = ordered[len(x) // 4], ordered[(3 * len(x)) // 4]
    reach = torch.where(high > low, FAR * (high - low), torch.inf)
    return (x >= low - reach) & (x <= high + reach)


def _fitted(layer: KANLinear, inputs: Tensor, adaptive: float, margin: float) -> Float[Tensor, "in points"]:
    """The grid over these samples; inputs that share a grid are samples of one feature."""
    n = layer.inputs_per_grid
    samples = inputs.double().unflatten(-1, (-1, n)).transpose(1, 2).flatten(0, 1)
    grid = layer.basis.fit_grid(samples, layer.grid[::n].double(), adaptive=adaptive, margin=margin)
    return grid.repeat_interleave(n, 0).to(layer.grid)


def _moved(name: str, layer: KANLinear, basis: Basis) -> KANLinear:
    grid = _carried_grid(layer, basis)
    own = torch.where(layer.mask[:, None], layer.coef, 0)  # without what an adapter adds
    parts = {"basis": basis, "grid": grid, "coef": _refitted(layer, basis, grid, own)}
    if layer.adapter is None:
        return replaced(layer, **parts)
    ins, size, _ = layer.coef.shape
    unit = torch.eye(size, dtype=torch.float64, device=grid.device).expand(ins, -1, -1)
    try:
        adapter = layer.adapter.moved(_refitted(layer, basis, grid, unit))
    except ValueError as error:
        raise ValueError(
            f"layer {name!r} has an adapter, which cannot follow it to another grid: {error}; "
            "`edgewise.adapters.merge(model)` takes it into the coefficients"
        ) from error
    return replaced(layer, **parts, adapter=adapter)


@torch.no_grad()
def _refitted(layer: KANLinear, basis: Basis, grid: Tensor, coef: Tensor) -> Float[Tensor, "in size out"]:
    """The coefficients of the same curves on another basis and grid; the weight of the residual stays."""
    size = layer.basis.size
    curves = functional.refine_coefficients(coef[:, :size], layer.grid, layer.basis, grid, basis)
    return torch.cat([curves, coef[:, size:]], dim=1)


def _carried_grid(layer: KANLinear, basis: Basis) -> Float[Tensor, "in points"]:
    """A grid for another basis over the same intervals.

    Within a family the points follow the old ones, so that an adapted grid stays adapted: $t$ becomes a piecewise
    linear function of its index, evaluated at evenly spaced indices.
    """
    old = layer.grid.double()
    points = basis.init_grid(1, dtype=torch.float64).shape[1]
    if type(basis) is not type(layer.basis) or min(points, old.shape[1]) < 2:
        low, high = layer.basis.span(old)
        rows = [basis.init_grid(1, a, b, dtype=torch.float64) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        return torch.cat(rows).to(layer.grid)
    if points == old.shape[1]:
        return layer.grid
    place = torch.arange(points, device=old.device, dtype=old.dtype) * (old.shape[1] - 1) / (points - 1)
    left = place.long().clamp(max=old.shape[1] - 2)
    return torch.lerp(old[:, left], old[:, left + 1], place - left).to(layer.grid)
