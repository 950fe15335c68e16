"""The native sweep of a small KAN: value, gradient and sums of second derivatives in one call."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgewise.jets.algebra import Algebra
from edgewise.jets.jet import Jet
from edgewise.kernels import CurveLayer, EdgeSpec, find
from edgewise.nn import KAN, KANLinear


def native_jet(model: nn.Module, x: Tensor, algebra: Algebra) -> Jet | None:
    """Value, gradient and sums of unmixed second derivatives of a small KAN by the native sweep, or None."""
    squares = [(a, c) for a, b, c in algebra.products if a == b]
    if not isinstance(model, KAN) or algebra.order > 2 or len(squares) < len(algebra.products) or x.ndim != 2:
        return None
    layers = [layer for layer in model.layers if isinstance(layer, KANLinear)]
    if len(layers) < len(model.layers) or any(len(m.symbolic) > 0 for m in layers):
        return None
    network = [CurveLayer(m.curves(), m.bias, m.grid, EdgeSpec(m.basis, m.residual)) for m in layers]
    first = algebra.first(2)
    kernel = find("jets", network, x, max(1, algebra.size - first))
    if kernel is None:
        return None
    weights = x.new_zeros(algebra.size - first, x.shape[1])
    for a, c in squares:
        weights[c - first, algebra.seeds.index(a)] = 0.5
    directions = torch.eye(x.shape[1], dtype=x.dtype)
    if model.input_affine is not None:
        x, directions = model.input_affine(x), directions * model.input_affine.scale
    value, slopes, sums = kernel.jet(network, x, directions, weights if len(weights) else x.new_zeros(1, x.shape[1]))
    u = Jet(torch.cat([value[None], slopes, sums[: len(weights)]]), algebra)
    return u if model.output_affine is None else u * model.output_affine.scale + model.output_affine.shift
