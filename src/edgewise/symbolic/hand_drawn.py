r"""Curves as a hand draws them: through points where it draws, or pulled through one point.

A drawn curve is the monotone cubic through its points (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 1980), which never
swings beyond them, between the first and the last, and what it was elsewhere; its coefficients are the least squares
ones. A pulled curve has the coefficients c + d of the least $|d|$ with $\sum_k (c_k + d_k) B_k(x) = y$.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from edgewise import functional
from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import EdgeLike, blocks, find_edge, replaced, require_plain, with_layers

SAMPLES = 20
"""Points of the least squares per coefficient."""


def drawn(model: KAN, edge: EdgeLike, points: Sequence[tuple[float, float]]) -> KAN:
    """The network with a curve that follows points, an argument and a value each.

    Args:
        model: the network.
        edge: a curve.
        points: at least two, at different arguments, in any order; in the units of the inputs and outputs where the
            edge is at one, as pictures show it.
    """
    name, layer = _curve(model, edge)
    known = {float(x): float(y) for x, y in sorted(points)}
    if len(known) < 2 or not all(map(math.isfinite, (*known, *known.values()))):
        raise ValueError("a curve is drawn through finite points at two different arguments or more")
    _, j, i = edge
    scale, shift, unit = _units(model, layer, j, i)
    known = {scale * x + shift: y / unit for x, y in known.items()}
    t, values = _samples(layer, j, i, list(known))
    inside = (t >= min(known)) & (t <= max(known))
    through = torch.from_numpy(PchipInterpolator(list(known), list(known.values()))(t[inside].numpy()))
    values[inside] = through
    fitted = functional.fit_curves(t[:, None], values[:, None, None], layer.grid[j : j + 1].double(), layer.basis)
    coef = layer.coef.detach().clone()
    coef[j, :, i] = 0
    coef[j, : layer.basis.size, i] = fitted[0, :, 0].to(coef)
    return with_layers(model, {name: replaced(layer, coef=coef)})


def pulled(model: KAN, edge: EdgeLike, x: float, y: float) -> KAN:
    """The network with a curve that goes through a point, changed as little as its coefficients can be."""
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"a curve is pulled through a finite point, not ({x}, {y})")
    name, layer = _curve(model, edge)
    _, j, i = edge
    scale, shift, unit = _units(model, layer, j, i)
    inner = scale * x + shift
    at = torch.full((1, layer.in_features), inner, dtype=layer.coef.dtype, device=layer.coef.device)
    with torch.no_grad():
        before = layer.edge_values(at)[0, j, i]
        b = layer.basis.evaluate(at[:, j : j + 1], layer.grid[j : j + 1])[0, 0]
    if not b.square().sum() > 0:
        low, high = layer.grid[j, 0].item(), layer.grid[j, -1].item()
        raise ValueError(f"the curve lives on its grid, from {low:.4g} to {high:.4g}; {inner:.4g} is beyond it")
    coef = layer.coef.detach().clone()
    coef[j, : layer.basis.size, i] += (y / unit - before) * b / b.square().sum()
    return with_layers(model, {name: replaced(layer, coef=coef)})


def _curve(model: KAN, edge: EdgeLike) -> tuple[str, KANLinear]:
    name, layer = find_edge(model, edge)
    require_plain(name, layer)
    _, j, i = edge
    if not layer.mask[j, i]:
        raise ValueError(f"layer {name!r}: edge (in={j}, out={i}) is not a curve; `release` it first")
    return name, layer


def _units(model: KAN, layer: KANLinear, j: int, i: int) -> tuple[float, float, float]:
    """Scale and shift from the user's argument to the layer's, and the factor from the layer's value to the user's."""
    pairs, before, after = blocks(model), model.input_affine, model.output_affine
    scale, shift, unit = 1.0, 0.0, 1.0
    if before is not None and layer is pairs[0][0]:
        scale, shift = float(before.scale[j]), float(before.shift[j])
    if after is not None and layer is pairs[-1][0] and i < pairs[-1][1].sums:
        unit = float(after.scale[i])
    return scale, shift, unit


@torch.no_grad()
def _samples(layer: KANLinear, j: int, i: int, more: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Arguments over the grid and those of the points, and the curve at them, in float64."""
    ends = layer.grid[j].double()
    t = torch.linspace(ends[0].item(), ends[-1].item(), SAMPLES * layer.basis.size + 1, dtype=torch.float64)
    extra = torch.tensor(more, dtype=torch.float64)
    t = torch.cat([t, extra[(extra >= ends[0].cpu()) & (extra <= ends[-1].cpu())]]).sort().values
    inputs = t[:, None].expand(-1, layer.in_features).to(layer.coef)
    return t, layer.edge_values(inputs)[:, j, i].double().cpu()
