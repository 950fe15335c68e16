r"""Import networks of fast-kan (Li): Gaussian bumps of one width on evenly spaced centres.

A layer is $\sum_{jk} c_{ijk}\,e^{-((n_j(x) - g_k)/h)^2} + \sum_j w_{ij}\,b(x_j) + b_i$. With the layer norm n, which
`FastKAN` has in every layer, an edge is no function of one input of the layer: such a layer becomes a
`NormedKANLinear`, and the network a `torch.nn.Sequential`, not a KAN.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from edgewise.bases import Gaussian
from edgewise.io.peers.peer_layers import PeerLayer, as_network, check_widths, peer_layers, plain_layer
from edgewise.nn import KAN, KANLinear, NormedKANLinear

_NORM, _BASE = {"layernorm.weight", "layernorm.bias"}, {"base_linear.weight", "base_linear.bias"}


def from_fastkan(source: Any, *, residual: str = "silu") -> KAN | nn.Sequential:
    """The network of fast-kan as one that computes the same: a KAN, or with layer norms a `torch.nn.Sequential`.

    Args:
        source: a `FastKAN` or a `FastKANLayer`, its state dict, or the path of a file of it, written by `torch.save` or
            safetensors. Nothing in a file is executed.
        residual: the base activation, "silu" or "identity", of a state dict or a file, which do not name it. A module
            does.

    Raises:
        ValueError: naming what has no counterpart, such as uneven centres or another base activation.
    """
    layers = peer_layers(source, "fast-kan", ("rbf.grid", "spline_linear.weight"), _NORM | _BASE)
    built = [_layer(layer, residual) for layer in layers]
    curves = [layer for layer in built if isinstance(layer, KANLinear)]
    if len(curves) == len(built):
        return as_network(curves)
    check_widths(built)
    return nn.Sequential(*built)


def _layer(old: PeerLayer, residual: str) -> KANLinear | NormedKANLinear:
    basis, centers = _bumps(old)
    outputs, columns = old.expect("spline_linear.weight", -1, -1).shape
    inputs, left = divmod(columns, basis.centers)
    if left:
        raise ValueError(f"{old.place}spline_linear.weight has {columns} columns for {basis.centers} centres")
    coef = old["spline_linear.weight"].reshape(outputs, inputs, basis.centers).movedim(0, 2)
    grid = centers.repeat(inputs, 1)
    weights = bias = name = None
    if _BASE & set(old.tensors):
        weights, bias = old.expect("base_linear.weight", outputs, inputs), old.expect("base_linear.bias", outputs)
        name = old.residual("base_activation", residual)
    if not _NORM & set(old.tensors):
        parts = [coef] if weights is None else [coef, weights.T[:, None]]
        return plain_layer(basis, name, torch.cat(parts, 1), grid, bias)
    norm = nn.LayerNorm(inputs, eps=_eps(old), dtype=coef.dtype)
    norm.load_state_dict({part: old.expect(f"layernorm.{part}", inputs) for part in ("weight", "bias")})
    return NormedKANLinear(norm, plain_layer(basis, None, coef, grid, None), weights, bias, name)


def _bumps(old: PeerLayer) -> tuple[Gaussian, torch.Tensor]:
    """The basis and its centres. The width is in no state; fast-kan's layers use the distance of the centres."""
    centers = old.expect("rbf.grid", -1)
    if len(centers) < 2:
        raise ValueError(f"{old.place}rbf.grid has {len(centers)} centres; at least 2 are needed")
    gaps = centers.double().diff()
    spacing = float(gaps.mean())
    if not spacing > 0 or float((gaps - spacing).abs().max()) > 1e-5 * float(centers.abs().max()) + 1e-12:
        raise ValueError(f"{old.place}rbf.grid is not evenly spaced; bumps of one width need that here")
    width = 1.0 if old.module is None else float(old.module.rbf.denominator) / spacing  # type: ignore[union-attr,arg-type]
    return Gaussian(len(centers), width), centers


def _eps(old: PeerLayer) -> float:
    """torch's own where tensors alone were given: fast-kan never sets another."""
    return 1e-5 if old.module is None else float(old.module.layernorm.eps)  # type: ignore[union-attr,arg-type]
