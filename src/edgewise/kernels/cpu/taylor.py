r"""Taylor jets through a small network in one native call, with the gradients in the parameters (csrc/jets.h).

For directions $v_r$ and weights $W$ a sweep returns the values $y$, the derivatives $D_{v_r} y$ and the sums
$\sum_r W_{mr} D_{v_r}^2 y$. The Laplacian is one sum with unit weights along the axes; of a heat equation,
$\partial_t u - \partial_{xx} u$ needs the axes and one sum with the weights (0, 1).
"""

# torch declares the rules of a Function with *args and Any.
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import struct
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from edgewise.kernels import autograd
from edgewise.kernels.cpu import network as whole
from edgewise.kernels.cpu.network import Network
from edgewise.kernels.plain import foreign
from edgewise.kernels.reference import EdgeSpec

MAX_SUMS = 8
_JET = struct.Struct("@2q8P")  # JetArgs of csrc/jets.h


def refuses(network: Network, x: Tensor, sums: int = 1) -> str | None:
    """Why the jets of a network cannot be computed in one native call; None where they can."""
    if sums > MAX_SUMS:
        return f"{sums} sums of second derivatives are more than {MAX_SUMS}"
    if torch.compiler.is_compiling() or autograd.transformed():
        return "it has no rules for torch.compile and the transforms of torch.func"
    if x.requires_grad and torch.is_grad_enabled():
        return "the inputs need gradients; these jets have gradients in the parameters only"
    return whole.refuses(network, x)


def jet(
    network: Network, x: Tensor, directions: Tensor | None = None, weights: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Values (batch, out), derivatives (R, batch, out), weighted second derivatives (M, batch, out) at x (batch, in).

    Differentiable once in every coef and bias. Ask `refuses` first.

    Args:
        network: the layers.
        x: the points.
        directions: (R, in), the axes by default.
        weights: (M, R), by default one row of ones: with the axes, the Laplacian.
    """
    directions = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) if directions is None else directions
    weights = torch.ones(1, len(directions), dtype=x.dtype, device=x.device) if weights is None else weights
    _check(network, x, directions, weights)
    specs = tuple(part.spec for part in network)
    return _Jet.apply(x, directions, weights, specs, *(t for part in network for t in part[:3]))


def _check(network: Network, x: Tensor, directions: Tensor, weights: Tensor) -> None:
    """Raise `ValueError` for what native code must not touch, or would read beyond its end."""
    reason = refuses(network, x, len(weights) if weights.ndim else 0) or foreign(x, directions, weights)
    if reason is None and not (
        x.ndim == directions.ndim == weights.ndim == 2
        and directions.shape[1] == x.shape[1]
        and weights.shape[1] == len(directions)
        and directions.dtype is weights.dtype is x.dtype
        and directions.is_cpu
        and weights.is_cpu
    ):
        reason = (
            f"points {tuple(x.shape)}, directions {tuple(directions.shape)} and weights {tuple(weights.shape)} are not "
            f"matrices (batch, in), (R, in), (M, R) of {x.dtype} on the CPU"
        )
    if reason is not None:
        raise ValueError(f"Taylor jets cannot be computed in native code: {reason}")


class _Jet(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, directions: Tensor, weights: Tensor, specs: tuple[EdgeSpec, ...], *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        x, directions, weights = (t.contiguous() for t in (x, directions, weights))
        ctx.specs = specs
        ctx.save_for_backward(x, directions, weights, *tensors)
        network = whole.from_tensors(specs, tensors)
        out = network[-1].coef.shape[-1]
        results = [x.new_empty(shape) for shape in _shapes(x, directions, weights, out)]
        _call(network, None, x, directions, weights, *results, None, None, None)
        return results[0], results[1], results[2]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Any, ...]:
        x, directions, weights, *tensors = ctx.saved_tensors
        network = whole.from_tensors(ctx.specs, tensors)
        trained = whole.parameters(network)
        gradient = x.new_empty(sum(t.numel() for t in trained))
        dense = [g.resolve_neg().contiguous() for g in slopes]
        if (reason := foreign(*dense)) is not None:
            raise TypeError(f"the gradient of Taylor jets is taken natively, as they were: {reason}")
        _call(network, gradient, x, directions, weights, None, None, None, *dense)
        found = iter(whole.views(gradient, trained))
        by_layer = ((next(found), None if part.bias is None else next(found), None) for part in network)
        return None, None, None, None, *(t for layer in by_layer for t in layer)


def _shapes(x: Tensor, directions: Tensor, weights: Tensor, out: int) -> list[tuple[int, ...]]:
    return [(len(x), out), (len(directions), len(x), out), (len(weights), len(x), out)]


def _call(
    network: Network,
    gradient: Tensor | None,
    x: Tensor,
    directions: Tensor,
    weights: Tensor,
    *tensors: Tensor | None,
) -> None:
    pointers = (0 if t is None else t.data_ptr() for t in (directions, weights, *tensors))
    args = _JET.pack(len(directions), len(weights), *pointers)
    status = whole.call("network_jets", whole.Packed(network), x, args, gradient=gradient)
    if status:
        raise RuntimeError("the native jets refused their arguments")
