"""The native contractions as custom ops, for `torch.compile` and `torch.export` only.

Elsewhere the `autograd.Function`s of `autograd` serve: `torch.func.jvp` through a custom op returns silent zeros.
"""

# No `from __future__ import annotations` here: torch derives the schema of an op from real types.

import torch
from torch import Tensor

from edgewise.bases import BSpline
from edgewise.kernels.cpu import layer
from edgewise.kernels.reference import EdgeSpec

# An op takes tensors and plain values; these four values and the name of the residual function describe an EdgeSpec.
Settings = tuple[int, int, bool, str, int]


def _settings(spec: EdgeSpec) -> Settings:
    basis = spec.basis
    assert isinstance(basis, BSpline)
    return basis.intervals, basis.degree, basis.knots == "clamped", spec.residual or "", spec.order


def _spec(intervals: int, degree: int, clamped: bool, residual: str, order: int) -> EdgeSpec:
    return EdgeSpec(BSpline(intervals, degree, "clamped" if clamped else "uniform"), residual or None, order)


@torch.library.custom_op("edgewise::edge_sum", mutates_args=(), device_types="cpu")
def edge_sum_op(
    x: Tensor, coef: Tensor, h: Tensor | None, grid: Tensor,
    intervals: int, degree: int, clamped: bool, residual: str, order: int,
) -> Tensor:  # fmt: skip
    """`edge_sum` as an op, differentiable once."""
    return layer.edge_sum(x, coef, grid, _spec(intervals, degree, clamped, residual, order), h)


@edge_sum_op.register_fake
def _(x, coef, h, grid, intervals, degree, clamped, residual, order):
    return x.new_empty((*x.shape[:-1], coef.shape[-1]))


@torch.library.custom_op("edgewise::edge_pull", mutates_args=(), device_types="cpu")
def edge_pull_op(
    g: Tensor, x: Tensor, coef: Tensor, grid: Tensor,
    intervals: int, degree: int, clamped: bool, residual: str, order: int,
) -> Tensor:  # fmt: skip
    """`edge_pull` as an op."""
    return layer.edge_pull(g, x, coef, grid, _spec(intervals, degree, clamped, residual, order))


@edge_pull_op.register_fake
def _(g, x, coef, grid, intervals, degree, clamped, residual, order):
    return x.new_empty(x.shape)


@torch.library.custom_op("edgewise::edge_outer", mutates_args=(), device_types="cpu")
def edge_outer_op(
    g: Tensor, x: Tensor, h: Tensor | None, grid: Tensor,
    intervals: int, degree: int, clamped: bool, residual: str, order: int,
) -> Tensor:  # fmt: skip
    """`edge_outer` as an op."""
    return layer.edge_outer(g, x, grid, _spec(intervals, degree, clamped, residual, order), h)


@edge_outer_op.register_fake
def _(g, x, h, grid, intervals, degree, clamped, residual, order):
    return x.new_empty((x.shape[-1], intervals + degree + (residual != ""), g.shape[-1]))


@torch.library.custom_op("edgewise::edge_gradients", mutates_args=(), device_types="cpu")
def edge_gradients_op(
    g: Tensor, x: Tensor, coef: Tensor, h: Tensor | None, grid: Tensor,
    intervals: int, degree: int, clamped: bool, residual: str, order: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Both gradients of `edge_sum` as one op."""
    dx, dc, _ = layer.edge_gradients(g, x, coef, grid, _spec(intervals, degree, clamped, residual, order), h)
    assert dx is not None
    assert dc is not None
    return dx, dc


@edge_gradients_op.register_fake
def _(g, x, coef, h, grid, intervals, degree, clamped, residual, order):
    return x.new_empty(x.shape), coef.new_empty(coef.shape)


def _save(ctx, inputs, output):
    *tensors, intervals, degree, clamped, residual, order = inputs
    ctx.save_for_backward(*tensors)
    ctx.settings = (intervals, degree, clamped, residual, order)


def _edge_sum_backward(ctx, g):
    x, coef, h, grid = ctx.saved_tensors
    dx = dc = dh = None
    if ctx.needs_input_grad[0] and ctx.needs_input_grad[1]:
        dx, dc = edge_gradients_op(g, x, coef, h, grid, *ctx.settings)
    elif ctx.needs_input_grad[0]:
        dx = edge_pull_op(g, x, coef, grid, *ctx.settings[:-1], ctx.settings[-1] + 1)
        dx = dx if h is None else dx * h
    elif ctx.needs_input_grad[1]:
        dc = edge_outer_op(g, x, h, grid, *ctx.settings)
    if ctx.needs_input_grad[2]:
        dh = edge_pull_op(g, x, coef, grid, *ctx.settings)
    return dx, dc, dh, None, None, None, None, None, None


edge_sum_op.register_autograd(_edge_sum_backward, setup_context=_save)


class CompiledOps:
    """The layer kernel while torch compiles or exports."""

    @staticmethod
    def edge_sum(
        x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        y = edge_sum_op(x, coef, h, grid, *_settings(spec))
        return y if bias is None else y + bias

    @staticmethod
    def edge_pull(g: Tensor, x: Tensor, coef: Tensor, grid: Tensor, spec: EdgeSpec) -> Tensor:
        return edge_pull_op(g, x, coef, grid, *_settings(spec))

    @staticmethod
    def edge_outer(g: Tensor, x: Tensor, grid: Tensor, spec: EdgeSpec, h: Tensor | None = None) -> Tensor:
        return edge_outer_op(g, x, h, grid, *_settings(spec))
