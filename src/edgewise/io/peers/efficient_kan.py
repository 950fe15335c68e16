r"""Import networks of efficient-kan (Blealtan): the same curves, equal outputs at every input.

A layer is $\sum_j w_{ij}\,b(x_j) + \sum_{jk} s_{ij} c_{ijk} B_k(x_j)$ on the knots of its `grid`, which is in the state
dict. `spline_scaler` $s$ is absent where the layer was made with `enable_standalone_scale_spline=False`; `scale_base`
and `scale_spline` act on initial values alone.
"""

from __future__ import annotations

from typing import Any

import torch

from edgewise.io.peers.peer_layers import PeerLayer, as_network, peer_layers, spline_layer
from edgewise.nn import KAN, KANLinear


def from_efficient_kan(source: Any, *, residual: str = "silu") -> KAN:
    """The network of efficient-kan as a KAN that computes the same.

    Args:
        source: a `KAN` or a `KANLinear` of efficient-kan, its state dict, or the path of a file of it, written by
            `torch.save` or safetensors. Nothing in a file is executed.
        residual: the base activation, "silu" or "identity", of a state dict or a file, which do not name it. A module
            does.

    Raises:
        ValueError: naming what has no counterpart, such as another base activation or a grid with a knot twice.
    """
    layers = peer_layers(source, "efficient-kan", ("grid", "base_weight", "spline_weight"), ("spline_scaler",))
    return as_network([_layer(layer, residual) for layer in layers])


def _layer(old: PeerLayer, residual: str) -> KANLinear:
    coef = old.expect("spline_weight", -1, -1, -1)
    outputs, inputs, _ = coef.shape
    weights, knots = old.expect("base_weight", outputs, inputs), old.expect("grid", inputs, -1)
    if "spline_scaler" in old.tensors:
        coef = coef * old.expect("spline_scaler", outputs, inputs)[..., None]
    name = old.residual("base_activation", residual)
    return spline_layer(old.place, knots, torch.movedim(coef, 0, 2), residual=name, weights=weights.T)
