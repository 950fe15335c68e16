"""Inputs at which a written file is compared: in the span of the grids, on knots, at the ends, outside and far off."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgewise.bases import BSpline
from edgewise.exporting.subject import Subject
from edgewise.nn import KAN, KANLinear
from edgewise.nn.layers import find_layer

COUNT = 1_000
FAR = 10.0
"""How many widths of the span the far inputs are away."""


def check_inputs(subject: Subject, count: int = COUNT, seed: int = 0) -> tuple[Tensor, ...]:
    """`count` rows of inputs with the shapes and types of the example.

    Every number is drawn from one of five sets: the inside of the span (half of all), the points of the grid, the two
    ends, one width outside, `FAR` widths outside; in a tenth of the rows all are from the inside, where no curve jumps
    and none is far. Integers are drawn below the largest of the example.
    """
    generator = torch.Generator().manual_seed(seed)
    layer = None if subject.model is None else _first_layer(subject.model)
    inputs = []
    for x in subject.example:
        shape = (count, *x.shape[1:])
        if not x.is_floating_point():
            inputs.append(torch.randint(0, int(x.max()) + 1, shape, generator=generator).to(x.dtype))
        elif layer is not None and len(subject.example) == 1 and x.shape[-1] == len(layer):
            inputs.append(_drawn(shape, layer, generator))
        else:
            points = torch.linspace(-1, 1, 6, dtype=torch.float64) if layer is None else layer.reshape(1, -1)
            inputs.append(_drawn(shape, points.reshape(1, -1).sort(-1).values, generator))
    return tuple(inputs)


def _first_layer(model: nn.Module) -> Tensor | None:
    """The points of the grid of the first layer of curves, in the units of the inputs: (in, points)."""
    for module in model.modules():
        if isinstance(module, KAN):
            points = _points(find_layer(module, 0)[1])
            affine = module.input_affine
            if affine is None:
                return points
            scale, shift = affine.scale.detach().cpu().double(), affine.shift.detach().cpu().double()
            scale = torch.where(scale == 0, 1.0, scale)  # an input without a meaning may be anything
            return (points - shift[:, None]) / scale[:, None]
        if isinstance(module, KANLinear):
            return _points(module)
    return None


def _points(layer: KANLinear) -> Tensor:
    grid = layer.grid.detach().cpu().double()
    if isinstance(layer.basis, BSpline):
        return grid
    low, high = layer.basis.span(grid)
    return low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, 6, dtype=torch.float64)


def _drawn(shape: tuple[int, ...], points: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of this shape around these points, a row per feature or one row for all."""
    low, high = points.amin(-1), points.amax(-1)
    width = high - low
    unit = torch.rand(shape, generator=generator, dtype=torch.float64)
    side = torch.where(torch.rand(shape, generator=generator) < 0.5, 0.0, 1.0).double()
    which = torch.randint(0, points.shape[-1], shape, generator=generator)
    rows = torch.arange(len(points)) if len(points) > 1 else torch.zeros((), dtype=torch.long)
    ends, out = low + side * width, 2 * side - 1
    choices = [
        low + unit * width,
        points[rows.expand(shape), which],
        ends,
        ends + out * unit * width,
        ends + out * unit * width * FAR,
    ]
    kind = torch.tensor([0, 0, 0, 0, 1, 1, 2, 3, 4, 0])[torch.randint(0, 10, shape, generator=generator)]
    kind[: shape[0] // 10] = 0
    return torch.stack(choices).gather(0, kind[None])[0]
