"""Sums over edges by the kernel that serves them.

There are three ways: no kernel for these functions, device or dtype, a tensor that is not plain memory, or a call that
is traced (see `plain`) -> the reference; compiling or exporting -> the backend's custom ops; otherwise -> the
`autograd.Function`s of `autograd`, which work under `torch.func` as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgewise.kernels import autograd, devices, polynomials, reference
from edgewise.kernels.plain import foreign
from edgewise.kernels.reference import CurveLayer, EdgeSpec
from edgewise.kernels.registry import candidates, find, layer_backend

_compiling = torch.compiler.is_compiling
_autocast_anywhere = torch._C._is_any_autocast_enabled


def edge_sum(
    x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    r"""$y_{bi} = \sum_{jk} h_{bj}\, c_{jki}\, B_k^{(\nu)}(x_{bj}) + b_i$ by the best kernel there is."""
    compiling = _compiling()
    backend = layer_backend(spec, x, None if compiling else foreign(x, h, layers=((coef, bias, grid),)))
    if backend is None or backend.layer is None:
        return reference.edge_sum(x, coef, grid, spec, h, bias)
    twin = polynomials.as_splines(spec)
    if twin is not None and backend.layer.refuses(spec, x) is not None:
        coef, spec = polynomials.spline_coefficients(coef, spec), twin
    if compiling:
        return _as_autocast((backend.compiled or reference).edge_sum(x, coef, grid, spec, h, bias))
    return _as_autocast(autograd.edge_sum(backend.layer, x, coef, grid, spec, h, bias))


def edge_sums(x: Tensor, coefs: Sequence[Tensor], grid: Tensor, spec: EdgeSpec) -> list[Tensor]:
    """`edge_sum` of several coefficients at the same inputs; the reference evaluates the functions once for all."""
    if find("layer", spec, x) is not None:
        return [edge_sum(x, coef, grid, spec) for coef in coefs]
    phi = reference.design(x, grid, spec).flatten(-2)
    return [phi @ coef.flatten(0, 1) for coef in coefs]


def network_sum(network: Sequence[CurveLayer], x: Tensor) -> Tensor | None:
    """The outputs of a whole network in one call; None where no backend does that, and layers must be called in turn.

    A single node in the graph knows nothing of `torch.func`, forward mode or tracing: within those it is not used. The
    kernel looks at the tensors of the network, once.
    """
    if _compiling() or autograd.transformed() or foreign(x) is not None:
        return None
    for kernel in candidates("network"):
        y = kernel.apply(network, x)
        if y is not None:
            return y
    return None


def few_samples_sum(network: Sequence[CurveLayer], x: Tensor) -> Tensor | None:
    """`network_sum` of a few samples, of layers of any width, where no gradients are recorded; None where not served.

    The caller has seen that nothing is compiled and that gradients are off: it comes here on every call of a layer.
    """
    if _autocast_anywhere() or autograd.transformed() or foreign(x) is not None:
        return None
    for kernel in candidates("network"):
        y = kernel.few(network, x)
        if y is not None:
            return y
    return None


def whole_networks_up_to() -> int:
    """The most features of a layer with which some backend computes a network whole."""
    widest = 0
    for kernel in candidates("network"):  # half the time of `max` of a list, in every call of a network
        if widest < kernel.MAX_FEATURES:  # noqa: PLR1730
            widest = kernel.MAX_FEATURES
    return widest


def _as_autocast(y: Tensor) -> Tensor:
    """The result in the dtype that the matrix product of the reference would have under autocast."""
    if _autocast_anywhere() and y.dtype is torch.float32 and devices.under_autocast(y):
        return y.to(torch.get_autocast_dtype(y.device.type))
    return y
