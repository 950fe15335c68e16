r"""Import networks of inkan and flashkan: cubic splines on evenly spaced knots, the same for every input.

Both keep `grid_starts`, where the support of every function begins; it ends four spacings on. inkan packs the
coefficients and the weights of the residual function in one tensor `weight` of shape (out, in size + in), flashkan has
`spline_weight` (out, in, size) and `base_weight` (out, in). Outside the grid their curves fade to zero over three more
spacings, and the residual function continues.

The curve of flashkan 0.2 is converted from its coefficients. Its own float32 values lose digits to cancellation: with
50 intervals errors of some 0.02 for curves of size one, with 200 of the size of the curve. In float64 both agree.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from edgewise.io.peers.peer_layers import PeerLayer, as_network, peer_layers, spline_layer
from edgewise.nn import KAN, KANLinear


def from_inkan(source: Any, *, residual: str = "silu") -> KAN:
    """The network of inkan as a KAN that computes the same.

    Args:
        source: a `KANNetwork` or a `KANLayer` of inkan, its state dict, or the path of a file of it, written by
            `torch.save` or safetensors. Nothing in a file is executed.
        residual: the base activation, "silu" or "identity", of a state dict or a file, which do not name it. A module
            does.

    Raises:
        ValueError: naming what has no counterpart: a layer of surfaces (`dim=2`) or another base activation.
    """
    layers = peer_layers(source, "inkan", ("grid_starts", "weight"))
    return as_network([_packed(layer, residual) for layer in layers])


def from_flashkan(source: Any, *, residual: str = "silu") -> KAN:
    """The network of flashkan as a KAN that computes the curves of its coefficients.

    These are the curves of the real B-splines, which flashkan itself reaches in float64 and not in float32.

    Args:
        source: a `KANNetwork` or a `KANLayer` of flashkan, its state dict, or the path of a file of it, written by
            `torch.save` or safetensors. Nothing in a file is executed.
        residual: the base activation, "silu" or "identity", of a state dict or a file, which do not name it. A module
            does.

    Raises:
        ValueError: naming what has no counterpart, such as another base activation.
    """
    layers = peer_layers(source, "flashkan", ("grid_starts", "spline_weight", "base_weight"))
    return as_network([_separate(layer, residual) for layer in layers])


def _packed(old: PeerLayer, residual: str) -> KANLinear:
    size, weight = len(old.expect("grid_starts", -1)), old.expect("weight", -1, -1)
    outputs, columns = weight.shape
    inputs, left = divmod(columns, size + 1)
    if columns == size**2 + 2:
        raise ValueError(f"{old.place}weight holds a surface of two inputs (dim=2); an edge has one input here")
    if left or not inputs:
        raise ValueError(f"{old.place}weight has {columns} columns, no multiple of {size + 1} = functions + 1")
    coef = weight[:, : inputs * size].reshape(outputs, inputs, size)
    return _cubic(old, coef, weight[:, inputs * size :], residual)


def _separate(old: PeerLayer, residual: str) -> KANLinear:
    outputs, inputs = old.expect("base_weight", -1, -1).shape
    size = len(old.expect("grid_starts", -1))
    return _cubic(old, old.expect("spline_weight", outputs, inputs, size), old["base_weight"], residual)


def _cubic(old: PeerLayer, coef: Tensor, weights: Tensor, residual: str) -> KANLinear:
    starts, size = old["grid_starts"].double(), coef.shape[-1]
    if size < 2:
        raise ValueError(f"{old.place}grid_starts has {size} entries; the distance of the knots needs two")
    # Rounded places in float32 still give the spacing to their precision; each of the libraries uses the exact one.
    spacing = (starts[-1] - starts[0]) / (size - 1) if old.module is None else 1 / float(old.module.inv_h)  # type: ignore[arg-type]
    knots = (starts[0] + spacing * torch.arange(size + 4, dtype=torch.float64)).to(coef.dtype)
    name = old.residual("base_activation", residual)
    return spline_layer(
        old.place,
        knots.expand(coef.shape[1], -1),
        torch.movedim(coef, 0, 2),
        residual=name,
        weights=weights.T,
    )
