r"""Updates a layer with new samples by the least change of its curves, so that it keeps what it learnt elsewhere.

A layer is linear in its coefficients, $f(x) = \Phi(x)\,c + g(x)$ with $g$ the residual functions and the bias. New
samples (x, y) ask for the change of least norm among those that minimise

$$ |y - f(x) - \Phi(x)\,\delta|^2 + |R\,\delta|^2, \qquad R^T R = \sum_{\text{earlier}} \Phi^T \Phi. $$

With the triangle R the coefficients are those of a fit to all samples so far, none of which is kept (the square-root
information filter; Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, chapter V). B-splines are
local, so R is a band, and what was learnt far from x stays.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from edgewise.functional import least_squares
from edgewise.nn import KANLinear


@torch.no_grad()
def absorb_(
    layer: KANLinear,
    x: Float[Tensor, "samples in"],
    y: Float[Tensor, "samples out"],
    memory: Float[Tensor, "p p"] | None = None,
    *,
    tolerance: float = 1e-10,
) -> Float[Tensor, "p p"]:
    r"""Explain the samples by the least change of the coefficients, and return the memory of them for the next call.

    Residual weights, bias and symbols stay as they are, and so do the coefficients of functions that vanish at all
    samples. Without memory, a function that only some of the samples reach is as free as the others, and its curve
    may lose what it had learnt elsewhere.

    Args:
        layer: a layer whose edges are all curves.
        x: inputs.
        y: the outputs that the layer should have there.
        memory: what the previous call returned. In the first call, `ridge**0.5 * torch.eye(p)` penalises the distance
            from the initial coefficients; p is in_features times the size of the basis.
        tolerance: directions of the coefficients that move the samples by less than this share are left alone.
    """
    if not bool(layer.mask.all()) or layer.adapter is not None:
        raise ValueError("absorb_ changes every curve of a layer; this one has absent or symbolic edges, or an adapter")
    if y.shape != (len(x), layer.out_features):
        raise ValueError(f"y must have the shape {(len(x), layer.out_features)} of the outputs, got {tuple(y.shape)}")
    phi = layer.basis.evaluate(x.double(), layer.grid.double()).flatten(1).cpu()
    missing = (y.double() - layer(x).double()).cpu()
    p = phi.shape[1]
    rows = phi if memory is None else torch.cat([memory, phi])
    wanted = torch.cat([missing.new_zeros(len(rows) - len(phi), layer.out_features), missing])
    touched = (rows != 0).any(0)
    change = torch.zeros(p, layer.out_features, dtype=torch.float64)
    change[touched] = least_squares(rows[:, touched], wanted, tolerance)
    layer.coef[:, : layer.basis.size] += change.view(layer.in_features, layer.basis.size, -1).to(layer.coef)
    triangle = torch.linalg.qr(rows, mode="r").R
    return torch.cat([triangle, triangle.new_zeros(p - len(triangle), p)])
