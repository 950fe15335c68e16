r"""Apply a spline of several variables to jets: $y = \sum_{k} c_k \prod_j B_{k_j}(u_j)$ with jets $u_j$."""

from __future__ import annotations

import functools

import torch

from edgewise.jets.curve_rules import Tape, record
from edgewise.jets.jet import Jet
from edgewise.nn.surface import Surface


def surface(module: Surface, u: Jet, tape: Tape | None) -> Jet:
    """The jet of outputs; a tape records the sparse rows of the coefficients, made dense."""
    shape = u.value.shape[:-1]
    flat = u.map(u.coef.reshape(u.algebra.size, -1, module.variables))
    factors, parts = [], []
    for j in range(module.variables):
        columns, derivatives = module.curves(j, flat.value[:, j], u.algebra.order)
        factors.append(flat[..., j, None].compose(derivatives))
        parts.append(columns)
    index = module.columns(parts)
    W = functools.reduce(_outer, factors).coef
    y = torch.einsum("abl,bli->abi", W, module.coef.flatten(0, -2)[index])
    if tape is not None and module.coef.requires_grad:
        size, local = module.coef[..., 0].numel(), W.detach()

        def rows(G: torch.Tensor) -> torch.Tensor:
            slope = torch.einsum("abl,abi->bli", local, G)
            dense = slope.new_zeros(len(slope), size, slope.shape[-1])
            return dense.scatter_add_(1, index[..., None].expand_as(slope), slope).flatten(1)

        record(tape, (module.coef,), y, rows)
    return u.map(y.reshape(u.algebra.size, *shape, module.outputs))


def _outer(a: Jet, b: Jet) -> Jet:
    product = a[..., :, None] * b[..., None, :]
    return product.map(product.coef.flatten(-2))
