"""Finer grids for a whole model."""

from __future__ import annotations

import copy

import torch
from torch import nn

from edgewise.functional import refine_coefficients
from edgewise.nn import KANLinear


@torch.no_grad()
def refined(model: nn.Module, intervals: int) -> nn.Module:
    """A copy whose KAN layers carry the same curves on `intervals` grid intervals over the same span."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, KANLinear):
                setattr(parent, name, _refined(layer, intervals))
    return model


def _refined(layer: KANLinear, intervals: int) -> KANLinear:
    old, size = layer.basis, layer.basis.size
    basis = old.resized(intervals)
    low, high = old.span(layer.grid)
    unit = basis.init_grid(layer.in_features, 0.0, 1.0, dtype=layer.grid.dtype).to(layer.grid)
    grid = low[:, None] + (high - low)[:, None] * unit
    coef = refine_coefficients(layer.coef[:, :size], layer.grid, old, grid, basis)
    return KANLinear.assemble(
        basis,
        layer.residual,
        coef=torch.cat([coef, layer.coef[:, size:]], dim=1),
        grid=grid,
        mask=layer.mask,
        bias=layer.bias,
        symbolic=layer.symbolic,
    )
