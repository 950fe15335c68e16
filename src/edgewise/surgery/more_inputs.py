"""A network that reads one input more, without a change of its function."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.nn import KAN, Affine
from edgewise.nn.layers import blocks, owned, reassembled, replaced, require_plain


@torch.no_grad()
def add_input(model: KAN, values: Float[Tensor, " rows"], name: str) -> KAN:
    """The same function of one input more, which is read through curves that are zero; it is the last.

    Args:
        model: the network; where it has no names of inputs, they become x1, x2, ...
        values: what the input is on the data; the grids of its curves cover the range of these.
        name: of the input.
    """
    pairs = blocks(model)
    layer, products = pairs[0]
    require_plain("0", layer)
    low, high = _range(values, name)
    names = model.input_names or tuple(f"x{j + 1}" for j in range(model.in_features))
    if name in names:
        raise ValueError(f"there is an input {name!r} already; the inputs are {', '.join(names)}")
    affine, ends = model.input_affine, (low, high)
    if affine is not None:
        scale, shift = 2 / (high - low), -(high + low) / (high - low)
        grown = (torch.cat([old, old.new_tensor([v])]) for old, v in ((affine.scale, scale), (affine.shift, shift)))
        affine, ends = Affine(*grown), (-1.0, 1.0)
    grid = layer.basis.init_grid(1, *ends, dtype=layer.grid.dtype).to(layer.grid.device)
    if grid.shape[1:] != layer.grid.shape[1:]:
        raise ValueError(f"the grids of the first layer are not those of its basis {layer.basis}; `refine` it first")
    parts = {
        "coef": torch.cat([layer.coef, torch.zeros_like(layer.coef[:1])]),
        "grid": torch.cat([layer.grid, grid]),
        "mask": torch.cat([layer.mask, owned(layer).any(0)[None]]),
    }
    pairs[0] = (replaced(layer, **parts), products)
    return reassembled(model, pairs, input_affine=affine, input_names=[*names, name])


def _range(values: Tensor, name: str) -> tuple[float, float]:
    if not values.isfinite().all():
        bad = int((~values.isfinite()).nonzero()[0])
        raise ValueError(f"{name} is not finite in row {bad}; choose a formula that is defined on all rows")
    low, high = values.min().item(), values.max().item()
    if not low < high:
        raise ValueError(f"{name} is {low:g} in every row, so that nothing can depend on it")
    return low, high
